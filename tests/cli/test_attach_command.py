"""``pipeprof attach`` to what is no training: one sentence and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeprof.capture.probes.stacks import py_spy
from tests.cli.conftest import Command


def test_no_such_process(command: Command) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    outcome = command("attach", str(child.pid))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"pipeprof: cannot read the Python stacks of process {child.pid}: "
        "there is no such process; look for its number with ps.\n"
    )


def test_a_process_that_is_no_python(command: Command) -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        outcome = command("attach", str(child.pid))
    finally:
        child.kill()
        child.wait()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert "it runs no Python" in outcome.err or "refuses" in outcome.err


def test_a_process_of_someone_else(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "py-spy"
    refusing.write_text("#!/bin/sh\necho Permission Denied: Try sudo >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(py_spy, "find_command", lambda pid: str(refusing))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    outcome = command("attach", str(os.getpid()))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith(
        "the system refuses it; run pipeprof as the user who owns it, or with sudo.\n"
    )


@pytest.mark.parametrize("arguments", [(), ("train.py",), ("1", "--duration", "0")])
def test_what_makes_no_sense_is_refused(command: Command, arguments: tuple[str, ...]) -> None:
    assert command("attach", *arguments).code == 2
