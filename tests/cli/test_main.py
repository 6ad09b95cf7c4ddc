"""What all commands share."""

import pytest

import pipeprof
from tests.cli.conftest import Command, Shell


def test_version(command: Command) -> None:
    assert command("--version").out == f"pipeprof {pipeprof.__version__}\n"


COMMANDS = (
    "run",
    "ceiling",
    "tune",
    "report",
    "compare",
    "merge",
    "export",
    "view",
    "attach",
    "repair",
    "demo",
    "doctor",
)


def test_the_help_names_all_commands_in_this_order(command: Command) -> None:
    listed = command("--help").out.partition("Commands:")[2]
    assert tuple(line.split()[0] for line in listed.splitlines() if line.strip()) == COMMANDS


def test_an_unknown_command_is_refused(command: Command) -> None:
    outcome = command("trian", "train.py")
    assert outcome.code == 2
    assert "No such command 'trian'" in outcome.err


@pytest.mark.integration
@pytest.mark.quick
def test_a_script_waits_for_no_other_command_to_be_imported(shell: Shell) -> None:
    shell.write("train.py", "import sys\nprint(*(m for m in sys.modules if 'command' in m))\n")
    loaded = shell.run("train.py").out.split()
    assert [name for name in loaded if name.startswith("pipeprof")] == ["pipeprof.cli.run_command"]


@pytest.mark.parametrize("name", COMMANDS)
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
