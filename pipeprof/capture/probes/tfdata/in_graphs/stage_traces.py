"""Plans the short traces that show what the stages behind a distribution strategy cost."""

from collections.abc import Callable
from pathlib import Path

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.trace_plan import EndedWindow
from pipeprof.capture.probes.tfdata.in_graphs.distributed_stages import DistributedPipeline
from pipeprof.xspace.graph_iterators import read_distributed_iterators

STEPS_PER_WINDOW = 12
LONGEST_WINDOW_NS = 5_000_000_000
MOST_BYTES = 20_000_000
# Windows that come to nothing (another has the profiler, an epoch of one step) are tried again so often.
MOST_TRIED = 8


class StageTraces:
    """Plans some windows on one loop, to see what its stages cost behind a strategy.

    Args:
        loop: the loop.
        pipeline: what it takes its batches from.
        warmup: steps of the loop that count as warm-up.
        generators_ns: returns the time spent in generators so far.
    """

    steps = STEPS_PER_WINDOW
    longest_ns = LONGEST_WINDOW_NS
    devices = False

    def __init__(
        self,
        loop: OpenLoop,
        pipeline: DistributedPipeline,
        *,
        warmup: int,
        generators_ns: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._pipeline = pipeline
        self._generators_ns = generators_ns
        # A training may be over before its warm-up is, whose steps count for nothing else.
        self._next_step = min(warmup, 1)
        self._tried = 0
        self._before_ns = 0
        self._python_ns = 0

    def is_due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin after so many steps of a loop."""
        return (
            loop is self._loop
            and done >= self._next_step
            and self._tried < MOST_TRIED
            and self._pipeline.wants_traces
        )

    def opening(self, loop: OpenLoop) -> None:
        """The profiler is about to be turned on."""
        self._tried += 1
        self._before_ns = self._generators_ns()

    def refused(self) -> None:
        """The profiler was on already: a later window is tried."""
        self._next_step = 2 * self._loop.step

    def step_began(self, loop: OpenLoop, ordinal: int) -> None:
        """Steps are not marked."""

    def ended(self, window: EndedWindow) -> bool:
        """The window has ended; returns whether there are steps in it."""
        self._python_ns = self._generators_ns() - self._before_ns
        return window.step_count > 0

    def take(self, window: EndedWindow, trace: Path) -> None:
        """Reads from the trace what an element costs at each stage."""
        self._next_step = 4 * window.loop.step
        if trace.stat().st_size > MOST_BYTES:
            self._tried = MOST_TRIED
            return
        self._pipeline.add_trace(read_distributed_iterators(trace), self._python_ns)

    def lost(self) -> None:
        """The training turned the profiler on for itself: a later window is tried."""
        self._next_step = 2 * self._loop.step
