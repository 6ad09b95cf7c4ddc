"""Opens and closes trace windows: TensorFlow's profiler is on during some steps of a loop, else off.

Turning it on and off takes time of the training, between two steps and as part of none. Plans decide which
steps are traced (`pipeprof.capture.probes.profiler.trace_plan`).

Where TensorFlow trains with other processes there are no windows: in TensorFlow 2.21, turning its profiler
off under `MultiWorkerMirroredStrategy` now and then ends the process by a segmentation fault.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pipeprof.capture.guard import Guard
from pipeprof.capture.launchers import has_tensorflow_peers
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.tensorflow_profiler import ProfilerSession
from pipeprof.capture.probes.profiler.trace_plan import EndedWindow, TracePlan
from pipeprof.clock import now_ns
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _OpenWindow:
    plan: TracePlan
    loop: OpenLoop
    first_step: int
    session: ProfilerSession

    @property
    def lasted_ns(self) -> int:
        return now_ns() - self.session.opened_ns

    def is_over(self, done: int) -> bool:
        """Whether it ends after ``done`` steps of its loop."""
        return done - self.first_step >= self.plan.steps or self.lasted_ns >= self.plan.longest_ns


class TraceWindows:
    """Opens and closes trace windows, one at a time.

    Args:
        warn: adds a sentence to the run's warnings.
        plan: plans windows on all loops; None for plans of single loops only.

    Attributes:
        guard: runs the opening and closing; after a failure there are no more windows.
    """

    def __init__(self, warn: Callable[[str], None], plan: TracePlan | None = None) -> None:
        self.guard = Guard(warn, "Steps could not be traced", "everything else goes on")
        self._plan = plan
        self._plans_of: dict[OpenLoop, TracePlan] = {}
        self._window: _OpenWindow | None = None
        self._mark: Any = None
        self._closing = threading.Lock()
        self._warn = warn
        self._has_peers: bool | None = None

    def plan_also(self, loop: OpenLoop, plan: TracePlan) -> None:
        """Adds a plan for one loop, in place of an earlier one for this loop."""
        self._plans_of[loop] = plan

    # Called by loops (`pipeprof.capture.probes.loops.open_loop.StepTracer`).

    def due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin or to end after ``done`` steps of a loop.

        False where no window can begin, because a loop loses the time between two steps whenever this
        is true.
        """
        window = self._window
        if window is not None:
            return loop is window.loop and window.is_over(done)
        return self._due_plan(loop, done) is not None

    def between_steps(self, loop: OpenLoop) -> None:
        """Opens a window if one is due; called after `left`, which has closed an open one."""
        plan = self._due_plan(loop, loop.step)
        if plan is not None:
            self.guard.run(self._open, plan, loop)

    def step_begins(self, loop: OpenLoop, ordinal: int) -> None:
        """A step of a loop begins."""
        window = self._window
        if window is None or loop is not window.loop:
            return
        window.plan.step_began(loop, ordinal)
        if window.plan.devices:
            self._end_mark()
            self._mark = tf.profiler.experimental.Trace("train", step_num=ordinal, _r=1)
            self._mark.__enter__()

    def left(self, loop: OpenLoop) -> None:
        """A loop does something else than steps now: the window on it ends."""
        if self._window is not None and loop is self._window.loop:
            self._end_mark()
            self.guard.run(self._close)

    def limit(self) -> None:
        """Closes a window within a step that takes too long; called in another thread."""
        window = self._window
        if window is not None and window.lasted_ns >= 2 * window.plan.longest_ns:
            self.guard.run(self._close)

    # Opening and closing.

    def _due_plan(self, loop: OpenLoop, done: int) -> TracePlan | None:
        if self.guard.off or ProfilerSession.current is not None or self._crashes():
            return None
        plans = (self._plan, self._plans_of.get(loop))
        return next((plan for plan in plans if plan is not None and plan.is_due(loop, done)), None)

    def _crashes(self) -> bool:
        """Whether TensorFlow's profiler may end this process. Asked late: a script may make its cluster."""
        if self._has_peers is None:
            self._has_peers = has_tensorflow_peers(os.environ)
            if self._has_peers and self._plan is not None:
                self._warn(
                    "No steps were traced: TensorFlow's profiler can crash a process that trains "
                    "with others."
                )
        return self._has_peers

    def _open(self, plan: TracePlan, loop: OpenLoop) -> None:
        first_step = loop.step
        plan.opening(loop)
        session = ProfilerSession.open(devices=plan.devices)
        if session is not None:
            self._window = _OpenWindow(plan, loop, first_step, session)
        else:
            plan.refused()

    def _close(self) -> None:
        with self._closing:
            window, self._window = self._window, None
        if window is None:
            return
        plan, session = window.plan, window.session
        ended = EndedWindow(
            loop=window.loop,
            first_step=window.first_step,
            step_count=window.loop.step - window.first_step,
            start_ns=session.opened_ns,
            end_ns=now_ns(),
            anchors=tuple(session.anchors),
        )
        try:
            trace = session.close(save=plan.ended(ended))
            if trace is not None:
                plan.take(ended, trace)
        finally:
            session.forget()
        if session.given_up:
            plan.lost()

    def _end_mark(self) -> None:
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.__exit__(None, None, None)


def windows_on(loop: OpenLoop, warn: Callable[[str], None]) -> TraceWindows:
    """The trace windows of a loop, made if it has none."""
    windows = loop.tracer
    if not isinstance(windows, TraceWindows):
        windows = loop.tracer = TraceWindows(warn)
    return windows
