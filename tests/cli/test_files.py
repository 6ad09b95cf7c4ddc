"""Files that cannot be written are refused before anything is done for them."""

import os
from pathlib import Path

import pytest

from pipeprof.cli.files import file_of, require_writable
from pipeprof.errors import UsageError
from pipeprof.recording.rank import Launcher, Rank
from tests.cli.conftest import Command, Shell


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


def test_no_rank_writes_over_the_file_of_another() -> None:
    path = Path("out") / "report.json"
    assert file_of(None, path) == path
    ranks = [
        Rank(number=number, size=3, launcher=Launcher.TORCHRUN, group="0" * 16)
        for number in range(3)
    ]
    names = [file_of(rank, path).name for rank in ranks]
    assert names == ["report.json", "report.rank-1.json", "report.rank-2.json"]
    assert file_of(ranks[2], Path("report")).name == "report.rank-2"


def test_a_rank_writes_its_reports_under_its_number(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "29500")
    shell.write("train.py", "print('trained')\n")
    outcome = shell.run("--json", "report.json", "--html", "report.html", "train.py")
    assert (outcome.code, outcome.out) == (0, "trained\n")
    assert sorted(path.name for path in shell.folder.glob("report*")) == [
        "report.rank-1.html",
        "report.rank-1.json",
    ]
