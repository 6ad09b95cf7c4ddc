"""Files that cannot be written are refused before anything is done for them."""

import os
from pathlib import Path

import pytest

from pipeprof.cli.files import require_writable
from pipeprof.errors import UsageError
from tests.cli.conftest import Command


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize("place", ["missing/report", ".", "train.py/report"])
def test_no_training_begins_whose_report_could_not_be_written(
    command: Command, tmp_path: Path, option: str, place: str
) -> None:
    (tmp_path / "train.py").write_text("open('trained', 'w').close()\n")
    outcome = command("run", option, place, "train.py")
    assert outcome.code == 2
    assert f"expected a file that can be written, received {option} {place} (" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "trained").exists()
    assert not (tmp_path / "logs").exists()


def test_a_file_that_is_there_and_may_be_written_is_no_trouble(tmp_path: Path) -> None:
    taken = tmp_path / "report.json"
    require_writable(taken, "--json")
    assert not taken.exists()
    taken.write_text("old")
    require_writable(taken, "--json")
    assert taken.read_text() == "old"


def test_what_the_system_refuses_to_look_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        require_writable(tmp_path / ("x" * 300), "--json")


@pytest.mark.parametrize("taken", [True, False])
def test_what_one_may_not_write_is_refused(
    taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    if taken:
        path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UsageError, match="Permission denied"):
        require_writable(path, "--json")
