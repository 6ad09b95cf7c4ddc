"""Which loop takes batches right now, and where its steps begin and end.

The probes that see a framework's calls tell the tracker; it decides what a step is and records it.
Everything here runs in the training thread. It knows no framework.

A step reaches from where the loop turns to one batch to where it turns to the next, so whatever the
loop does between two batches counts as computing, and the steps of an epoch leave no hole.
"""

from collections.abc import Mapping
from typing import Any

from pipeprof.clock import Clock, now_ns
from pipeprof.probes.batches import BatchShape
from pipeprof.recorder import Recorder
from pipeprof.recording import InputKind, LoopKind, WaitSource
from pipeprof.records import NOT_READ, Kind, code

MOST_LOOPS = 64


class OpenLoop:
    """A loop that has not ended.

    Attributes:
        kind: what loop it is.
        number: its number in the recorder's names.
        step: ordinal of the step that is next or runs.
        fetches_first: whether it asks for the batch before it says that the step begins.
        waits_by: what tells its waits, once that is known.
    """

    def __init__(
        self, recorder: Recorder, kind: LoopKind, number: int, *, fetches_first: bool
    ) -> None:
        self.kind = kind
        self.number = number
        self.step = 0
        self.fetches_first = fetches_first
        self.waits_by: WaitSource | None = None
        self._recorder = recorder
        self._lane = recorder.lane()
        self._epoch = -1
        self._begin_ns: int | None = None
        self._end_ns = 0
        self._batches = 1
        self._step_code = code(Kind.STEP, number)
        self._wait_code = code(Kind.WAIT, number)
        self._gap_code = code(Kind.GAP, number)
        self._samples_code = code(Kind.SAMPLES, number)

    def begin_epoch(self, now: int) -> None:
        """A new pass over the data begins, and with it the wait for its first batch."""
        self.leave_steps()
        self._epoch += 1
        self._begin_ns = self._end_ns = now

    def begin_step(self, now: int) -> None:
        """The loop says that a step begins."""
        if self.fetches_first:
            self.wait(self._end_ns, now)
        elif self._begin_ns is None or self._batches_taken():
            self._close(now)
            self._begin_ns = now

    def end_step(self, now: int, batches: int = 1) -> None:
        """The loop says that a step has ended."""
        self._end_ns = now
        self._batches = batches
        if self.fetches_first:
            self._close(now)
            self._begin_ns = now

    def turn(self, now: int, batches: int = 1) -> None:
        """The loop turns to the next batch: the step before ends, the next begins."""
        self._close(now)
        self._begin_ns = self._end_ns = now
        self._batches = batches

    def leave_steps(self) -> None:
        """The loop turns to something else: its last step ended where it said so."""
        if not self.fetches_first and self._batches_taken():
            self._close(self._end_ns)
        self._begin_ns = None

    def wait(self, start_ns: int, end_ns: int, shape: BatchShape | None = None) -> None:
        """The loop was blocked for a batch, whose outside may have been looked at."""
        if shape is None:
            self._lane.write(self._wait_code, start_ns, end_ns, 0, NOT_READ)
        else:
            samples = shape.samples if shape.samples is not None else NOT_READ
            self._lane.write(self._wait_code, start_ns, end_ns, shape.number, samples)

    def gaps(self, first_step: int, gaps_ns: tuple[int, ...]) -> None:
        """A framework tells, step by step, how long the loop was not waiting."""
        for offset, gap_ns in enumerate(gaps_ns):
            self._lane.write(self._gap_code, 0, 0, first_step + offset, gap_ns)

    def samples(self, count: int) -> None:
        """The loop took some samples."""
        now = now_ns()
        self._lane.write(self._samples_code, now, now, 0, count)

    def tell(self, **facts: Any) -> None:
        """Adds facts to the loop (``kind``, ``input``, ``waits_by``)."""
        self._recorder.names.tell(self.number, facts)

    def waits_told_by(self, source: WaitSource) -> None:
        """Says what measures the waits of this loop; said once, the first word stays."""
        if self.waits_by is None:
            self.waits_by = source
            self.tell(waits_by=source.value)

    @property
    def ended_ns(self) -> int:
        """When its latest step ended, as far as it said."""
        return self._end_ns

    @property
    def fetching(self) -> bool:
        """Whether a step has begun and not ended: where batches are fetched first in a step."""
        return self._begin_ns is not None and not self._batches_taken()

    def correct_batches(self, batches: int) -> None:
        """The step that ended last took fewer batches than it said."""
        self._batches = batches

    def _batches_taken(self) -> bool:
        return self._begin_ns is not None and self._end_ns > self._begin_ns

    def _close(self, end_ns: int) -> None:
        if self._begin_ns is None or end_ns <= self._begin_ns:
            return
        position = max(self._epoch, 0) << 32 | self._batches
        self._lane.write(self._step_code, self._begin_ns, end_ns, self.step, position)
        self.step += 1


