"""The waits of a loop from short windows of TensorFlow's profiler, where nothing else tells them.

That is so where AUTOTUNE is off: tf.data then counts no gaps. The steps of a window that was given up
for another's are not told.
"""

from pathlib import Path

import numpy as np

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.tensorflow_profiler import ProfilerWindow
from pipeprof.recording.intervals import time_inside
from pipeprof.recording.loop import WaitSource
from pipeprof.recording.series import IntArray
from pipeprof.xspace.trace_reader import read_trace

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
                self._window = ProfilerWindow.open(devices=False)
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
        try:
            trace = window.close()
            waits = self._read(trace, window) if trace is not None else None
        finally:
            window.forget()
        if waits is None or not steps:
            return
        self._told += len(steps)
        if self._told >= MOST_STEPS:
            self._windows = MOST_WINDOWS
        if len(steps) == STEPS_PER_WINDOW:
            self._next_step = 2 * loop.step
        starts = np.array([began_ns for _, began_ns in steps], np.int64)
        ends = np.append(starts[1:], loop.ended_ns)
        loop.waits_told_by(WaitSource.TRACE)
        spent = ends - starts - time_inside(waits, starts, ends)
        for (step, _), gap_ns in zip(steps, spent.tolist(), strict=True):
            loop.gaps(step, (gap_ns,))

    def _read(self, path: Path, window: ProfilerWindow) -> IntArray | None:
        """When batches were waited for, or None where that cannot be tied to our clock."""
        if path.stat().st_size > MOST_BYTES:
            self._windows = MOST_WINDOWS
        trace = read_trace(path).on_clock_of(window.anchors)
        return trace.fetches if trace is not None else None
