"""What is to be finished is finished, and SIGTERM ends a program."""

import os
import signal

import pytest

from pipeprof.cli.signals import uninterrupted
from tests.cli.conftest import Shell

HANDLERS = (signal.SIGINT, signal.SIGTERM)


def test_signals_are_ignored_while_something_is_finished() -> None:
    before = [signal.getsignal(number) for number in HANDLERS]
    with uninterrupted():
        for number in HANDLERS:
            os.kill(os.getpid(), number)
    assert [signal.getsignal(number) for number in HANDLERS] == before


WAYS = {
    "exit": ("from pipeprof.cli.signals import exit_on_sigterm\nexit_on_sigterm()\n", 143),
    "end": ("from pipeprof.cli.signals import end_on_sigterm\nend_on_sigterm(lambda: None)\n", -15),
}


@pytest.mark.parametrize("way", WAYS)
def test_forked_processes_die_of_sigterm_at_once(shell: Shell, way: str) -> None:
    handle, code = WAYS[way]
    shell.write(
        "parent.py",
        "import os, signal, sys\n"
        f"{handle}"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n",
    )
    outcome = shell.python("parent.py")
    assert (outcome.out, outcome.code) == ("-15\n", code)


def test_a_forked_process_writes_nothing_to_its_parents_watch(shell: Shell) -> None:
    shell.write(
        "parent.py",
        "import os, signal, time\n"
        "from pipeprof.cli.signals import end_on_sigterm\n"
        "end_on_sigterm(lambda: print('last', flush=True))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(3))\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(10)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n",
    )
    outcome = shell.python("parent.py")
    assert (outcome.out, outcome.code) == ("3\n", 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_sigterm_that_comes_with_the_fork_is_not_lost(shell: Shell, way: str) -> None:
    handle, _ = WAYS[way]
    shell.write(
        "parent.py",
        "import os, signal\n"
        "os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        f"{handle}"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n",
    )
    assert shell.python("parent.py").out == "-15\nFalse\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_that_is_there_stays(shell: Shell, way: str) -> None:
    handle, _ = WAYS[way]
    shell.write(
        "parent.py",
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"{handle}"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)\n",
    )
    assert shell.python("parent.py").out == "True\n"
