"""The interface of plans, which choose the steps to trace and receive the traces. Knows no framework."""

from pathlib import Path
from typing import Protocol

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedWindow:
    """A trace window: successive steps of one loop during which TensorFlow's profiler was on.

    Attributes:
        loop: the loop.
        first_step: ordinal of its first step.
        step_count: how many steps it has.
        start_ns: when the profiler was turned on.
        end_ns: just before the profiler was turned off.
        anchors: begin and end of each event that relates the trace's clock to the recording's.
    """

    loop: OpenLoop
    first_step: int
    step_count: int
    start_ns: int
    end_ns: int
    anchors: tuple[tuple[int, int], ...]


class TracePlan(Protocol):
    """Plans trace windows and receives their traces."""

    @property
    def steps(self) -> int:
        """How many steps a window has."""

    @property
    def longest_ns(self) -> int:
        """A window ends with the first step that ends after this time."""

    @property
    def devices(self) -> bool:
        """Whether to trace devices too, and everything that XProf draws, marked steps included."""

    def is_due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin after ``done`` steps of a loop."""

    def opening(self, loop: OpenLoop) -> None:
        """The profiler is about to be turned on."""

    def refused(self) -> None:
        """The profiler was on already, so there is no window."""

    def step_began(self, loop: OpenLoop, ordinal: int) -> None:
        """A step in the window has begun."""

    def ended(self, window: EndedWindow) -> bool:
        """The window has ended; returns whether its trace is wanted."""

    def take(self, window: EndedWindow, trace: Path) -> None:
        """Receives the trace of a window, a file that is removed when this returns."""

    def lost(self) -> None:
        """The training itself turned the profiler on, so the window has no trace."""
