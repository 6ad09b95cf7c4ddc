"""The loops that are open, one inside the other. Knows no framework."""

from typing import TypeAlias

from pipeprof.capture.probes.loops.open_loop import OpenLoop, StepTracer
from pipeprof.capture.recorder.facts import InputFacts, LoopFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.clock import Clock, now_ns
from pipeprof.recording.account import PassContext
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind, LoopKind
from pipeprof.recording.source_code import Location

MOST_LOOPS = 64


# What loops that are one have in common: kind, number of the loop around, source, kind of input.
_Likeness: TypeAlias = "tuple[LoopKind, int, LoopSource | None, InputKind | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSource:
    """What calls of ``fit`` that belong together have in common.

    Attributes:
        model: number of the model.
        location: the user's line that called, or None where that is not known.
    """

    model: int
    location: Location | None


class LoopStack:
    """The loops that are open, outermost first.

    Args:
        recorder: where to record.
        clock: returns the time in ns; for tests.

    Attributes:
        current: the innermost open loop, or None.
        tracer: traces some steps of the loops to come, or None.
    """

    def __init__(self, recorder: Recorder, clock: Clock = now_ns) -> None:
        self.current: OpenLoop | None = None
        self.tracer: StepTracer | None = None
        self._recorder = recorder
        self._clock = clock
        self._open: list[OpenLoop] = []
        self._reusable: dict[_Likeness, OpenLoop] = {}
        self._latest: dict[tuple[LoopKind, int], OpenLoop] = {}
        self._count = 0

    @property
    def open_loops(self) -> tuple[OpenLoop, ...]:
        """All open loops, outermost first; may be asked for from any thread."""
        return tuple(self._open)

    @property
    def any_began(self) -> bool:
        """Whether any loop has begun so far; may be asked for from any thread."""
        return self._count > 0

    def add(
        self,
        kind: LoopKind,
        *,
        fed_by: InputFacts | None = None,
        fetches_first: bool = False,
        start_ns: int | None = None,
        beside: bool = False,
        source: "LoopSource | None" = None,
        warmup: int | None = None,
    ) -> OpenLoop:
        """Opens a loop inside those that are open.

        Validation that comes back in every epoch of the same ``fit`` is one loop, and so are calls on the
        same model from the same line that are fed with the same kind of input.

        Args:
            kind: what loop it is.
            fed_by: what it is fed with, or None.
            fetches_first: whether it asks for the batch before it reports that the step begins.
            start_ns: when it began; now without it.
            beside: whether it is no part of the loop that is open.
            source: the model and the user's line, where they are known.
            warmup: steps that count as warm-up; as many as the profile has without it.
        """
        now = self._clock() if start_ns is None else start_ns
        outer = self.current
        if outer is not None:
            outer.pause()
        if beside:
            outer = None
        fed_with = fed_by.kind if fed_by is not None else None
        key = (kind, outer.number if outer is not None else 0, source, fed_with)
        again = self._reusable.get(key)
        alone = outer is None and source is None
        if self._count >= MOST_LOOPS:
            again = (
                again or self._reusable.get((*key[:2], None, fed_with)) or self._latest.get(key[:2])
            )
        if again is None or (alone and self._count < MOST_LOOPS):
            parent = outer.number if outer is not None else None
            facts = LoopFacts(
                kind=kind,
                start_ns=now,
                parent=parent,
                input=fed_by,
                model=source.model if source is not None else None,
                location=source.location if source is not None else None,
                warmup=warmup,
            )
            number = self._recorder.names.new(facts)
            again = OpenLoop(self._recorder, kind, number, fetches_first=fetches_first)
            again.model = facts.model
            self._reusable[key] = self._latest[key[:2]] = again
            self._count += 1
            if self._count == MOST_LOOPS:
                self._recorder.warn(
                    f"More than {MOST_LOOPS} training loops ran: later ones of a kind are shown as one."
                )
        again.fed_by = fed_by
        self._take_up(again, now, PassContext.TOP if outer is None else outer.context)
        return again

    def reopen(self, loop: OpenLoop, now: int) -> None:
        """Opens a loop again that was closed, from then on."""
        outer = self.current
        if outer is not None:
            outer.pause()
        context = PassContext.TOP if outer is None else outer.context
        self._take_up(loop, now, context)

    def _take_up(self, loop: OpenLoop, now: int, context: PassContext) -> None:
        loop.begin_pass(now, context)
        loop.tracer = self.tracer
        self._open.append(loop)
        self.current = loop

    def close(self, loop: OpenLoop) -> None:
        """Closes a loop, and with it all that were left open inside."""
        if loop in self._open:
            while self._open:
                inner = self._open.pop()
                self.current = self._open[-1] if self._open else None
                inner.leave_steps()
                inner.end_pass(self._clock())
                if inner is loop:
                    break
            if self._open:
                self._open[-1].go_on(self._clock())

    def close_all(self) -> None:
        """Closes every loop, at the end of the profile."""
        for loop in list(self._open):
            self.close(loop)
