"""Processes of one training find one folder, and no other training gets into it."""

import json
import os
from pathlib import Path

import pytest

from pipeprof.capture.recorder.recorder import host_name
from pipeprof.runs import shared_folder
from pipeprof.runs.run_file import FORMAT, RunFile
from pipeprof.runs.run_search import files_of_run, find_run, list_runs
from pipeprof.runs.run_writing import write_run_file
from pipeprof.runs.shared_folder import SILENT_S, join_run_folder, list_rank_folders
from tests import builders
from tests.ranks import rank_of
from tests.runs.written import NO_PID

OTHER = "f" * 16


def join(logdir: Path, number: int, size: int = 4, **kind: object) -> str:
    """The folder that a rank gets, below the folder of all runs."""
    place = join_run_folder(logdir, "night", rank_of(number, size, **kind))  # type: ignore[arg-type]
    return str(place.folder.relative_to(logdir / "plugins" / "pipeprof"))


def record(logdir: Path, folder: str, host: str, pid: int, *, finished: bool) -> RunFile:
    """What a process writes there."""
    file = RunFile(logdir / "plugins" / "pipeprof" / folder, f"{host}-{pid}")
    if finished:
        write_run_file(file, builders.profile())
    else:  # a first checkpoint, before anything was recorded
        file.path.write_text(json.dumps({"format": FORMAT, "kind": "checkpoint"}))
    return file


def test_the_ranks_of_a_group_share_a_folder_in_any_order(tmp_path: Path):
    joined = [join(tmp_path, number) for number in (2, 0, 3, 1)]
    assert joined == ["night/rank-2", "night/rank-0", "night/rank-3", "night/rank-1"]
    assert [path.name for path in list_rank_folders(tmp_path / "plugins/pipeprof/night")] == [
        "rank-0",
        "rank-1",
        "rank-2",
        "rank-3",
    ]


def test_without_a_name_the_folder_is_named_for_the_group(tmp_path: Path):
    first, second = (join_run_folder(tmp_path, None, rank_of(number, 2)) for number in (0, 1))
    assert first.folder.parent == second.folder.parent
    assert first.folder.parent.name == "ranks-01234567"


def test_another_group_of_that_name_has_a_folder_of_its_own(tmp_path: Path):
    assert join(tmp_path, 0) == "night/rank-0"
    assert join(tmp_path, 1, group=OTHER) == "night_2/rank-1"
    assert join(tmp_path, 1) == "night/rank-1"


def test_a_run_of_one_process_is_not_joined(tmp_path: Path):
    (tmp_path / "plugins/pipeprof/night").mkdir(parents=True)
    assert join(tmp_path, 0) == "night_2/rank-0"


def test_a_training_that_comes_again_has_a_folder_of_its_own(tmp_path: Path):
    folders = [join(tmp_path, number) for number in (0, 1)]
    for folder in folders:
        record(tmp_path, folder, "other-host", 7, finished=True)
    assert join(tmp_path, 0) == "night_2/rank-0"
    assert join(tmp_path, 1) == "night_2/rank-1"


@pytest.mark.parametrize(
    ("here", "alive", "finished", "joins"),
    [
        (False, False, True, False),
        (False, True, False, True),
        (True, True, False, True),
        (True, False, False, False),
    ],
)
def test_a_rank_that_never_came_does_not_join_a_training_that_is_over(
    tmp_path: Path, here: bool, alive: bool, finished: bool, joins: bool
):
    host, pid = host_name() if here else "other-host", os.getpid() if alive else NO_PID
    file = record(tmp_path, join(tmp_path, 0), host, pid, finished=finished)
    assert file.path.exists()
    assert join(tmp_path, 2) == ("night/rank-2" if joins else "night_2/rank-2")


@pytest.mark.parametrize(("silent_s", "joins"), [(SILENT_S - 60, True), (SILENT_S + 60, False)])
def test_a_training_that_has_written_nothing_for_long_is_over(
    tmp_path: Path, silent_s: float, joins: bool
):
    file = record(tmp_path, join(tmp_path, 0), "other-host", 7, finished=False)
    for path in file.folder.iterdir():
        written = path.stat().st_mtime - silent_s
        os.utime(path, (written, written))
    assert (join(tmp_path, 2) == "night/rank-2") is joins


def test_the_job_number_of_a_launcher_says_all(tmp_path: Path):
    record(tmp_path, join(tmp_path, 0, job_known=True), "other-host", 7, finished=True)
    assert join(tmp_path, 1, job_known=True) == "night/rank-1"


def test_a_folder_appears_with_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever loses the race for the folder finds it whole."""
    make = shared_folder.tempfile.mkdtemp

    def other_is_faster(**arguments: str) -> str:
        monkeypatch.setattr(shared_folder.tempfile, "mkdtemp", make)
        assert join(tmp_path, 1) == "night/rank-1"
        return make(**arguments)

    monkeypatch.setattr(shared_folder.tempfile, "mkdtemp", other_is_faster)
    assert join(tmp_path, 0) == "night/rank-0"
    assert [path.name for path in (tmp_path / "plugins/pipeprof").iterdir()] == ["night"]


def test_this_machines_clock_is_compared_with_the_file_systems(tmp_path: Path):
    place = join_run_folder(tmp_path, "night", rank_of(0, 2))
    assert abs(place.clock_ahead_ns) < 5e9
    assert list(place.folder.iterdir()) == []


def test_a_thousand_processes_lose_nothing(tmp_path: Path):
    for number in range(1000):
        folder = join(tmp_path, number, size=1000, job_known=True)
        path = tmp_path / "plugins/pipeprof" / folder / f"host-{number}.json"
        path.write_text(str(number))
    (run,) = list_runs(tmp_path)
    assert find_run(tmp_path, "night") == run
    written = [file.path.read_text() for file in files_of_run(run)]
    assert written == [str(number) for number in range(1000)]
