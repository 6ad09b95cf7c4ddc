"""Which loop takes batches right now: one of a framework's or one written by hand. Knows no framework."""

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.loops.hand_loops import HandLoop
from pipeprof.capture.probes.loops.loop_stack import LoopSource, LoopStack
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.clock import Clock, now_ns
from pipeprof.recording.loop import LoopKind


class LoopTracker(LoopStack):
    """The loops that are open, outermost first, a hand-written one among them.

    Args:
        recorder: where to record.
        clock: returns the time in ns; for tests.

    Attributes:
        hand: follows hand-written loops.
    """

    def __init__(self, recorder: Recorder, clock: Clock = now_ns) -> None:
        super().__init__(recorder, clock)
        guard = Guard(
            recorder.warn,
            "The hand-written loop could not be followed any more",
            "later steps are missing",
        )
        self.hand = HandLoop(self, guard, clock)

    def open(
        self,
        kind: LoopKind,
        *,
        fed_by: InputFacts | None = None,
        fetches_first: bool = False,
        start_ns: int | None = None,
        source: LoopSource | None = None,
    ) -> OpenLoop:
        """Opens a loop inside those that are open.

        A ``fit`` that follows on a hand-written loop looks the same as one within, and counts as a loop
        of its own.
        """
        now = self._clock() if start_ns is None else start_ns
        if self.current is self.hand.loop:
            self.hand.turned_away(kind, now)
        return self.add(
            kind,
            fed_by=fed_by,
            fetches_first=fetches_first,
            start_ns=now,
            source=source,
            beside=self.current is self.hand.loop and kind is LoopKind.FIT,
        )

    def close_all(self) -> None:
        """Closes every loop, at the end of the profile."""
        self.hand.end()
        super().close_all()
