"""How often a thread that asks for the GIL has to wait for it, measured by gilknocker's native thread."""

import atexit
import contextlib
import ctypes
import functools
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from pipeprof.capture.guard import Guard
from pipeprof.capture.recorder.facts import RunGauge
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.recording.level_names import MILLION, Level

SAMPLE_S = 0.5

# It asks every millisecond for 10 ms, and rests for 90 ms.
_ASK_EVERY_US = 1_000
_ASK_FOR_US = 10_000
_REST_US = 90_000
# Its threads may not outlive the interpreter, and a crowded machine makes them slow to end.
_STOP_WITHIN_US = 5_000_000
_END_WITHIN_S = 5.0
_LOOK_AGAIN_S = 0.005

# Its threads have this name in Linux: its own one, and those that this makes to ask for the GIL.
_THREAD_NAME = "pipeprof-gil"
_TASKS = Path("/proc/self/task")


class Knocker(Protocol):
    """The part of ``gilknocker.KnockKnock`` that pipeprof uses."""

    contention_metric: float

    def start(self) -> None:
        """Starts its thread."""

    def stop(self) -> None:
        """Ends its thread."""

    def reset_contention_metric(self) -> None:
        """Begins a new measurement."""


class GilSampler:
    """Records `Level.GIL_CONTENTION`.

    Args:
        recorder: where to record.
        load: imports what makes the knocker; for tests.
    """

    def __init__(
        self, recorder: Recorder, load: Callable[[], Callable[[], Knocker]] | None = None
    ) -> None:
        self.recorder = recorder
        self._knocker: Knocker | None = None
        self._guard = Guard(
            recorder.warn,
            "Contention for the GIL could not be measured",
            "whether input threads held up the training is not known",
        )
        # Now, and not in a thread: a process that is forked during an import never ends it.
        self._make = self._guard.run(load or _load)

    def sample(self, now: int) -> None:
        """Records the contention since the last look; the first starts the knocker."""
        self._guard.run(self._sample, now)
        if self._guard.off:
            self._end()

    def finish(self, now: int) -> None:
        """Records the rest, and ends the knocker's thread."""
        if self._knocker is not None:
            self._guard.run(self._sample, now)
        self._end()

    def _sample(self, now: int) -> None:
        if self._knocker is None:
            if self._make is not None:
                self._start(self._make)
            return
        contention = min(max(self._knocker.contention_metric, 0.0), 1.0)
        self._knocker.reset_contention_metric()
        gauge = code(
            Kind.GAUGE, self.recorder.names.number(RunGauge(name=Level.GIL_CONTENTION.value))
        )
        self.recorder.lane().write(gauge, now, now, 0, round(contention * MILLION))

    def _start(self, make: Callable[[], Knocker]) -> None:
        knocker = make()
        with _naming_new_threads(_THREAD_NAME):
            knocker.start()
        self._knocker = knocker
        atexit.register(self._end)
        _running.append(knocker)

    def _end(self) -> None:
        knocker, self._knocker = self._knocker, None
        if knocker is not None and knocker in _running:  # else forked: the thread is the parent's
            _running.remove(knocker)
            try:
                knocker.stop()
            except Exception as error:
                self._guard.fail(error)
            atexit.unregister(knocker.stop)  # gilknocker registered it
            atexit.unregister(self._end)
            # A thread that asks for the GIL of an interpreter that has ended takes the process down.
            until_s = time.monotonic() + _END_WITHIN_S
            while _thread_runs(_THREAD_NAME) and time.monotonic() < until_s:
                time.sleep(_LOOK_AGAIN_S)


def _load() -> Callable[[], Knocker]:
    gilknocker = importlib.import_module("gilknocker")
    return functools.partial(
        gilknocker.KnockKnock,
        polling_interval_micros=_ASK_EVERY_US,
        sampling_interval_micros=_ASK_FOR_US,
        sleeping_interval_micros=_REST_US,
        timeout_micros=_STOP_WITHIN_US,
    )


@contextlib.contextmanager
def _naming_new_threads(name: str) -> Iterator[None]:
    """Gives threads a name in Linux that the present one makes meanwhile, and those that they make."""
    comm = _TASKS / str(threading.get_native_id()) / "comm"
    own = comm.read_text().rstrip("\n")
    comm.write_text(name)
    try:
        yield
    finally:
        comm.write_text(own)


def _thread_runs(name: str) -> bool:
    """Whether this process has a thread of that name in Linux."""
    for task in _TASKS.iterdir():
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            if (task / "comm").read_text().rstrip("\n") == name:
                return True
    return False


_running: list[Knocker] = []


def _keep_in_child() -> None:
    """Keeps the knockers in a forked child: it lacks their threads, so stopping one would wait for ever."""
    for knocker in _running:
        atexit.unregister(knocker.stop)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(knocker))
    _running.clear()


os.register_at_fork(after_in_child=_keep_in_child)
