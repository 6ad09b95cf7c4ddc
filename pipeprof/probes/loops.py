"""Which loop takes batches right now, and where its steps begin and end.

The probes that see a framework's calls tell the tracker; it decides what a step is and records it.
Everything here runs in the training thread. It knows no framework.

A step reaches from where the loop turns to one batch to where it turns to the next, so whatever the
loop does between two batches counts as computing, and the steps of an epoch leave no hole.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

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
        self._in_step = False
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
        if self._begin_ns is None:
            self._begin_ns = now
        elif self.fetches_first:
            self.wait(self._end_ns, now)
        elif self._batches_taken():
            self._close(now)
            self._begin_ns = now
        self._in_step = True

    def end_step(self, now: int, batches: int = 1) -> None:
        """The loop says that a step has ended."""
        self._end_ns = now
        self._batches = batches
        self._in_step = False
        if self.fetches_first:
            self._close(now)
            self._begin_ns = now

    def turn(self, now: int, batches: int = 1) -> None:
        """The loop turns to the next batch: the step before, which took so many, ends here."""
        self._batches = batches
        self._close(now)
        self._begin_ns = self._end_ns = now

    def leave_steps(self) -> None:
        """The loop turns to something else: its last step ended where it said so."""
        if not self.fetches_first and self._batches_taken():
            self._close(self._end_ns)
        self._begin_ns = None
        self._in_step = False

    def pause(self) -> None:
        """Another loop begins inside: part of the step that runs, if one does, else of none."""
        if not self._in_step:
            self.leave_steps()

    def go_on(self, now: int) -> None:
        """The loop inside is over; what fetches first may turn to its next batch now."""
        if self.fetches_first and not self._in_step:
            self._begin_ns = self._end_ns = now

    def taken_up(self) -> None:
        """Whatever comes now comes from the calling thread."""
        self._lane = self._recorder.lane()

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
    def taking(self) -> bool:
        """Whether it is among its batches: in a step, or about to begin one."""
        return self._begin_ns is not None

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
        return self._begin_ns is not None and not self._in_step and self._end_ns > self._begin_ns

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
            outer.pause()
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
        self._take_up(again)
        return again

    def reopen(self, loop: OpenLoop) -> None:
        """Opens a loop again that was closed."""
        outer = self.current
        if outer is not None:
            outer.pause()
        self._take_up(loop)

    def _take_up(self, loop: OpenLoop) -> None:
        loop.taken_up()
        self._open.append(loop)

    def close(self, loop: OpenLoop) -> None:
        """Closes a loop, and with it all that were left open inside."""
        if loop in self._open:
            while self._open:
                inner = self._open.pop()
                inner.leave_steps()
                if inner is loop:
                    break
            if self._open:
                self._open[-1].go_on(self._clock())

    def close_all(self) -> None:
        """Closes every loop, at the end of the profile."""
        self.hand.end()
        for loop in list(self._open):
            self.close(loop)


class _Sign(Enum):
    """What shows a step of a hand-written loop, the least clear first."""

    TRAIN_ON_BATCH = 1
    FETCH = 2
    STEP = 3


class _Fetch(NamedTuple):
    """A batch taken by hand."""

    source: int
    fed_by: Mapping[str, Any]
    start_ns: int
    end_ns: int
    shape: BatchShape | None


class HandLoop:
    """Sees a hand-written loop by its fetches, its ``train_on_batch`` calls and ``prof.step()``.

    The clearest sign of a step that was seen decides: ``prof.step()`` before fetches before
    ``train_on_batch``. A loop lives on one source of batches; it is another one when that is over, or
    when another source gave two batches with none of the first between, and it comes back with its
    source (training and validation in turns).
    """

    def __init__(self, tracker: LoopTracker, clock: Clock) -> None:
        self._tracker = tracker
        self._clock = clock
        self._by_source: dict[int, OpenLoop] = {}
        self._stepped: set[int | None] = set()
        self._forget()

    def _forget(self) -> None:
        self._loop: OpenLoop | None = None
        self._sign: _Sign | None = None
        self._source: int | None = None
        self._strange: _Fetch | None = None
        self._taken = 0
        self._in_step = False
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
        if source == self._source:
            if self._strange is not None:
                self._pass_over_strange()
            self._take(start_ns, end_ns, shape)
            return
        fetch = _Fetch(source, fed_by, start_ns, end_ns, shape)
        loop, strange = self._loop, self._strange
        if loop is None or (self._source is None and self._sign is not _Sign.STEP):
            self._move_to(fetch)
        elif self._source is None:
            self._adopt(fetch)
        elif self._in_step:
            loop.wait(start_ns, end_ns)
        elif not loop.taking:
            self._move_to(fetch)
        elif strange is not None and strange.source == source:
            self._move_to(strange)
            self._take(start_ns, end_ns, shape)
        else:
            self._pass_over_strange()
            self._strange = fetch

    def exhausted(self, source: int, start_ns: int) -> None:
        """The iterator had no more: an epoch is over."""
        if self._strange is not None and self._strange.source == source:
            self._move_to(self._strange)
        loop = self._loop
        if loop is None or source != self._source:
            return
        self._pass_over_strange()
        if self._sign is _Sign.FETCH and loop.taking:
            loop.turn(start_ns)
        self._taken = 0
        loop.begin_epoch(start_ns)
        loop.leave_steps()

    def step_began(self, now: int) -> None:
        """``with prof.step()`` was entered."""
        loop = self._loop or self._begin(LoopKind.CUSTOM, None, now)
        self._sign = _Sign.STEP
        self._stepped.add(self._source)
        self._in_step = True
        if not loop.taking:
            loop.turn(now)

    def step_ended(self, now: int) -> None:
        """``with prof.step()`` was left."""
        self._in_step = False
        if self._loop is not None:
            self._pass_over_strange()
            self._loop.turn(now, max(self._taken, 1))
            self._taken = 0

    def trained_on_batch(self, start_ns: int, end_ns: int, samples: int | None) -> None:
        """``train_on_batch`` was called outside of any ``fit``."""
        loop = self._loop or self._begin(LoopKind.TRAIN_ON_BATCH, None, start_ns)
        if not self._trains_on_batch:
            self._trains_on_batch = True
            loop.tell(kind=LoopKind.TRAIN_ON_BATCH.value)
        if self._sign is None:
            self._sign = _Sign.TRAIN_ON_BATCH
        if self._sign is _Sign.TRAIN_ON_BATCH:
            loop.turn(end_ns)
        if samples is not None and self._source is None:
            loop.samples(samples)

    def end(self) -> None:
        """The loop is over: the profile ends, or a framework's loop begins."""
        self._end_at(self._clock())

    def _end_at(self, now: int) -> None:
        if self._loop is not None:
            self._pass_over_strange()
            if self._sign is _Sign.FETCH and self._loop.taking:
                self._loop.turn(now)
            self._tracker.close(self._loop)
        self._forget()

    def _adopt(self, fetch: _Fetch) -> None:
        """The source of a loop that began with ``prof.step()`` shows itself."""
        assert self._loop is not None
        self._source = fetch.source
        self._stepped.add(fetch.source)
        self._by_source[fetch.source] = self._loop
        self._loop.tell(input=dict(fetch.fed_by))
        self._take(fetch.start_ns, fetch.end_ns, fetch.shape)

    def _take(self, start_ns: int, end_ns: int, shape: BatchShape | None) -> None:
        """A batch of the loop's own source."""
        loop = self._loop
        assert loop is not None
        if self._sign is not _Sign.STEP:
            self._sign = _Sign.FETCH
            loop.turn(start_ns)
        elif not loop.taking:
            loop.turn(start_ns)
        self._taken += 1
        loop.waits_told_by(WaitSource.ITERATOR)
        loop.wait(start_ns, end_ns, shape)

    def _pass_over_strange(self) -> None:
        """A batch of another source was only a part of the step."""
        if self._strange is not None and self._loop is not None:
            self._loop.wait(self._strange.start_ns, self._strange.end_ns)
        self._strange = None

    def _move_to(self, fetch: _Fetch) -> None:
        """The loop on a fetch's source begins with it, or goes on."""
        self._strange = None
        self._end_at(fetch.start_ns)
        known = self._by_source.get(fetch.source)
        if known is None:
            known = self._begin(LoopKind.CUSTOM, fetch.fed_by, fetch.start_ns)
            self._by_source[fetch.source] = known
        else:
            self._tracker.reopen(known)
        self._loop = known
        self._source = fetch.source
        self._sign = _Sign.STEP if fetch.source in self._stepped else None
        self._take(fetch.start_ns, fetch.end_ns, fetch.shape)

    def _begin(self, kind: LoopKind, fed_by: Mapping[str, Any] | None, now: int) -> OpenLoop:
        loop = self._loop = self._tracker.open(kind, fed_by=fed_by)
        loop.begin_epoch(now)
        return loop


def describe_input(kind: InputKind, name: str | None = None, **facts: Any) -> dict[str, Any]:
    """What is recorded of a loop's input; keys as in `pipeprof.recording.Input`."""
    return {"kind": kind.value, "name": name, **facts}
