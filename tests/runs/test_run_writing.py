"""Written files replace those before, and nothing is lost when they cannot be written."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_writing import finish_run, write_run_file
from tests import builders
from tests.runs.written import PREFIX, written


def test_each_write_replaces_the_one_before(tmp_path: Path):
    for name in ("a", "b", "c"):
        written(tmp_path, builders.profile(run=builders.run_info(name)))
    assert read_run(tmp_path).run.name == "c"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{PREFIX}.3.npz", f"{PREFIX}.json"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    file = written(tmp_path, builders.profile(run=builders.run_info("a")))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_run_file(file, builders.profile(run=builders.run_info("b")))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_finishing_removes_the_rings_it_was_made_from(tmp_path: Path):
    names = ("host-a-4242.0.ring", "host-a-4242.names.jsonl", "host-a-7.0.ring", "host-b-7.0.ring")
    for name in names:
        (tmp_path / name).touch()
    finish_run(RunFile(tmp_path, PREFIX), builders.profile(), [4242, 7])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"{PREFIX}.1.npz", f"{PREFIX}.json", "host-b-7.0.ring"]


def test_rings_stay_when_the_run_cannot_be_written(tmp_path: Path):
    ring = tmp_path / f"{PREFIX}.0.ring"
    ring.touch()
    (tmp_path / f"{PREFIX}.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        finish_run(RunFile(tmp_path, PREFIX), builders.profile(), [4242])
    assert ring.exists()
