"""Two trace windows in a training, for XProf and for what devices do in each step.

What was traced is read when the profile is over (`pipeprof.capture.probes.profiler.traced_profile`).
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.trace_plan import EndedWindow
from pipeprof.capture.probes.profiler.traced_profile import KeptTrace
from pipeprof.capture.recorder.facts import TraceWindowFacts
from pipeprof.capture.recorder.recorder import Recorder

WINDOWS = 2

# A window ends with the first step that ends after so long, and in the middle of one after twice that.
LONGEST_NS = 5_000_000_000
# After a trace of this size the next one is shorter.
MOST_BYTES = 100_000_000
# Where windows come to nothing (others have the profiler, epochs of one step) no more are tried, and
# from some number on those are kept too of which an epoch's end has left less than half.
MOST_TRIED = 8
TRIED_FOR_WHOLE = 4


class StepTraces:
    """Plans a window after the warm-up of the loops that train, and one later on; keeps the traces.

    Args:
        profiles: folder of TensorBoard's profile runs.
        run: name of the run; each window is a profile run of its own, named for it.
        steps: how many steps a window has.
        warmup: steps of each loop that count as warm-up.
        wanted: whether this profiler can see what trains.
        recorder: records the windows.

    Attributes:
        steps: how many steps the next window has.
        kept: the traces so far.
        tried: how often the profiler was to be turned on.
        warned: whether a warning says what became of a window.
    """

    devices = True

    def __init__(
        self,
        profiles: Path,
        run: str,
        *,
        steps: int,
        warmup: int,
        wanted: Callable[[], bool],
        recorder: Recorder,
    ) -> None:
        self.steps = steps
        self.kept: list[KeptTrace] = []
        self.tried = 0
        self.warned = False
        self._profiles = profiles
        self._run = run
        self._warmup = warmup
        self._wanted = wanted
        self._recorder = recorder
        self._next: dict[int, int] = {}

    @property
    def longest_ns(self) -> int:
        """A window ends with the first step that ends after so long."""
        return LONGEST_NS

    def is_due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin after so many steps of a loop."""
        left = len(self.kept) < WINDOWS and self.tried < MOST_TRIED and self.steps > 0
        now = left and loop.kind.trains and done >= self._next.get(loop.number, self._warmup)
        return now and self._wanted()

    def opening(self, loop: OpenLoop) -> None:
        """The profiler is about to be turned on."""
        self.tried += 1
        self._next[loop.number] = loop.step + self.steps  # if it is not to be had

    def refused(self) -> None:
        """It was on already, so there is no window."""
        self._say(
            "TensorFlow's profiler was on already: it is left alone, and no steps are traced "
            "beside it."
        )

    def step_began(self, loop: OpenLoop, ordinal: int) -> None:
        """Nothing is to be noted of a step: it is marked in the trace."""

    def ended(self, window: EndedWindow) -> bool:
        """The window has ended; returns whether it has steps enough to be kept."""
        count = window.step_count
        whole = count >= self.steps or window.end_ns - window.start_ns >= LONGEST_NS
        # The second one lies well apart from the first, and still in a short training. One that the
        # end of an epoch cuts short is followed by the next at once.
        apart = max(window.loop.step, self.steps) if whole else 1
        self._next[window.loop.number] = window.loop.step + apart
        enough = whole or 2 * count >= self.steps or self.tried >= TRIED_FOR_WHOLE
        return count > 0 and enough

    def take(self, window: EndedWindow, trace: Path) -> None:
        """Moves the trace to where TensorBoard finds it, and records the window."""
        size = trace.stat().st_size
        folder = self._profiles / f"{self._run}_window{len(self.kept) + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.move(trace, folder / trace.name))
        self.kept.append(KeptTrace(path=path, anchors=window.anchors))
        self._recorder.names.new(
            TraceWindowFacts(
                run=folder.name,
                loop=window.loop.number,
                start_ns=window.start_ns,
                end_ns=window.end_ns,
                first_step=window.first_step,
                step_count=window.step_count,
            )
        )
        if size > MOST_BYTES:
            count = window.step_count
            self.steps = min(self.steps, count) * MOST_BYTES // size
            self._say(
                f"The trace of {count} steps has {size / 1e6:,.0f} MB: "
                + (f"the next has {self.steps} steps." if self.steps else "there is no second.")
            )

    def lost(self) -> None:
        """The training turned the profiler on for itself, so that the window has no trace."""
        self._say(
            "The training turned TensorFlow's profiler on itself and got it: a window of traced "
            "steps was given up for that."
        )

    def _say(self, sentence: str) -> None:
        self.warned = True
        self._recorder.warn(sentence)
