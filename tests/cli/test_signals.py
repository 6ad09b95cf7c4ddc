"""What is to be finished is finished, and SIGTERM ends a program as ``sys.exit`` does."""

import os
import signal

from pipeprof.cli.signals import uninterrupted
from tests.cli.conftest import Shell

HANDLERS = (signal.SIGINT, signal.SIGTERM)


def test_signals_are_ignored_while_something_is_finished() -> None:
    before = [signal.getsignal(number) for number in HANDLERS]
    with uninterrupted():
        for number in HANDLERS:
            os.kill(os.getpid(), number)
    assert [signal.getsignal(number) for number in HANDLERS] == before


def test_forked_processes_die_of_sigterm_at_once(shell: Shell) -> None:
    shell.write(
        "parent.py",
        "import os, signal, sys\n"
        "from pipeprof.cli.signals import exit_on_sigterm\n"
        "exit_on_sigterm()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n",
    )
    outcome = shell.python("parent.py")
    assert (outcome.out, outcome.code) == ("-15\n", 143)


def test_a_sigterm_that_comes_with_the_fork_is_not_lost(shell: Shell) -> None:
    shell.write(
        "parent.py",
        "import os, signal\n"
        "from pipeprof.cli.signals import exit_on_sigterm\n"
        "os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "exit_on_sigterm()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n",
    )
    assert shell.python("parent.py").out == "-15\nFalse\n"


def test_a_handler_that_is_there_stays(shell: Shell) -> None:
    shell.write(
        "parent.py",
        "import signal\n"
        "from pipeprof.cli.signals import exit_on_sigterm\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "exit_on_sigterm()\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)\n",
    )
    assert shell.python("parent.py").out == "True\n"
