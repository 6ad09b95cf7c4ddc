"""How the commands that last answer to Ctrl-C and to a request to end."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def exit_on_sigterm() -> None:
    """Makes SIGTERM end the program like ``sys.exit(143)``, so that what was recorded is written.

    Processes forked from here die of it at once, as they do without pipeprof.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)
        os.register_at_fork(before=_hold, after_in_parent=_let_through, after_in_child=_forget)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


# A signal that reaches a new process before it has given the handler up would be lost: the mask of the
# thread that forks keeps it waiting until then.
_held = threading.local()


def _hold() -> None:
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _forget() -> None:
    if signal.getsignal(signal.SIGTERM) is _exit:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_through()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignores Ctrl-C and SIGTERM: what goes on in here is short and must be finished."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
