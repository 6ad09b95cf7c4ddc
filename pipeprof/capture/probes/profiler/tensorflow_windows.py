"""Two windows of TensorFlow's profiler in a training: all that it sees of some steps, for XProf too.

The training pays for turning it on and off, between two steps and as part of none; what was traced is
read when the profile is over (`pipeprof.capture.probes.profiler.traced_profile`).
"""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.tensorflow_profiler import ProfilerWindow
from pipeprof.capture.probes.profiler.traced_profile import TakenWindow
from pipeprof.clock import now_ns

WINDOWS = 2

# A window ends with the first step that ends after so long, and in the middle of one after twice that.
LONGEST_NS = 5_000_000_000
# After a trace of this size the next one is shorter.
MOST_BYTES = 100_000_000
# Where windows come to nothing (others have the profiler, epochs of one step) no more are tried, and
# from some number on those are kept too of which an epoch's end has left less than half.
MOST_TRIED = 8
TRIED_FOR_WHOLE = 4


class TraceWindows:
    """Traces some steps after the warm-up of the loops that train, and some more later on.

    Args:
        profiles: folder of TensorBoard's profile runs.
        run: name of the run; each window is a profile run of its own, named for it.
        steps: how many steps a window has.
        warmup: steps of each loop that count as warm-up.
        wanted: whether this profiler can see what trains.
        warn: adds a sentence to what a reader of the report must know.

    Attributes:
        taken: the windows so far.
        tried: how often the profiler was to be turned on.
        said: whether something was said of the windows.
    """

    def __init__(
        self,
        profiles: Path,
        run: str,
        *,
        steps: int,
        warmup: int,
        wanted: Callable[[], bool],
        warn: Callable[[str], None],
    ) -> None:
        self.taken: list[TakenWindow] = []
        self._profiles = profiles
        self._run = run
        self._steps = steps
        self._warmup = warmup
        self._wanted = wanted
        self._warn = warn
        self.tried = 0
        self.said = False
        self._next: dict[int, int] = {}
        self._window: ProfilerWindow | None = None
        self._loop: OpenLoop | None = None
        self._first = 0
        self._mark: Any = None
        self._closing = threading.Lock()

    # What loops tell (`pipeprof.capture.probes.loops.open_loop.StepMarks`).

    def due(self, loop: OpenLoop, done: int) -> bool:
        """Whether, after so many steps of a loop, a window is to begin or to end.

        Not where none can begin: the time from a step to the next is lost whenever it is due.
        """
        if self._window is not None:
            if loop is not self._loop:
                return False
            return done - self._first >= self._steps or self._lasted_ns() >= LONGEST_NS
        left = len(self.taken) < WINDOWS and self.tried < MOST_TRIED and self._steps > 0
        now = left and loop.kind.trains and done >= self._next.get(loop.number, self._warmup)
        # Another window is open where the waits of the loop are read from it.
        return now and ProfilerWindow.current is None and self._wanted()

    def between_steps(self, loop: OpenLoop) -> None:
        """It is due, and the loop has left its steps, which has ended the window if one was open."""
        if self.due(loop, loop.step):
            self._guarded(self._open, loop)

    def step_begins(self, loop: OpenLoop, ordinal: int) -> None:
        """A step of a loop begins."""
        if self._window is not None and loop is self._loop:
            self._end_mark()
            self._mark = tf.profiler.experimental.Trace("train", step_num=ordinal, _r=1)
            self._mark.__enter__()

    def left(self, loop: OpenLoop) -> None:
        """A loop has turned to something else: the window on it is over."""
        if loop is self._loop:
            self._end_mark()
            self._guarded(self._close)

    # How it is done.

    def limit(self) -> None:
        """Ends a window in the middle of a step that takes too long; called from another thread."""
        if self._window is not None and self._lasted_ns() >= 2 * LONGEST_NS:
            self._guarded(self._close)

    def _open(self, loop: OpenLoop) -> None:
        self.tried += 1
        self._next[loop.number] = loop.step + self._steps  # if the profiler is not to be had
        self._first = loop.step
        self._window = ProfilerWindow.open(devices=True)
        if self._window is not None:
            self._loop = loop
        else:
            self._say(
                "TensorFlow's profiler was on already: it is left alone, and no steps are traced "
                "beside it."
            )

    def _close(self) -> None:
        with self._closing:
            window, self._window = self._window, None
            loop, self._loop = self._loop, None
        if window is None or loop is None:
            return
        steps, end_ns = loop.step - self._first, now_ns()
        lasts = end_ns - window.opened_ns >= LONGEST_NS
        whole = steps >= self._steps or lasts
        keep = steps > 0 and (whole or 2 * steps >= self._steps or self.tried >= TRIED_FOR_WHOLE)
        # The second one lies well apart from the first, and still in a short training. One that the
        # end of an epoch cuts short is followed by the next at once.
        apart = max(loop.step, self._steps) if whole else 1
        self._next[loop.number] = loop.step + apart
        try:
            trace = window.close(save=keep)
            if trace is not None:
                self._keep(trace, window, steps, end_ns)
        finally:
            window.forget()
        if window.given_up:
            self._say(
                "The training turned TensorFlow's profiler on itself and got it: a window of traced "
                "steps was given up for that."
            )

    def _keep(self, trace: Path, window: ProfilerWindow, steps: int, end_ns: int) -> None:
        size = trace.stat().st_size
        folder = self._profiles / f"{self._run}_window{len(self.taken) + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.move(trace, folder / trace.name))
        self.taken.append(
            TakenWindow(
                path=path,
                start_ns=window.opened_ns,
                end_ns=end_ns,
                first_step=self._first,
                step_count=steps,
                anchors=tuple(window.anchors),
            )
        )
        if size > MOST_BYTES:
            self._steps = min(self._steps, steps) * MOST_BYTES // size
            self._say(
                f"The trace of {steps} steps has {size / 1e6:,.0f} MB: "
                + (f"the next has {self._steps} steps." if self._steps else "there is no second.")
            )

    def _lasted_ns(self) -> int:
        window = self._window  # `limit`, in another thread, may close it at any moment
        return now_ns() - window.opened_ns if window is not None else 0

    def _end_mark(self) -> None:
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.__exit__(None, None, None)

    def _say(self, sentence: str) -> None:
        self.said = True
        self._warn(sentence)

    def _guarded(self, action: Callable[..., None], *args: Any) -> None:
        """A window that fails says so, and there are no more."""
        try:
            action(*args)
        except Exception as error:
            self.tried = MOST_TRIED
            self._window = self._loop = None
            self._say(
                f"Steps could not be traced ({type(error).__name__}: {error}); "
                "everything else goes on."
            )
