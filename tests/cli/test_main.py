"""What all commands share."""

import pytest

import pipeprof
from tests.cli.conftest import Command, Shell


def test_version(command: Command) -> None:
    assert command("--version").out == f"pipeprof {pipeprof.__version__}\n"


@pytest.mark.parametrize("name", ["run", "report", "view", "demo", "doctor"])
def test_every_command_explains_itself(command: Command, name: str) -> None:
    outcome = command(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: pipeprof {name} ")


def test_an_unknown_option_is_not_a_traceback(command: Command) -> None:
    outcome = command("report", "--colour")
    assert outcome.code == 2
    assert "No such option" in outcome.err
    assert "Traceback" not in outcome.err


def test_the_package_runs_as_a_module(shell: Shell) -> None:
    assert shell.python("-m", "pipeprof", "--version").out == f"pipeprof {pipeprof.__version__}\n"
