"""Runs are found in a log folder; where there is none, one sentence says so."""

import os
from pathlib import Path

import pytest

from pipeprof.errors import RunNotFound
from pipeprof.runs.log_folder import create_run_folder
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import NEW_S, find_run, is_recorded_now, list_runs
from tests.runs.written import make_run


def test_runs_are_listed_with_the_latest_last(tmp_path: Path):
    new, old = make_run(tmp_path, "a", at_s=9), make_run(tmp_path, "b", at_s=5)
    create_run_folder(tmp_path, "empty")
    assert list_runs(tmp_path) == (old, new)
    assert find_run(tmp_path) == new
    assert find_run(tmp_path, "b") == old
    assert find_run(old) == old


def test_runs_of_several_log_folders_are_found(tmp_path: Path):
    one, two = make_run(tmp_path / "one", "a", at_s=1), make_run(tmp_path / "two", "a", at_s=2)
    assert list_runs(tmp_path) == (one, two)


@pytest.mark.parametrize("name", ["hyper-params.json", "model-3.json"])
def test_other_files_of_the_user_are_not_taken_for_runs(tmp_path: Path, name: str):
    run = make_run(tmp_path, "a")
    (tmp_path / name).write_text("{}")
    assert list_runs(tmp_path) == (run,)


def test_what_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(RunNotFound, match="no folder"):
        find_run(tmp_path / "nowhere")
    with pytest.raises(RunNotFound, match="no folder"):
        find_run(tmp_path / ("x" * 300))  # the system refuses to look
    with pytest.raises(RunNotFound, match="record one with"):
        find_run(tmp_path)
    with pytest.raises(RunNotFound, match="found none"):
        read_run(tmp_path)
    foreign = tmp_path / "plugins" / "profile" / "keras"
    foreign.mkdir(parents=True)
    (foreign / "host.xplane.pb").touch()
    with pytest.raises(RunNotFound, match="only profiles of another profiler: 'tensorboard"):
        find_run(tmp_path)
    make_run(tmp_path, "a")
    with pytest.raises(RunNotFound, match=r"found only: a[.]$"):
        find_run(tmp_path, "b")
    for name in "cdefgh":
        make_run(tmp_path, name)
    with pytest.raises(RunNotFound, match="d, e, f, g, h and 2 earlier"):
        find_run(tmp_path, "b")


@pytest.mark.parametrize(("age_s", "running"), [(10, True), (NEW_S + 60, False)])
def test_a_process_on_another_machine_is_alive_while_its_files_are_new(
    tmp_path: Path, age_s: float, running: bool
):
    file = RunFile(tmp_path, "other-host-7")
    for name in ("other-host-7.json", "other-host-7.0.ring"):
        path = tmp_path / name
        path.touch()
        written = path.stat().st_mtime - age_s
        os.utime(path, (written, written))
    assert is_recorded_now(file) is running
    (tmp_path / "other-host-7.0.ring").unlink()
    assert not is_recorded_now(file)
