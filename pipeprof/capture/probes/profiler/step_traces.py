"""Plans two trace windows in a training, for XProf and to see what devices do in each step.

The traces are read when the profile is over (`pipeprof.capture.probes.profiler.traced_profile`).
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

# A window ends with the first step that ends after this time, and within a step after twice this time.
LONGEST_NS = 5_000_000_000
# After a trace of this size the next one is shorter.
MOST_BYTES = 100_000_000
# The most windows that are tried, as many may fail: the profiler may be in use, or epochs have one step.
# From the second number of tries on, a window is kept even if the end of an epoch cut it to less than half.
MOST_TRIED = 8
TRIED_FOR_WHOLE = 4


class StepTraces:
    """Plans a window after the warm-up of training loops, and a later one; keeps the traces.

    Args:
        profiles: folder of TensorBoard's profile runs.
        run: name of the run; each window becomes a profile run with a name derived from it.
        steps: how many steps a window has.
        warmup: steps of each loop that count as warm-up.
        wanted: returns whether TensorFlow's profiler can trace the training.
        recorder: records the windows.

    Attributes:
        steps: how many steps the next window has.
        kept: the traces so far.
        tried: how often pipeprof tried to turn the profiler on.
        warned: whether a window failed, for which there is a warning.
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
        """A window ends with the first step that ends after this time."""
        return LONGEST_NS

    def is_due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin after ``done`` steps of a loop."""
        left = len(self.kept) < WINDOWS and self.tried < MOST_TRIED and self.steps > 0
        now = left and loop.kind.trains and done >= self._next.get(loop.number, self._warmup)
        return now and self._wanted()

    def opening(self, loop: OpenLoop) -> None:
        """The profiler is about to be turned on."""
        self.tried += 1
        self._next[loop.number] = loop.step + self.steps  # in case it cannot be turned on

    def refused(self) -> None:
        """The profiler was on already, so there is no window."""
        self._warn(
            "TensorFlow's profiler was on already: it is left alone, and no steps are traced "
            "beside it."
        )

    def step_began(self, loop: OpenLoop, ordinal: int) -> None:
        """Does nothing: steps are marked in the trace."""

    def ended(self, window: EndedWindow) -> bool:
        """The window has ended; returns whether it has enough steps to keep its trace."""
        count = window.step_count
        whole = count >= self.steps or window.end_ns - window.start_ns >= LONGEST_NS
        # The second window begins well after the first, but early enough for a short training. After one
        # that the end of an epoch cut short, the next follows at once.
        apart = max(window.loop.step, self.steps) if whole else 1
        self._next[window.loop.number] = window.loop.step + apart
        enough = whole or 2 * count >= self.steps or self.tried >= TRIED_FOR_WHOLE
        return count > 0 and enough

    def take(self, window: EndedWindow, trace: Path) -> None:
        """Moves the trace of a window to a folder where TensorBoard finds it, and records the window."""
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
            self._warn(
                f"The trace of {count} steps has {size / 1e6:,.0f} MB: "
                + (f"the next has {self.steps} steps." if self.steps else "there is no second.")
            )

    def lost(self) -> None:
        """The training itself turned the profiler on, so the window has no trace."""
        self._warn(
            "The training turned TensorFlow's profiler on itself and got it: a window of traced "
            "steps was given up for that."
        )

    def _warn(self, sentence: str) -> None:
        self.warned = True
        self._recorder.warn(sentence)