class LoopTracker:
    """The loops that are open, outermost first.

    Args:
        recorder: where to record.
        clock: tells the time; for tests.
    """

    def __init__(self, recorder: Recorder, clock: Clock = now_ns) -> None:
        self._recorder = recorder
        self._clock = clock
        self._open: list[OpenLoop] = []
        self._reusable: dict[tuple[LoopKind, int], OpenLoop] = {}
        self._count = 0
        self.hand = HandLoop(self, clock)

    @property
    def current(self) -> OpenLoop | None:
        """The innermost open loop."""
        return self._open[-1] if self._open else None

    def open(
        self,
        kind: LoopKind,
        *,
        fed_by: Mapping[str, Any] | None = None,
        fetches_first: bool = False,
    ) -> OpenLoop:
        """Opens a loop inside those that are open.

        Validation that comes back in every epoch of the same ``fit`` is one loop.
        """
        outer = self.current
        if outer is not None:
            outer.leave_steps()
        key = (kind, outer.number if outer is not None else 0)
        again = self._reusable.get(key)
        if again is None or (outer is None and self._count < MOST_LOOPS):
            facts: dict[str, Any] = {"type": "loop", "kind": kind.value, "start_ns": self._clock()}
            if outer is not None:
                facts["parent"] = outer.number
            if fed_by:
                facts["input"] = dict(fed_by)
            number = self._recorder.names.new(facts)
            again = OpenLoop(self._recorder, kind, number, fetches_first=fetches_first)
            self._reusable[key] = again
            self._count += 1
            if self._count == MOST_LOOPS:
                self._recorder.warn(
                    f"More than {MOST_LOOPS} training loops ran: later ones of a kind are shown as one."
                )
        self._open.append(again)
        return again

    def close(self, loop: OpenLoop) -> None:
        """Closes a loop, and with it all that were left open inside."""
        if loop in self._open:
            while self._open:
                inner = self._open.pop()
                inner.leave_steps()
                if inner is loop:
                    return

    def close_all(self) -> None:
        """Closes every loop, at the end of the profile."""
        self.hand.end()
        for loop in list(self._open):
            self.close(loop)


class HandLoop:
    """Sees a hand-written loop by its fetches, its ``train_on_batch`` calls and ``prof.step()``.

    The clearest sign of a step that was seen decides: ``prof.step()`` before fetches before
    ``train_on_batch``.
    """

    _FETCH, _STEP = "fetch", "step"

    def __init__(self, tracker: LoopTracker, clock: Clock) -> None:
        self._tracker = tracker
        self._clock = clock
        self._loop: OpenLoop | None = None
        self._sign: str | None = None
        self._source: int | None = None
        self._strange = 0
        self._trains_on_batch = False

    @property
    def running(self) -> bool:
        """Whether a hand-written loop is open."""
        return self._loop is not None

    def fetched(
        self,
        source: int,
        fed_by: Mapping[str, Any],
        start_ns: int,
        end_ns: int,
        shape: BatchShape | None,
    ) -> None:
        """A batch was taken by hand from an iterator (``source`` tells which object it iterates)."""
        loop = self._loop
        if loop is None or (source != self._source and self._turned_away()):
            loop = self._begin(LoopKind.CUSTOM, fed_by, start_ns)
            self._source = source
        if self._sign is None:
            self._sign = self._FETCH
            loop.waits_told_by(WaitSource.ITERATOR)
        if source != self._source:
            loop.wait(start_ns, end_ns)
            return
        self._strange = 0
        if self._sign == self._FETCH:
            loop.turn(start_ns)
        loop.wait(start_ns, end_ns, shape)

    def exhausted(self, source: int, start_ns: int) -> None:
        """The iterator had no more: an epoch is over."""
        if self._loop is not None and source == self._source and self._sign == self._FETCH:
            self._loop.turn(start_ns)
            self._loop.leave_steps()
            self._loop.begin_epoch(start_ns)
            self._loop.leave_steps()

    def step_began(self, now: int) -> None:
        """``with prof.step()`` was entered."""
        loop = self._loop or self._begin(LoopKind.CUSTOM, None, now)
        if self._sign != self._STEP:
            self._sign = self._STEP
            loop.fetches_first = False

    def step_ended(self, now: int) -> None:
        """``with prof.step()`` was left."""
        if self._loop is not None:
            self._loop.turn(now)

    def trained_on_batch(self, start_ns: int, end_ns: int, samples: int | None) -> None:
        """``train_on_batch`` was called outside of any ``fit``."""
        loop = self._loop or self._begin(LoopKind.TRAIN_ON_BATCH, None, start_ns)
        if not self._trains_on_batch:
            self._trains_on_batch = True
            loop.tell(kind=LoopKind.TRAIN_ON_BATCH.value)
        if self._sign is None:
            loop.turn(end_ns)
        if samples is not None and self._source is None:
            loop.samples(samples)

    def end(self) -> None:
        """The loop is over: the profile ends, or a framework's loop begins."""
        if self._loop is not None:
            if self._sign == self._FETCH:
                self._loop.turn(self._clock())
            self._tracker.close(self._loop)
        self._loop = self._sign = self._source = None
        self._trains_on_batch = False

    def _begin(self, kind: LoopKind, fed_by: Mapping[str, Any] | None, now: int) -> OpenLoop:
        self.end()
        self._strange = 0
        self._loop = self._tracker.open(kind, fed_by=fed_by)
        self._loop.begin_epoch(now)
        return self._loop

    def _turned_away(self) -> bool:
        """Whether the loop now lives on another dataset: twice that, and never the first between."""
        self._strange += 1
        return self._source is None or self._strange > 1


def describe_input(kind: InputKind, name: str | None = None, **facts: Any) -> dict[str, Any]:
    """What is recorded of a loop's input; keys as in `pipeprof.recording.Input`."""
    return {"kind": kind.value, "name": name, **facts}
