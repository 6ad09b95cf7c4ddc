"""What tuning found lies beside the run and comes back as it was; what cannot be read is no result."""

import json
from pathlib import Path

import pytest

from pipeprof.recording.pipeline_edits import AUTOTUNE, AddCache, SetCalls
from pipeprof.recording.tuning_outcome import TuningOutcome
from pipeprof.runs.tuning_file import keep_tuning, read_tuning
from tests.builders import tuning_outcome

OUTCOME = tuning_outcome()


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    keep_tuning(tmp_path, OUTCOME)
    read = read_tuning(tmp_path)
    assert read == OUTCOME
    assert isinstance(read, TuningOutcome)
    assert read.best == (SetCalls(node="map", calls=AUTOTUNE), AddCache(node="map"))


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert read_tuning(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 2}', '{"format": 99, "tuning": {}}', '{"format": 2, "tuning": 7}'],
)
def test_a_file_of_another_hand_is_no_result(tmp_path: Path, text: str) -> None:
    (tmp_path / "tuning.json").write_text(text)
    assert read_tuning(tmp_path) is None


@pytest.mark.parametrize("time", [0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["best_ns", "today_ns", "ceiling_ns"])
def test_times_that_are_none_are_no_result(tmp_path: Path, name: str, time: float) -> None:
    keep_tuning(tmp_path, OUTCOME)
    document = json.loads((tmp_path / "tuning.json").read_text())
    document["tuning"][name] = time
    (tmp_path / "tuning.json").write_text(json.dumps(document))
    assert read_tuning(tmp_path) is None


def test_a_change_that_is_unknown_is_no_result(tmp_path: Path) -> None:
    keep_tuning(tmp_path, OUTCOME)
    document = json.loads((tmp_path / "tuning.json").read_text())
    document["tuning"]["best"][0]["$type"] = "paint"
    (tmp_path / "tuning.json").write_text(json.dumps(document))
    assert read_tuning(tmp_path) is None
