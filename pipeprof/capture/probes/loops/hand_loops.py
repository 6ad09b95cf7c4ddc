"""Which steps a hand-written loop takes, as far as that can be seen from outside.

It is seen by its fetches, its ``train_on_batch`` calls and ``prof.step()``, and by the loops of a
framework that run between. It knows no framework.
"""

import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

from pipeprof.capture.guard import Guard, guarded
from pipeprof.capture.probes.loops.batch_makers import BatchMakers
from pipeprof.capture.probes.loops.batch_shapes import BatchShape
from pipeprof.capture.probes.loops.first_fetches import Fetch, FirstFetches
from pipeprof.capture.probes.loops.loop_stack import LoopStack
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.loops.training_calls import EarlyCalls, TrainingCall
from pipeprof.capture.probes.python.timed_generators import ShortWay
from pipeprof.capture.recorder.facts import InputFacts, LoopUpdate
from pipeprof.clock import Clock
from pipeprof.recording.account import PassContext
from pipeprof.recording.loop import LoopKind, WaitSource

# A single batch that was trained on so often was only looked at: the calls are the steps.
_CALLS_ON_A_LOOK = 8


class _Sign(Enum):
    """What shows a step of a hand-written loop, the least clear first."""

    CALL = 1
    FETCH = 2
    STEP = 3


def _stays() -> bool:
    return False


