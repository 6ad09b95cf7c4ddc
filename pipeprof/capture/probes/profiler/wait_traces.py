"""Measures the waits of a loop in short trace windows, where nothing else measures them.

That is the case where AUTOTUNE is off, because tf.data then counts no gaps. In a window that other code
took over, the waits stay unknown.
"""

from pathlib import Path

import numpy as np

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.trace_plan import EndedWindow
from pipeprof.recording.intervals import time_inside
from pipeprof.recording.loop import WaitSource
from pipeprof.recording.series import IntArray
from pipeprof.xspace.trace_reader import read_trace

# Windows are short, few and ever further apart: each makes its steps slower, and takes about 0.1 s at its
# end. After one that the end of an epoch cut short, the next follows at once.
STEPS_PER_WINDOW = 12
LONGEST_WINDOW_NS = 10_000_000_000
MOST_STEPS = 4 * STEPS_PER_WINDOW
MOST_WINDOWS = 12
MOST_BYTES = 20_000_000


class WaitTraces:
    """Plans some windows on one loop, and records how long the steps in them waited.

    Args:
        loop: the loop.
        warmup: steps of the loop that count as warm-up.
    """

    steps = STEPS_PER_WINDOW
    longest_ns = LONGEST_WINDOW_NS
    devices = False

    def __init__(self, loop: OpenLoop, *, warmup: int) -> None:
        self._loop = loop
        self._windows = 0
        self._next_step = warmup
        self._measured = 0
        self._began: list[tuple[int, int]] = []

    def is_due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin after ``done`` steps of a loop."""
        return loop is self._loop and self._windows < MOST_WINDOWS and done >= self._next_step

    def opening(self, loop: OpenLoop) -> None:
        """The profiler is about to be turned on."""
        self._windows += 1
        self._began = []

    def refused(self) -> None:
        """The profiler was on already: waits are measured in later steps, or not at all."""

    def step_began(self, loop: OpenLoop, ordinal: int) -> None:
        """Notes when a step in the window has begun."""
        self._began.append((ordinal, loop.began_ns))

    def ended(self, window: EndedWindow) -> bool:
        """The window has ended; returns whether it has steps."""
        return window.step_count > 0

    def take(self, window: EndedWindow, trace: Path) -> None:
        """Reads from the trace how long each step waited, and records it."""
        loop = window.loop
        waits = self._read(trace, window)
        steps = [(ordinal, began_ns) for ordinal, began_ns in self._began if ordinal < loop.step]
        if waits is None or not steps:
            return
        self._measured += len(steps)
        if self._measured >= MOST_STEPS:
            self._windows = MOST_WINDOWS
        if len(steps) >= STEPS_PER_WINDOW:
            self._next_step = 2 * loop.step
        starts = np.array([began_ns for _, began_ns in steps], np.int64)
        ends = np.append(starts[1:], loop.ended_ns)
        loop.set_waits_by(WaitSource.TRACE)
        spent = ends - starts - time_inside(waits, starts, ends)
        for (step, _), gap_ns in zip(steps, spent.tolist(), strict=True):
            loop.gaps(step, (gap_ns,))

    def lost(self) -> None:
        """The training itself turned the profiler on: the waits of these steps stay unknown."""

    def _read(self, trace: Path, window: EndedWindow) -> IntArray | None:
        """When the loop waited for batches, as intervals; None where the clocks cannot be related."""
        if trace.stat().st_size > MOST_BYTES:
            self._windows = MOST_WINDOWS
        read = read_trace(trace).on_clock_of(window.anchors)
        return read.fetches if read is not None else None
