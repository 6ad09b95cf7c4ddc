"""What py-spy cannot do becomes one sentence with a remedy; a process of ours can be looked into."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeprof.capture.probes.stacks import py_spy
from pipeprof.errors import StacksUnavailable

REFUSAL = (
    "Permission Denied: Try running again with elevated permissions",
    "Error: Failed to open process\nReason: Operation not permitted (os error 1)",
)


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Puts a program in py-spy's place that only complains."""

    def install(complaint: str) -> None:
        script = tmp_path / "py-spy"
        script.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{complaint}\nEND\nexit 1\n")
        script.chmod(0o755)
        monkeypatch.setattr(py_spy, "find_command", lambda pid: str(script))

    return install


@pytest.mark.parametrize("complaint", REFUSAL)
def test_a_refusal_is_reported_with_what_to_do(says, complaint: str) -> None:
    says(complaint)
    with pytest.raises(StacksUnavailable, match="the system refuses it; ") as refused:
        py_spy.dump(os.getpid())
    assert refused.value.remedy
    with pytest.raises(StacksUnavailable, match="the system refuses it; "):
        py_spy.Recording(os.getpid(), seconds=1).collect()


def test_anything_else_is_reported_in_its_own_words(says) -> None:
    says("Error: it is Monday\n\nStack backtrace:\n 0: nothing for users")
    with pytest.raises(StacksUnavailable, match="it is Monday; try it again") as refused:
        py_spy.dump(os.getpid())
    assert "backtrace" not in str(refused.value)


@pytest.mark.parametrize(
    ("owner", "user", "scope", "remedy"),
    [
        (0, 1000, "0", "sudo"),
        (1000, 1000, "1", "ptrace_scope=0"),
        (1000, 1000, "0", "SYS_PTRACE"),
        (1000, 0, None, "SYS_PTRACE"),
    ],
)
def test_the_remedy_fits_the_reason(
    owner: int, user: int, scope: str | None, remedy: str, tmp_path: Path
) -> None:
    file = tmp_path / "ptrace_scope"
    if scope is not None:
        file.write_text(f"{scope}\n")
    assert remedy in py_spy.refusal_remedy(owner, user, file)


def test_a_process_that_is_gone_is_no_refusal() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(StacksUnavailable, match="no such process"):
        py_spy.dump(child.pid)


def test_without_py_spy_it_is_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StacksUnavailable, match="pip install py-spy"):
        py_spy.dump(os.getpid())


def test_stacks_that_changed_while_they_were_read_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, tries = tmp_path / "py-spy", tmp_path / "tries"
    script.write_text(
        f"#!/bin/sh\necho x >> {tries}\n"
        f"[ $(wc -l < {tries}) -ge 3 ] && echo '[]' && exit 0\n"
        "echo 'Error: Failed to get stack traces' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(py_spy, "find_command", lambda pid: str(script))

    assert py_spy.dump(os.getpid()) == ()
    assert len(tries.read_text().splitlines()) == 3


def test_stacks_that_never_hold_still_are_reported(says) -> None:
    says("Error: Failed to get stack traces")
    with pytest.raises(StacksUnavailable, match="Failed to get stack traces; try it again"):
        py_spy.dump(os.getpid())
