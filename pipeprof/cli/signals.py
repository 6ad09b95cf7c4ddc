"""How the commands that last answer to Ctrl-C and to a request to end."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def exit_on_sigterm() -> None:
    """Makes SIGTERM end the program like ``sys.exit(143)``, so that what was recorded is written.

    Processes forked from here die of it at once, as they do without pipeprof.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)
        os.register_at_fork(after_in_child=_forget)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _forget() -> None:
    if signal.getsignal(signal.SIGTERM) is _exit:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
