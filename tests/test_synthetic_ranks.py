"""Runs of many ranks, made without a training: the report stays small, and names the slow rank."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

import pipeprof
from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.ranks.summarising import summarise
from pipeprof.loaded.recorded_run import RecordedRun
from pipeprof.recording.rank import Launcher, Rank
from pipeprof.runs.run_search import files_of_run, find_run
from pipeprof.runs.summary_file import write_summary
from pipeprof.surfaces.json_report.as_json import to_json

STEPS = 600
MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).parents[1] / "tools" / "synthetic_ranks.py"
    spec = importlib.util.spec_from_file_location("synthetic_ranks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _make(tool: ModuleType, logdir: Path, ranks: int, slow: int) -> RecordedRun:
    options = Namespace(logdir=logdir, name="many", ranks=ranks, steps=STEPS, slow=slow)
    for number in range(ranks):
        tool._write((options, number))  # noqa: SLF001 - as its processes call it
    return pipeprof.load(logdir)


@pytest.mark.parametrize("slow", [3, -1])
def test_the_slow_rank_is_named_where_one_is_planted(tool: ModuleType, tmp_path: Path, slow: int):
    found = _make(tool, tmp_path, 20, slow).findings.ranks
    assert found is not None
    assert [late.rank for late in found.verdict.stragglers] == ([slow] if slow >= 0 else [])
    assert not found.problems


def test_its_recordings_contradict_themselves_nowhere(tool: ModuleType):
    rank = Rank(number=3, size=4, launcher=Launcher.SLURM, group="0" * 16)
    assert tool.synthetic_profile(rank, STEPS, 3, "many").check() == ()


def test_the_report_of_a_thousand_ranks_is_small(tool: ModuleType, tmp_path: Path):
    options = Namespace(logdir=tmp_path, name="many", ranks=1000, steps=STEPS, slow=3)
    for number in (2, 3):
        tool._write((options, number))  # noqa: SLF001
    run = find_run(tmp_path)
    (summary, _) = (path.read_text() for path in sorted(run.glob("*/*.summary.json")))
    (recording, _) = (path.read_bytes() for path in sorted(run.glob("*/*-[0-9]*.json"))[::2])
    for number in (0, 1, *range(4, 1000)):
        folder = run / f"rank-{number}"
        folder.mkdir()
        document = json.loads(summary)
        document["summary"]["rank"]["number"] = number
        (folder / "node-1-7.summary.json").write_text(json.dumps(document))
        (folder / "node-1-7.json").write_bytes(recording)
    assert len(files_of_run(run)) == 1000
    loaded = pipeprof.load(run)
    found = loaded.findings.ranks
    assert found is not None
    assert [late.rank for late in found.verdict.stragglers] == [3]
    assert len(to_json(loaded.findings)) < MOST_BYTES
    report = json.loads(to_json(loaded.findings, all_ranks=True))
    assert sum(len(host["ranks"]) for host in report["hosts"]) == 1000
    assert len(loaded.report(width=80).splitlines()) < 120


def test_a_summary_does_not_grow_with_the_training(tool: ModuleType, tmp_path: Path):
    sizes = []
    for steps in (2_000, 40_000):
        rank = Rank(number=0, size=2, launcher=Launcher.SLURM, group="0" * 16)
        profile = tool.synthetic_profile(rank, steps, -1, "many")
        file = files_of_run(_written(tmp_path / str(steps)))[0]
        write_summary(file, summarise(analyse(profile)))
        sizes.append(next(file.folder.glob("*.summary.json")).stat().st_size)
    assert sizes[1] < 1.3 * sizes[0]


def _written(folder: Path) -> Path:
    folder.mkdir()
    (folder / "host-1.json").write_text("{}")
    return folder