class HandLoop:
    """The hand-written loop that is open, if one is, and those that may come back.

    Steps are found by their clearest sign: ``prof.step()``, else fetches of batches, else calls that train
    (``train_on_batch``, or a function that is called again and again). A loop takes its batches from one
    source. It is followed by another loop when its source is over, or when another source gave two batches
    in a row; when a source goes on, so does its loop (training and validation in turns). A single batch
    before a ``fit`` was only looked at; so was a batch that is trained on again and again.

    Attributes:
        loop: the loop, while one is open.
        given: what the dataset given to the profile is, for loops whose source was not seen.
        guard: what its methods run under, for they are called from the user's own code.
        fetching: whether a batch is being taken.
        steady: an object while the loop takes batch after batch from its source; None after all else.
        model_works: whether ``train_on_batch`` is running.
        makers: knows what makes the batches of loops that no source is known of.
        function_runs: returns whether a function that trains is running; asked from another thread.
    """

    def __init__(self, loops: LoopStack, guard: Guard, clock: Clock) -> None:
        self.given: InputFacts | None = None
        self.guard = guard
        self.fetching = False
        self.steady: object | None = None
        self.model_works = False
        self.makers = BatchMakers()
        self.function_runs: Callable[[], bool] = _stays
        self._loops = loops
        self._clock = clock
        self._by_source: dict[int, OpenLoop] = {}
        self._stepped: set[int | None] = set()
        self._exhausted: set[int] = set()  # numbers of loops
        self._early = EarlyCalls()
        self._compiling: list[TrainingCall] = []
        self._first = FirstFetches()
        self._forget()

    def _forget(self) -> None:
        self.steady = None
        self.loop: OpenLoop | None = None
        self._sign: _Sign | None = None
        self._source: int | None = None
        self._strange: Fetch | None = None
        self._first.forget()
        self._taken = 0
        self._in_step = False
        self._trains_on_batch = False
        self._trained = False
        self._function: int | None = None
        self._fetches = self._calls = 0
        self._looked_at: int | None = None
        self._away_ns: int | None = None
        self._away_between_steps = False

    @property
    def running(self) -> bool:
        """Whether a hand-written loop is open."""
        return self.loop is not None

    @property
    def source(self) -> int | None:
        """What identifies the object that gives the loop its batches, or None where it is not known."""
        return self._source

    @property
    def trains_on_batch(self) -> bool:
        """Whether the loop that is open has called ``train_on_batch``."""
        return self._trains_on_batch

    @property
    def is_timed(self) -> bool:
        """Whether what runs now is timed by a clock."""
        return self.fetching or self.model_works or self.function_runs()

    @guarded
    def asks(self, source: int) -> None:
        """The next batch of a source will be taken: between two steps, where fetches show them."""
        self.fetching = True
        loop = self.loop
        if loop is None or self._sign is not _Sign.FETCH or source != self._source:
            return
        if loop.tracer is not None and self._strange is None:
            if loop.taking and loop.tracer.due(loop, loop.step + 1):
                self._end_fetched_step(self._clock())
                loop.tracer.between_steps(loop)
            # What it took before is a step until it has taken this.
            loop.tracer.step_begins(loop, loop.step + loop.taking)

    @guarded
    def fetched(
        self,
        source: int,
        fed_by: InputFacts,
        start_ns: int,
        end_ns: int,
        shape: BatchShape | None,
        is_gone: Callable[[], bool] = _stays,
    ) -> None:
        """A batch was taken by hand from an iterator.

        Args:
            source: identifies the object that it iterates.
            fed_by: what that object is.
            start_ns: when the batch was asked for.
            end_ns: when it had come.
            shape: its outside, or None where nobody looked.
            is_gone: returns whether nobody holds the iterator any more.
        """
        self.fetching = False
        loop = self.loop or self._begin_with(source)
        if source == self._source:
            if self._strange is not None:
                self._pass_over_strange()
            self._take(start_ns, end_ns, shape)
            return
        self.steady = None
        fetch = Fetch(source, fed_by, start_ns, end_ns, shape, is_gone)
        if loop is None:
            self._first.add(fetch)
        elif self._source is None and (self._sign is _Sign.STEP or self._looked_at == source):
            self._adopt(fetch)
        elif self._source is None:
            self._move_to(fetch)
        elif self._strange is not None and self._strange.source == source:
            self._move_to(self._strange)
            self._take(start_ns, end_ns, shape)
        elif self._in_step:
            loop.wait(start_ns, end_ns)
        elif not loop.taking:
            self._move_to(fetch)
        else:
            self._pass_over_strange()
            self._strange = fetch

    def short_way(self, source: int, look: Callable[[Any], BatchShape | None]) -> ShortWay | None:
        """How the next batches of a source are followed while nothing else happens.

        Args:
            source: identifies the object that is iterated, as in `fetched`.
            look: returns the outside of a batch.

        Returns:
            What does what `asks` and `fetched` do; None while steps are not shown by fetches alone.
        """
        loop = self.loop
        if (
            loop is None
            or source != self._source
            or self._sign is not _Sign.FETCH
            or self._strange is not None
            or self._away_ns is not None
            or self._in_step
            or loop.tracer is not None
            or not loop.taking
        ):
            return None
        if self.steady is None:
            self.steady = object()
        guard, turn_to = self.guard, loop.turn_to

        def fetched(item: Any, start_ns: int, end_ns: int) -> None:
            self.fetching = False
            if guard.off:
                return
            try:
                turn_to(start_ns, end_ns, look(item))
                self._taken += 1
                self._fetches += 1
                self._calls = 0
                self._trained = False
            except Exception as error:
                guard.fail(error)

        return ShortWay(self, self.steady, fetched)

    @guarded
    def exhausted(self, source: int, start_ns: int) -> None:
        """The iterator had no more: an epoch is over."""
        self.fetching, self.steady = False, None
        if self.loop is None:
            if self._first.is_a_look(source):
                return
            self._begin_with(source)
        if self._strange is not None and self._strange.source == source:
            self._move_to(self._strange)
        loop = self.loop
        if loop is None or source != self._source:
            return
        self._pass_over_strange()
        self._end_fetched_step(start_ns)
        self._taken = 0
        loop.leave_steps()
        loop.end_epoch(start_ns)
        self._exhausted.add(loop.number)

    @guarded
    def step_began(self, now: int) -> None:
        """``with prof.step()`` was entered."""
        self.fetching, self.steady = False, None
        loop = self._loop_at(LoopKind.CUSTOM, now)
        self._sign = _Sign.STEP
        self._stepped.add(self._source)
        self._in_step = True
        if not loop.taking:
            self._turn_again(loop, now)
        self._early.clear()

    @guarded
    def step_ended(self, now: int) -> None:
        """``with prof.step()`` was left."""
        self._in_step = False
        if self.loop is not None:
            self._pass_over_strange()
            self.loop.turn(now, max(self._taken, 1))
            self._taken = 0
            self._step_over(self.loop)

    @guarded
    def trained_on_batch(self, start_ns: int, end_ns: int, samples: int | None) -> None:
        """``train_on_batch`` was called outside of any ``fit``."""
        loop = self._loop_at(LoopKind.TRAIN_ON_BATCH, start_ns)
        if not self._trains_on_batch:
            self._trains_on_batch = True
            loop.update(LoopUpdate(kind=LoopKind.TRAIN_ON_BATCH))
        self._early.clear()
        self._trained_by_call(loop, start_ns, end_ns)
        if samples is not None and self._source is None:
            loop.samples(samples)
        for call in self._compiling:
            call.record_compiling(loop)
        self._compiling = []

    @guarded
    def function_called(self, call: TrainingCall) -> None:
        """A function that may train was called, by no other, outside of any ``fit``."""
        if self.model_works:  # by `train_on_batch`, whose call is what counts
            if call.compiled:
                self._compiling.append(call)
            return
        if self.loop is None:
            self._early.add(call)
            if not self._early.are_a_loop_of(call):
                return
            early = self._early.take()
            loop = self._loop_at(LoopKind.CUSTOM, early[0].start_ns)
            self._function = call.function
            for each in early:
                self._add_call(loop, each)
        else:
            self._add_call(self.loop, call)

    def _add_call(self, loop: OpenLoop, call: TrainingCall) -> None:
        if self._sign is None or self._sign is _Sign.CALL:
            if not call.trains:
                return
            if call.function == self._function:
                self._trained_by_call(loop, call.start_ns, call.end_ns)
            else:
                loop.model_worked(call.start_ns, call.end_ns)
        elif call.trains or not self._early.has_trained:
            self._trained_by_call(loop, call.start_ns, call.end_ns)
        call.record_compiling(loop)

    def _trained_by_call(self, loop: OpenLoop, start_ns: int, end_ns: int) -> None:
        """A call that trains has run: a step, where nothing clearer shows them."""
        loop.model_worked(start_ns, end_ns)
        self._calls += 1
        if self._sign is _Sign.FETCH and self._fetches == 1 and self._calls == _CALLS_ON_A_LOOK:
            self._looked_at, self._source, self._sign = self._source, None, _Sign.CALL
            self.steady = None
        if self._sign is None:
            self._sign = _Sign.CALL
        if self._sign is not _Sign.FETCH:
            self.makers.trained_from(sys._getframe(1))
        if self._sign is _Sign.CALL:
            if not loop.taking:
                self._turn_again(loop, start_ns)
            loop.turn(end_ns)
            self._step_over(loop)
        self._trained = True
        self._away_ns = None

    def _turn_again(self, loop: OpenLoop, now: int) -> None:
        """The loop turns to its next batch after it had left its steps, or its pass."""
        if not loop.in_pass:
            loop.begin_pass(now, PassContext.TOP)
        if loop.number in self._exhausted:
            self._exhausted.discard(loop.number)
            loop.begin_epoch(now)
        elif not loop.in_epoch:
            loop.go_on_with_epoch()
        loop.turn(now)

    def _step_over(self, loop: OpenLoop) -> None:
        """A step is over and the next begins at once."""
        loop.trace_if_due()
        if loop.tracer is not None:
            loop.tracer.step_begins(loop, loop.step)

    @guarded
    def turned_away(self, kind: LoopKind, now: int) -> None:
        """A framework's loop begins: within a step, after it, or after the whole loop.

        Which of them shows later. What comes after the training on a batch, and any evaluation, is
        taken to come after the step, unless the step goes on.
        """
        self.steady = None
        if kind is LoopKind.FIT:
            self._first.look()
            self._early.clear()
        elif kind in (LoopKind.EVALUATE, LoopKind.PREDICT):
            self._begin_with_first()
            if self.loop is None:
                self._first.look()
        loop = self.loop
        if loop is None or self._in_step:
            return
        if self._sign is not _Sign.FETCH:
            if kind is LoopKind.EVALUATE:
                loop.leave_steps()
            elif kind is LoopKind.FIT:
                loop.leave_steps()
                loop.end_pass(now)
        elif self._away_ns is None:
            self._away_ns = now
            self._away_between_steps = kind is LoopKind.EVALUATE or self._trained
            if self._away_between_steps and loop.tracer is not None:
                loop.tracer.left(loop)

    @guarded
    def end(self) -> None:
        """The loop is over: the profile ends."""
        for fetch in self._first.possible:
            self._move_to(fetch)
        self._end_at(self._clock())

    def _loop_at(self, kind: LoopKind, now: int) -> OpenLoop:
        """The loop that is open, or a new one from now on."""
        self._begin_with_first()
        return self.loop or self._begin(kind, self.given, now)

    def _begin_with_first(self) -> None:
        """Begins a loop on the first batch that was taken outside of any, if one was."""
        held = self._first.held
        if held is not None:
            self._begin_with(held.source)

    def _begin_with(self, source: int) -> OpenLoop | None:
        """Begins a loop on a source with the batch that it gave before, if it gave one."""
        fetches = self._first.since(source)
        if not fetches:
            return None
        loop = self._move_to(fetches[0])
        for fetch in fetches[1:]:
            loop.wait(fetch.start_ns, fetch.end_ns)
        return loop

    def _end_at(self, now: int) -> None:
        if self.loop is not None:
            self._pass_over_strange()
            self._away_between_steps = True
            self._end_fetched_step(now)
            self._loops.close(self.loop)
        self._forget()

    def _end_fetched_step(self, now: int) -> None:
        """Ends the step that a fetch began."""
        assert self.loop is not None
        if self._sign is _Sign.FETCH and self.loop.taking:
            if self._away_ns is not None and self._away_between_steps:
                now = min(now, self._away_ns)
            self.loop.turn(now)
            self.loop.leave_steps()
        self._away_ns = None

    def _adopt(self, fetch: Fetch) -> None:
        """Takes the source of a fetch as that of a loop that began with ``prof.step()``."""
        assert self.loop is not None
        self._source = fetch.source
        self._stepped.add(fetch.source)
        self._by_source[fetch.source] = self.loop
        self.loop.update(LoopUpdate(input=fetch.fed_by))
        self._take(fetch.start_ns, fetch.end_ns, fetch.shape)

    def _take(self, start_ns: int, end_ns: int, shape: BatchShape | None) -> None:
        """Adds a batch of the loop's own source."""
        loop = self.loop
        assert loop is not None
        if self._sign is not _Sign.STEP:
            self._sign = _Sign.FETCH
            if self._away_ns is not None:
                self._end_fetched_step(start_ns)
            if loop.taking:
                loop.turn(start_ns)
        if not loop.taking:
            self._turn_again(loop, start_ns)
        self._taken += 1
        self._fetches += 1
        self._calls = 0
        self._trained = False
        loop.set_waits_by(WaitSource.ITERATOR)
        loop.wait(start_ns, end_ns, shape)

    def _pass_over_strange(self) -> None:
        """Counts a batch of another source, if there is one, as part of the step."""
        if self._strange is not None and self.loop is not None:
            self.loop.wait(self._strange.start_ns, self._strange.end_ns)
        self._strange = None

    def _move_to(self, fetch: Fetch) -> OpenLoop:
        """Begins the loop on the source of a fetch, or goes on with it."""
        self._strange = None
        self._end_at(fetch.start_ns)
        known = self._by_source.get(fetch.source)
        if known is None:
            known = self._begin(LoopKind.CUSTOM, fetch.fed_by, fetch.start_ns)
            self._by_source[fetch.source] = known
        else:
            self._loops.reopen(known, fetch.start_ns)
        self.loop = known
        self._source = fetch.source
        self._sign = _Sign.STEP if fetch.source in self._stepped else None
        self._take(fetch.start_ns, fetch.end_ns, fetch.shape)
        self._add_early_calls(known)
        return known

    def _begin(self, kind: LoopKind, fed_by: InputFacts | None, now: int) -> OpenLoop:
        self._first.forget()
        loop = self.loop = self._loops.add(kind, fed_by=fed_by, start_ns=now)
        loop.begin_epoch(now)
        loop.turn(now)
        return loop

    def _add_early_calls(self, loop: OpenLoop) -> None:
        """Adds the calls that came before the loop was recognised."""
        for call in self._early.take():
            self._add_call(loop, call)
