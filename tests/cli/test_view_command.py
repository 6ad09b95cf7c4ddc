"""``pipeprof view`` gives TensorBoard what it needs, waits until it serves, and ends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeprof.cli import server
from pipeprof.cli import view_command as view
from pipeprof.cli.server import read_address, read_to_end
from pipeprof.errors import PipeprofError
from tests.builders import loop, profile, run_info
from tests.cli.conftest import Command, write_run

SERVES = "TensorBoard 2.21.0 at http://localhost:6007/ (Press CTRL+C to quit)\n"

Started = list[tuple[Path, str | None, int | None]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What TensorBoard was started with: one that says where it serves, and ends by Ctrl-C."""
    calls: Started = []

    @contextmanager
    def tensorboard(logdir: Path, host: str | None, port: int | None) -> Iterator[Iterator[str]]:
        calls.append((logdir, host, port))
        yield _until_interrupted()

    monkeypatch.setattr(server, "tensorboard", tensorboard)
    return calls


def _until_interrupted() -> Iterator[str]:
    yield "some warning\n"
    yield SERVES
    yield '{"httpRequest": {}}\n'
    raise KeyboardInterrupt


def test_address_is_shown_once_it_serves(
    command: Command, tmp_path: Path, started: Started
) -> None:
    write_run(profile(), tmp_path / "logs")
    outcome = command("view", "logs", "--port", "6007", "--host", "0.0.0.0")
    assert outcome.code == 0
    assert outcome.out == "TensorBoard shows logs at http://localhost:6007/ (Ctrl-C ends it)\n"
    assert started == [(Path("logs"), "0.0.0.0", 6007)]


def test_runs_without_export_get_one(command: Command, tmp_path: Path, started: Started) -> None:
    run = write_run(profile(run=run_info("cut-off", complete=False)), tmp_path / "logs", "cut-off")
    trace = tmp_path / "logs" / "plugins" / "profile" / "cut-off" / "host-a.xplane.pb"
    assert command("view", "logs").code == 0
    first_ns = trace.stat().st_mtime_ns
    assert command("view", str(run)).code == 0
    assert trace.stat().st_mtime_ns == first_ns
    assert started[1][0] == tmp_path / "logs"


def test_a_run_that_cannot_be_read_is_left_out(
    command: Command, tmp_path: Path, started: Started
) -> None:
    damaged = write_run(profile(), tmp_path / "logs", "damaged")
    (damaged / "host-a-4000.json").write_text("{")
    write_run(profile(), tmp_path / "logs", "whole")
    outcome = command("view", "logs")
    assert (outcome.code, len(started)) == (0, 1)
    assert outcome.err.startswith("Run damaged is not shown: expected a run of pipeprof")


def test_a_run_longer_than_a_trace_has_room_for_is_shown(
    command: Command, tmp_path: Path, started: Started
) -> None:
    fit = loop(steps=12, lane=0)
    ends = fit.steps.end_ns.copy()
    ends[-1] += 10**17  # three years
    endless = replace(fit, steps=replace(fit.steps, end_ns=ends))
    write_run(profile(loops=(endless,)), tmp_path / "logs", "endless")
    outcome = command("view", "logs")
    assert (outcome.code, len(started)) == (0, 1)
    assert "not shown" not in outcome.err
    assert list(tmp_path.glob("logs/plugins/profile/*/*.xplane.pb"))


def test_without_xprof_there_is_one_remark(
    command: Command, tmp_path: Path, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "find_spec", lambda name: None)
    write_run(profile(), tmp_path / "logs")
    outcome = command("view", "logs")
    assert (outcome.code, len(started)) == (0, 1)
    assert outcome.err == 'TensorBoard has no Profile page: pip install "pipeprof[xprof]"\n'


def test_a_folder_without_runs_is_refused(command: Command, started: Started) -> None:
    outcome = command("view", ".")
    assert (outcome.code, started) == (2, [])
    assert outcome.err.startswith("pipeprof: expected a recorded run in .")


def test_a_run_outside_a_log_folder_is_refused(
    command: Command, tmp_path: Path, started: Started
) -> None:
    write_run(profile(), tmp_path / "logs").rename(tmp_path / "alone")
    outcome = command("view", "alone")
    assert (outcome.code, started) == (2, [])
    assert "move it to LOGDIR/plugins/pipeprof/alone" in outcome.err


@pytest.mark.parametrize("read", [read_address, read_to_end])
def test_the_last_words_of_a_tensorboard_that_ends_are_reported(
    read: Callable[[list[str]], object],
) -> None:
    with pytest.raises(PipeprofError, match=r"but it ended: ERROR: port 80 is taken$"):
        read(["Traceback\n", "ERROR:  port 80\tis taken\n"])
    with pytest.raises(PipeprofError, match=r"but it ended: it gave no reason$"):
        read([])
