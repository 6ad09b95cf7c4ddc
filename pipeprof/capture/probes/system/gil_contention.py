"""How often a thread that asks for the GIL has to wait for it, measured by gilknocker's native thread."""

import atexit
import ctypes
import importlib
import os
from collections.abc import Callable
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
# Its thread may not outlive the interpreter, and a crowded machine makes it slow to end.
_STOP_WITHIN_US = 5_000_000


class Knocker(Protocol):
    """What of ``gilknocker.KnockKnock`` is used."""

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
        make: makes the knocker; for tests.
    """

    def __init__(self, recorder: Recorder, make: Callable[[], Knocker] | None = None) -> None:
        self.recorder = recorder
        self._make = make or _make_knocker
        self._knocker: Knocker | None = None
        self._guard = Guard(
            recorder.warn,
            "Contention for the GIL could not be measured",
            "whether input threads held up the training is not known",
        )

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
            self._start()
            return
        contention = min(max(self._knocker.contention_metric, 0.0), 1.0)
        self._knocker.reset_contention_metric()
        gauge = code(
            Kind.GAUGE, self.recorder.names.number(RunGauge(name=Level.GIL_CONTENTION.value))
        )
        self.recorder.lane().write(gauge, now, now, 0, round(contention * MILLION))

    def _start(self) -> None:
        knocker = self._make()
        knocker.start()
        self._knocker = knocker
        _running.append(knocker)
        atexit.register(self._end)

    def _end(self) -> None:
        knocker, self._knocker = self._knocker, None
        if knocker is not None:
            atexit.unregister(self._end)
            if knocker not in _running:
                return  # this process was forked: the thread is its parent's
            _running.remove(knocker)
            try:
                knocker.stop()
            except Exception as error:
                self._guard.fail(error)


def _make_knocker() -> Knocker:
    gilknocker = importlib.import_module("gilknocker")
    knocker: Knocker = gilknocker.KnockKnock(
        polling_interval_micros=_ASK_EVERY_US,
        sampling_interval_micros=_ASK_FOR_US,
        sleeping_interval_micros=_REST_US,
        timeout_micros=_STOP_WITHIN_US,
    )
    return knocker


_running: list[Knocker] = []


def _keep_in_child() -> None:
    """A forked child has no such thread: a knocker that is deleted there would wait for it in vain."""
    for knocker in _running:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(knocker))
    _running.clear()


os.register_at_fork(after_in_child=_keep_in_child)
