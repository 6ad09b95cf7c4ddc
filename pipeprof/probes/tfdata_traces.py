"""The waits of a loop from short windows of TensorFlow's profiler, where nothing else tells them.

That is so where AUTOTUNE is off: tf.data then counts no gaps. A profiler that is on already is the
user's and is left alone, and one that the user turns on meanwhile ends the window: its steps are not
told then.
"""

import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipeprof.clock import now_ns
from pipeprof.patches import Patches
from pipeprof.probes.loops import OpenLoop
from pipeprof.probes.traced_waits import ANCHOR, read_waits
from pipeprof.recording import WaitSource
from pipeprof.series import IntArray
from pipeprof.steps import time_inside

# Windows are short, few and ever further apart: each costs its steps time, and about 0.1 s at its end.
# One that the end of an epoch cuts short is followed by the next at once.
STEPS_PER_WINDOW = 12
LONGEST_WINDOW_NS = 10_000_000_000
MOST_STEPS = 4 * STEPS_PER_WINDOW
MOST_WINDOWS = 12
MOST_BYTES = 20_000_000


class TracedWaits:
    """Traces some steps of one loop and tells how long they waited."""

    def __init__(self) -> None:
        self._window: ProfilerWindow | None = None
        self._windows = 0
        self._next_step = 0
        self._told = 0
        self._steps: list[tuple[int, int]] = []

    def step_ended(self, loop: OpenLoop, now: int) -> None:
        """A step of it has ended; the time that is spent here is part of none."""
        if self._window is None:
            if self._windows < MOST_WINDOWS and loop.step >= self._next_step:
                loop.leave_steps()
                self._windows += 1
                self._window = ProfilerWindow.open()
            return
        self._steps.append((loop.step, loop.began_ns))
        lasted_ns = now - self._window.opened_ns
        if len(self._steps) >= STEPS_PER_WINDOW or lasted_ns >= LONGEST_WINDOW_NS:
            self.end(loop)

    def end(self, loop: OpenLoop) -> None:
        """Closes the window, if one is open, and tells what its steps waited."""
        window, self._window = self._window, None
        steps, self._steps = self._steps, []
        if window is None:
            return
        loop.leave_steps()
        waits = window.close()
        if waits is None or not steps:
            return
        self._told += len(steps)
        if self._told >= MOST_STEPS or window.size_bytes > MOST_BYTES:
            self._windows = MOST_WINDOWS
        if len(steps) == STEPS_PER_WINDOW:
            self._next_step = 2 * loop.step
        starts = np.array([began_ns for _, began_ns in steps], np.int64)
        ends = np.append(starts[1:], loop.ended_ns)
        loop.waits_told_by(WaitSource.TRACE)
        spent = ends - starts - time_inside(waits, starts, ends)
        for (step, _), gap_ns in zip(steps, spent.tolist(), strict=True):
            loop.gaps(step, (gap_ns,))


class ProfilerWindow:
    """TensorFlow's profiler, turned on for a moment.

    Attributes:
        opened_ns: when it was turned on.
        size_bytes: how much it wrote.
    """

    def __init__(self, folder: "tempfile.TemporaryDirectory[str]") -> None:
        self._folder = folder
        self._patches = Patches()
        self._given_up = False
        self._anchors: list[tuple[int, int]] = []
        self.opened_ns = now_ns()
        self.size_bytes = 0

    @classmethod
    def open(cls) -> "ProfilerWindow | None":
        """Turns it on, or returns None where it is on already."""
        folder = tempfile.TemporaryDirectory(prefix="pipeprof-")
        window = cls(folder)
        try:
            tf.profiler.experimental.start(folder.name, _least_options())
        except tf.errors.AlreadyExistsError:
            folder.cleanup()
            return None
        except BaseException:
            folder.cleanup()
            raise
        window._make_way_for_others()
        for _ in range(3):
            start_ns = now_ns()
            with tf.profiler.experimental.Trace(ANCHOR):
                pass
            window._anchors.append((start_ns, now_ns()))
        return window

    def close(self) -> IntArray | None:
        """Turns it off; returns when batches were waited for, or None where others took over."""
        if self._given_up:
            return None
        self._patches.undo()
        try:
            tf.profiler.experimental.stop()
            traces = list(Path(self._folder.name).rglob("*.xplane.pb"))
            if not traces:
                return None
            trace = traces[0].read_bytes()
            self.size_bytes = len(trace)
            return read_waits(trace, self._anchors)
        finally:
            self._folder.cleanup()

    def _make_way_for_others(self) -> None:
        """Whoever turns the profiler on now gets it."""
        start: Callable[..., Any] = tf.profiler.experimental.start
        for owner in (tf.profiler.experimental, sys.modules.get(start.__module__)):
            if owner is not None and getattr(owner, "start", None) is start:
                self._patches.replace(owner, "start", self._giving_way(start))

    def _giving_way(self, start: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(start)
        def start_after_ours(*args: Any, **kwargs: Any) -> Any:
            if not self._given_up:
                self._given_up = True
                self._patches.undo()
                try:
                    tf.profiler.experimental.stop(save=False)
                finally:
                    self._folder.cleanup()
            return start(*args, **kwargs)

        return start_after_ours


def _least_options() -> Any:
    return tf.profiler.experimental.ProfilerOptions(
        host_tracer_level=1, python_tracer_level=0, device_tracer_level=0
    )
