"""How long-running commands react to Ctrl-C and SIGTERM."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from pipeprof.capture.recorder.own_thread import OwnThread

# A process that is asked to end is killed by its scheduler some seconds later.
LAST_ACTION_S = 1.8


def exit_on_sigterm() -> None:
    """Makes SIGTERM end the program like ``sys.exit(143)``, so that its child processes are ended too.

    Processes that are forked from this one still die of SIGTERM at once, as without pipeprof.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _handle_sigterm(_exit)


def end_on_sigterm(last: Callable[[], None], within_s: float | None = None) -> None:
    """Has SIGTERM end this process as it does without pipeprof, by the signal, after a last action.

    The action runs in a thread of its own, because Python calls a signal's handler only where the main
    thread comes back from native code, and a training step may take long to do so. A handler that the
    program sets replaces this. Processes forked from here die of SIGTERM at once. Native code that
    holds the GIL is waited for.

    Args:
        last: the action.
        within_s: the process ends after this time even though the action goes on; None for
            `LAST_ACTION_S`.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _SigtermHandler(last, LAST_ACTION_S if within_s is None else within_s).start()


class _SigtermHandler:
    def __init__(self, last: Callable[[], None], within_s: float) -> None:
        self._last = last
        self._within_s = within_s
        self._signals, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)

    def start(self) -> None:
        _handle_sigterm(self._stop_here)
        # Python's own handler writes the signal's number at once, whatever the main thread is at.
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._forget)
        OwnThread(self._wait, "sigterm").start()

    def _stop_here(self, number: int, frame: FrameType | None) -> None:
        """Keeps the main thread from going on until the process ends."""
        with suppress(OSError):  # the program may have replaced what Python's own handler writes to
            os.write(self._write_end, bytes([number]))
        while True:
            with suppress(KeyboardInterrupt):
                time.sleep(60)

    def _wait(self) -> None:
        while True:
            numbers = os.read(self._signals, 64)
            # The program may have set a handler of its own since, or ignore the signal.
            if signal.SIGTERM in numbers and signal.getsignal(signal.SIGTERM) == self._stop_here:
                break
        action = OwnThread(self._last, "last")
        action.start()
        action.join(self._within_s)
        _die_of(signal.SIGTERM)

    def _forget(self) -> None:
        with suppress(ValueError):  # forked by a thread that is no main one even there
            other = signal.set_wakeup_fd(-1)
            if other != self._write_end:
                signal.set_wakeup_fd(other)


def _die_of(number: signal.Signals) -> None:
    """Ends this process by a signal's default action; `signal.signal` works in the main thread only."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    libc.signal(number, None)
    os.kill(os.getpid(), number)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


_Handler = Callable[[int, FrameType | None], None]

# Handles SIGTERM in this process, not in those forked from it.
_own_handler: _Handler | None = None

# A signal that reaches a new process before its handler is reset would be lost. So the forking thread
# blocks the signal until then.
_held = threading.local()


def _handle_sigterm(handler: _Handler) -> None:
    global _own_handler
    _own_handler = handler
    signal.signal(signal.SIGTERM, handler)
    os.register_at_fork(before=_hold, after_in_parent=_let_through, after_in_child=_forget)


def _hold() -> None:
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _forget() -> None:
    if signal.getsignal(signal.SIGTERM) == _own_handler:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_through()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignores Ctrl-C and SIGTERM inside the block, for short work that must be finished."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
