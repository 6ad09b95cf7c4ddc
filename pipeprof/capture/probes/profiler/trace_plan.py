"""Which steps of a training are to be traced, and what becomes of their traces. Knows no framework."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeprof.capture.probes.loops.open_loop import OpenLoop


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedWindow:
    """A trace window: successive steps of one loop during which TensorFlow's profiler was on.

    Attributes:
        loop: the loop.
        first_step: ordinal of the first step in it.
        step_count: steps in it.
        start_ns: when the profiler was turned on.
        end_ns: when it was about to be turned off.
        anchors: begin and end of each event that ties the clock of the trace to ours.
    """

    loop: OpenLoop
    first_step: int
    step_count: int
    start_ns: int
    end_ns: int
    anchors: tuple[tuple[int, int], ...]


class TracePlan(Protocol):
    """Plans trace windows, and is handed what was traced."""

    @property
    def steps(self) -> int:
        """How many steps a window has."""

    @property
    def longest_ns(self) -> int:
        """A window ends with the first step that ends after so long."""

    @property
    def devices(self) -> bool:
        """Whether devices are traced too, and all that XProf draws; steps are marked for it then."""

    def is_due(self, loop: OpenLoop, done: int) -> bool:
        """Whether a window is to begin after so many steps of a loop."""

    def opening(self, loop: OpenLoop) -> None:
        """The profiler is about to be turned on."""

    def refused(self) -> None:
        """It was on already, so there is no window."""

    def step_began(self, loop: OpenLoop, ordinal: int) -> None:
        """A step in the window has begun."""

    def ended(self, window: EndedWindow) -> bool:
        """The window has ended; returns whether its trace is wanted."""

    def take(self, window: EndedWindow, trace: Path) -> None:
        """Takes the trace of a window, a file that goes when this returns."""

    def lost(self) -> None:
        """The training turned the profiler on for itself, so that the window has no trace."""
