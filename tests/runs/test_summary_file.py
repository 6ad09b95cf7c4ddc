"""A summary comes back as it was; what another program wrote is no summary."""

import json
from pathlib import Path

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.rank_summary import RankSummary, is_sound
from pipeprof.analysis.ranks.summarising import summarise
from pipeprof.recording.codec import Encoder
from pipeprof.runs.run_file import RunFile, list_run_files
from pipeprof.runs.summary_file import read_summary, write_summary
from tests import ranks


@pytest.fixture
def summary() -> RankSummary:
    (profile, _) = ranks.in_lock_step(ranks.waits(2, 30))
    return summarise(analyse(ranks.with_stage(profile, 5)))


@pytest.fixture
def file(tmp_path: Path, summary: RankSummary) -> RunFile:
    found = RunFile(tmp_path, "host-a-1")
    write_summary(found, summary)
    return found


def test_a_summary_comes_back_as_it_was(file: RunFile, summary: RankSummary):
    read = read_summary(file, RankSummary)
    assert read is not None
    assert is_sound(read)
    assert _values_of(read) == _values_of(summary)


def _values_of(summary: RankSummary) -> object:
    encoder = Encoder()
    return encoder.encode(summary), encoder.numbers().tolist()


def test_it_is_no_recording_of_a_process(file: RunFile):
    assert list_run_files(file.folder) == ()
    assert [path.name for path in file.folder.iterdir()] == ["host-a-1.summary.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"summary": None},
        {"numbers": None},
        {"numbers": "AAAA"},
        {"numbers": ""},
        {"numbers": "\u00e9"},
    ],
)
def test_what_cannot_be_read_is_no_summary(file: RunFile, change: dict[str, object]):
    (path,) = file.folder.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert read_summary(file, RankSummary) is None


def test_without_a_file_there_is_none(tmp_path: Path):
    assert read_summary(RunFile(tmp_path, "host-a-1"), RankSummary) is None
