import itertools
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeprof.capture.probes.loops.batch_shapes import BatchShape
from pipeprof.capture.probes.loops.loop_stack import MOST_LOOPS
from pipeprof.capture.probes.loops.loop_tracker import LoopTracker
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.recorder.facts import InputFacts, LoopFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource
from tests.capture.probes.recorded import Event, events, facts_of, warnings_of

TRAIN, VALID = 1, 2
FED_BY = InputFacts(kind=InputKind.GENERATOR, name="batches")
SHAPE = BatchShape(number=0, samples=8, size_bytes=32)


class Training:
    """A training that advances a clock: every move takes a time of its own."""

    def __init__(self) -> None:
        self.now = 1000
        self.recorder = Recorder(None)
        self.tracker = LoopTracker(self.recorder, lambda: self.now)
        self.hand = self.tracker.hand

    def work(self, ns: int = 10) -> None:
        self.now += ns

    def fetch(self, source: int = TRAIN, wait_ns: int = 3) -> None:
        begin = self.now
        self.now += wait_ns
        self.hand.fetched(source, FED_BY, begin, self.now, SHAPE)

    def end_of(self, source: int = TRAIN) -> None:
        self.now += 1
        self.hand.exhausted(source, self.now)

    def step(self, *inside: Callable[[], None]) -> None:
        self.hand.step_began(self.now)
        self.work()
        for move in inside:
            move()
        self.hand.step_ended(self.now)

    def train_on_batch(self) -> None:
        begin = self.now
        self.work()
        self.hand.trained_on_batch(begin, self.now, 8)

    def fit_step(self, loop: OpenLoop, wait_ns: int = 3, work_ns: int = 10) -> None:
        if loop.fetches_first:
            self.now += wait_ns
            loop.begin_step(self.now)
        else:
            loop.begin_step(self.now)
            loop.wait(self.now, self.now + wait_ns)
            self.now += wait_ns
        self.now += work_ns
        loop.end_step(self.now)

    def framework(self, kind: LoopKind, work_ns: int = 10) -> None:
        """A whole loop of a framework, of one step."""
        loop = self.tracker.open(kind)
        loop.begin_epoch(self.now)
        self.fit_step(loop, work_ns=work_ns)
        self.tracker.close(loop)

    def ends(self) -> "list[Seen]":
        self.tracker.close_all()
        facts = facts_of(self.recorder)
        numbers = [n for n, each in facts.items() if isinstance(each, LoopFacts)]
        recorded = events(self.recorder, Kind.STEP, Kind.WAIT)
        return [Seen(n, facts[n], [e for e in recorded if e.number == n]) for n in numbers]


class Seen:
    """A loop as it was recorded."""

    def __init__(self, number: int, facts: LoopFacts, found: list[Event]) -> None:
        self.number = number
        self.facts = facts
        self.kind = facts.kind
        self.steps = [event for event in found if event.kind is Kind.STEP]
        self.waits = [event for event in found if event.kind is Kind.WAIT]

    @property
    def times(self) -> list[int]:
        return [step.duration_ns for step in self.steps]

    @property
    def epochs(self) -> list[int]:
        return [step.value >> 32 for step in self.steps]

    @property
    def batches(self) -> list[int]:
        return [step.value & 0xFFFFFFFF for step in self.steps]

    @property
    def waited(self) -> list[int]:
        return [
            sum(
                max(min(w.end_ns, step.end_ns) - max(w.start_ns, step.start_ns), 0)
                for w in self.waits
            )
            for step in self.steps
        ]

    def check(self) -> None:
        """No step is lost, doubled or runs into another."""
        assert [step.inner for step in self.steps] == list(range(len(self.steps)))
        assert all(step.duration_ns > 0 for step in self.steps)
        assert all(batches >= 1 for batches in self.batches)
        for one, other in itertools.pairwise(self.steps):
            assert one.end_ns <= other.start_ns
            assert one.value >> 32 <= other.value >> 32


@pytest.fixture
def training() -> Training:
    return Training()


# Loops of a framework.


@pytest.mark.parametrize("fetches_first", [False, True])
def test_fit_has_its_epochs_steps_and_waits(training: Training, fetches_first: bool) -> None:
    loop = training.tracker.open(LoopKind.FIT, fed_by=FED_BY, fetches_first=fetches_first)
    for _ in range(2):
        training.work(100)
        loop.begin_epoch(training.now)
        for _ in range(3):
            training.fit_step(loop)
            training.work(0 if fetches_first else 2)
        loop.leave_steps()
    (fit,) = training.ends()
    assert fit.facts.input == FED_BY
    assert fit.epochs == [0, 0, 0, 1, 1, 1]
    assert fit.waited == [3] * 6
    assert fit.times == [13] * 6 if fetches_first else [15, 15, 13] * 2
    fit.check()


@pytest.mark.parametrize("fetches_first", [False, True])
def test_validation_of_every_epoch_is_one_loop_inside(
    training: Training, fetches_first: bool
) -> None:
    fit = training.tracker.open(LoopKind.FIT, fetches_first=fetches_first)
    for _ in range(3):
        fit.begin_epoch(training.now)
        for _ in range(2):
            training.fit_step(fit)
        validation = training.tracker.open(LoopKind.EVALUATE, fetches_first=fetches_first)
        validation.begin_epoch(training.now)
        for _ in range(4):
            training.fit_step(validation, wait_ns=1)
        training.tracker.close(validation)
        fit.leave_steps()
    outer, inner = training.ends()
    assert (outer.kind, inner.kind) == (LoopKind.FIT, LoopKind.EVALUATE)
    assert inner.facts.parent == fit.number
    assert (outer.epochs, inner.epochs) == ([0, 0, 1, 1, 2, 2], [0] * 4 + [1] * 4 + [2] * 4)
    assert (outer.times, inner.times) == ([13] * 6, [11] * 12)
    assert (outer.waited, inner.waited) == ([3] * 6, [1] * 12)


@pytest.mark.parametrize("fetches_first", [False, True])
@pytest.mark.parametrize("in_step", [False, True])
def test_evaluate_between_two_steps_or_in_one_loses_none(
    training: Training, fetches_first: bool, in_step: bool
) -> None:
    fit = training.tracker.open(LoopKind.FIT, fetches_first=fetches_first)
    fit.begin_epoch(training.now)
    for number in range(4):
        if number == 2:
            if in_step:
                fit.begin_step(training.now)
            inner = training.tracker.open(LoopKind.EVALUATE, fetches_first=fetches_first)
            inner.begin_epoch(training.now)
            training.fit_step(inner, wait_ns=50)
            training.tracker.close(inner)
            if in_step:
                fit.end_step(training.now)
                continue
        training.fit_step(fit)
    outer, inside = training.ends()
    outer.check()
    assert outer.times == [13, 13, 60 if in_step else 13, 13]
    assert outer.waited[3] == 3
    assert inside.times == [60]


def test_an_exception_in_a_step_drops_that_step_only(training: Training) -> None:
    fit = training.tracker.open(LoopKind.FIT)
    fit.begin_epoch(training.now)
    training.fit_step(fit)
    fit.begin_step(training.now)
    validation = training.tracker.open(LoopKind.EVALUATE)
    validation.begin_epoch(training.now)
    training.fit_step(validation)
    validation.begin_step(training.now)
    training.work()
    training.tracker.close(fit)
    assert training.tracker.current is None
    again = training.tracker.open(LoopKind.FIT)
    again.begin_epoch(training.now)
    training.fit_step(again)
    first, inside, second = training.ends()
    assert [len(seen.steps) for seen in (first, inside, second)] == [1, 1, 1]


def test_several_batches_a_step_are_reported(training: Training) -> None:
    fit = training.tracker.open(LoopKind.FIT)
    fit.begin_epoch(training.now)
    for batches in (4, 4, 2):
        fit.begin_step(training.now)
        training.work()
        fit.end_step(training.now, batches)
    fit.leave_steps()
    (seen,) = training.ends()
    assert seen.batches == [4, 4, 2]


def test_more_loops_than_that_are_shown_as_one_of_their_kind(training: Training) -> None:
    for _ in range(MOST_LOOPS + 20):
        fit = training.tracker.open(LoopKind.FIT)
        fit.begin_epoch(training.now)
        training.fit_step(fit)
        training.tracker.close(fit)
    seen = training.ends()
    assert len(seen) == MOST_LOOPS
    assert sum(len(loop.steps) for loop in seen) == MOST_LOOPS + 20
    for loop in seen:
        loop.check()
    assert len(warnings_of(training.recorder)) == 1


def test_closing_a_loop_twice_or_a_stranger_does_nothing(training: Training) -> None:
    fit = training.tracker.open(LoopKind.FIT)
    training.tracker.close(fit)
    other = training.tracker.open(LoopKind.FIT)
    training.tracker.close(fit)
    assert training.tracker.current is other


def test_what_shows_the_waits_is_said_once(training: Training) -> None:
    fit = training.tracker.open(LoopKind.FIT)
    fit.set_waits_by(WaitSource.GAP_TIMES)
    fit.set_waits_by(WaitSource.ITERATOR)
    assert training.ends()[0].facts.waits_by == WaitSource.GAP_TIMES


# Hand-written loops.


def test_a_loop_over_a_dataset_several_times(training: Training) -> None:
    for _ in range(3):
        for _ in range(4):
            training.fetch()
            training.work()
        training.end_of()
        training.work(1000)
    (loop,) = training.ends()
    loop.check()
    assert loop.kind is LoopKind.CUSTOM
    assert loop.facts.input == FED_BY
    assert loop.epochs == [0] * 4 + [1] * 4 + [2] * 4
    assert loop.times == [13, 13, 13, 14] * 3
    assert loop.waited == [3] * 12
    assert [wait.value for wait in loop.waits] == [8] * 12


def test_a_loop_left_early_keeps_its_last_step(training: Training) -> None:
    for _ in range(3):
        training.fetch()
        training.work()
    (loop,) = training.ends()
    assert loop.times == [13] * 3


def test_train_on_batch_makes_a_loop_over_a_dataset_its_own_kind(training: Training) -> None:
    for _ in range(3):
        training.fetch()
        training.train_on_batch()
    training.end_of()
    (loop,) = training.ends()
    assert loop.kind is LoopKind.TRAIN_ON_BATCH
    assert loop.times == [13, 13, 14]


def test_train_on_batch_alone_is_a_loop_whose_waits_are_not_known(training: Training) -> None:
    for _ in range(3):
        training.train_on_batch()
        training.work(5)
    (loop,) = training.ends()
    assert loop.kind is LoopKind.TRAIN_ON_BATCH
    assert loop.times == [10, 15, 15]
    assert loop.facts.waits_by is None
    samples = events(training.recorder, Kind.SAMPLES)
    assert [event.value for event in samples] == [8, 8, 8]


def test_train_on_batch_before_a_loop_does_not_spoil_it(training: Training) -> None:
    training.train_on_batch()
    for _ in range(4):
        training.fetch()
        training.train_on_batch()
    training.end_of()
    warm, loop = training.ends()
    assert len(warm.steps) == 1
    assert loop.times == [13, 13, 13, 14]
    assert loop.waited == [3] * 4


def test_prof_step_decides_what_a_step_is(training: Training) -> None:
    for _ in range(2):
        for _ in range(3):
            training.fetch()
            training.step()
            training.work(2)
        training.end_of()
        training.work(500)
    (loop,) = training.ends()
    assert loop.epochs == [0] * 3 + [1] * 3
    assert loop.times == [13, 15, 15] * 2
    assert loop.waited == [3] * 6


def test_prof_step_without_any_dataset(training: Training) -> None:
    for _ in range(3):
        training.step()
    (loop,) = training.ends()
    assert (loop.kind, loop.times) == (LoopKind.CUSTOM, [10] * 3)
    assert loop.facts.input is None


def test_a_batch_taken_inside_prof_step(training: Training) -> None:
    for _ in range(3):
        training.step(training.fetch)
    (loop,) = training.ends()
    assert loop.times == [13] * 3
    assert loop.waited == [3] * 3
    assert loop.facts.input == FED_BY
    assert loop.facts.waits_by == WaitSource.ITERATOR


def test_gradient_accumulation_counts_the_batches_of_a_step(training: Training) -> None:
    for _ in range(2):
        for _ in range(3):
            training.fetch()
            training.work(1)
        training.fetch()
        training.step()
    training.end_of()
    (loop,) = training.ends()
    # Until the first prof.step() every batch looks like a step.
    assert loop.batches[3:] == [4, 4]
    assert loop.waited[4:] == [12]


def test_two_iterators_side_by_side_make_one_step(training: Training) -> None:
    for _ in range(4):
        training.fetch(TRAIN)
        training.fetch(VALID)
        training.work()
    (loop,) = training.ends()
    loop.check()
    assert loop.times == [16] * 4
    assert loop.waited == [6] * 4


def test_prof_step_holds_together_what_it_encloses(training: Training) -> None:
    def critic() -> None:
        for _ in range(5):
            training.fetch(VALID)

    for _ in range(3):
        training.fetch(TRAIN)
        training.step(critic)
    (loop,) = training.ends()
    assert loop.times == [28] * 3
    assert loop.waited == [18] * 3


def test_training_and_validation_in_turns_are_two_loops(training: Training) -> None:
    for _ in range(3):
        for _ in range(3):
            training.fetch(TRAIN)
            training.work()
        training.end_of(TRAIN)
        for _ in range(2):
            training.fetch(VALID, wait_ns=5)
            training.work()
        training.end_of(VALID)
    train, valid = training.ends()
    assert (train.epochs, valid.epochs) == ([0] * 3 + [1] * 3 + [2] * 3, [0, 0, 1, 1, 2, 2])
    assert (train.waited, valid.waited) == ([3] * 9, [5] * 6)
    assert (train.times, valid.times) == ([13, 13, 14] * 3, [15, 16] * 3)
    train.check()
    valid.check()


def test_a_second_dataset_after_a_loop_that_was_left(training: Training) -> None:
    for _ in range(3):
        training.fetch(TRAIN)
        training.work()
    for _ in range(3):
        training.fetch(VALID)
        training.work()
    first, second = training.ends()
    assert (first.times, second.times) == ([13] * 3, [13] * 3)
    assert (first.waited, second.waited) == ([3] * 3, [3] * 3)


def test_a_validation_of_one_batch_after_a_loop_that_was_left(training: Training) -> None:
    training.fetch(TRAIN)
    training.work()
    training.fetch(VALID)
    training.end_of(VALID)
    train, valid = training.ends()
    assert (len(train.steps), len(valid.steps)) == (1, 1)


def test_validation_without_prof_step_beside_training_with_it(training: Training) -> None:
    for _ in range(2):
        for _ in range(3):
            training.fetch(TRAIN)
            training.step()
        training.end_of(TRAIN)
        for _ in range(2):
            training.fetch(VALID)
            training.work()
        training.end_of(VALID)
    train, valid = training.ends()
    assert (len(train.steps), len(valid.steps)) == (6, 4)


# Loops of a framework within, between and after.


def test_training_that_evaluates_after_each_pass_is_two_loops(training: Training) -> None:
    for _ in range(3):
        for _ in range(2):
            training.fetch()
            training.work()
        training.end_of()
        training.framework(LoopKind.EVALUATE)
    train, valid = training.ends()
    assert train.times == [13, 14] * 3
    assert train.epochs == [0, 0, 1, 1, 2, 2]
    assert len(valid.steps) == 3
    assert valid.facts.parent == train.number


def test_training_that_evaluates_now_and_then_keeps_that_out_of_its_steps(
    training: Training,
) -> None:
    for _ in range(3):
        for _ in range(2):
            training.fetch()
            training.train_on_batch()
        training.framework(LoopKind.EVALUATE, work_ns=1000)
    train, valid = training.ends()
    assert train.times == [13] * 6
    assert len(valid.steps) == 3


def test_predict_before_train_on_batch_is_a_part_of_the_step(training: Training) -> None:
    for _ in range(3):
        training.fetch()
        training.framework(LoopKind.PREDICT)
        training.train_on_batch()
    gan, predict = training.ends()
    assert gan.kind is LoopKind.TRAIN_ON_BATCH
    assert gan.times == [26] * 3
    assert len(predict.steps) == 3


def test_predict_and_train_on_batch_without_a_dataset(training: Training) -> None:
    training.train_on_batch()
    for _ in range(3):
        training.framework(LoopKind.PREDICT)
        training.train_on_batch()
    training.framework(LoopKind.EVALUATE, work_ns=1000)
    training.train_on_batch()
    learning, predict, _ = training.ends()
    assert learning.times == [10, 23, 23, 23, 10]
    assert len(predict.steps) == 3


def test_evaluation_between_steps_that_are_marked(training: Training) -> None:
    for _ in range(2):
        training.fetch()
        training.step()
        training.framework(LoopKind.EVALUATE, work_ns=1000)
    training.step(lambda: training.framework(LoopKind.EVALUATE, work_ns=100))
    marked, _ = training.ends()
    assert marked.times == [13, 13, 113]


def test_fit_on_every_batch_of_a_loop(training: Training) -> None:
    for _ in range(3):
        training.fetch()
        training.framework(LoopKind.FIT)
    loops = training.ends()
    (loop,) = (loop for loop in loops if loop.kind is LoopKind.CUSTOM)
    assert loop.times == [16, 16, 3]
    assert loop.facts.start_ns == loop.steps[0].start_ns
    assert len(loops) == 4
    assert all(fit.facts.parent is None for fit in loops)


def test_a_loop_that_was_left_ends_where_fit_begins(training: Training) -> None:
    for _ in range(2):
        training.fetch()
        training.work()
    training.framework(LoopKind.FIT, work_ns=1000)
    training.work(1000)
    loop, _ = training.ends()
    assert loop.times == [13, 13]


def test_a_batch_looked_at_before_fit_is_no_loop(training: Training) -> None:
    training.fetch(TRAIN)
    training.fetch(VALID)
    training.work(1000)
    training.framework(LoopKind.FIT)
    (fit,) = training.ends()
    assert fit.kind is LoopKind.FIT


def test_single_batches_without_a_fit_are_loops(training: Training) -> None:
    training.fetch(TRAIN)
    training.work()
    training.fetch(VALID)
    training.work()
    assert [loop.times for loop in training.ends()] == [[13], [13]]


def test_after_a_batch_looked_at_before_fit_steps_begin_anew(training: Training) -> None:
    training.fetch(VALID)
    training.framework(LoopKind.FIT, work_ns=1000)
    training.train_on_batch()
    training.train_on_batch()
    _, by_hand = training.ends()
    assert by_hand.times == [10, 10]


def test_an_empty_dataset_has_no_steps(training: Training) -> None:
    training.end_of()
    assert training.ends() == []


# Whatever is done in whatever order.

HAND_MOVES = ["fetch", "other", "end", "end other", "step", "step+fetch", "train", "work"]
HAND_MOVES += ["fit", "evaluate", "predict"]


def play(training: Training, moves: list[str]) -> None:
    for move in moves:
        match move:
            case "fetch":
                training.fetch(TRAIN)
            case "other":
                training.fetch(VALID)
            case "end":
                training.end_of(TRAIN)
            case "end other":
                training.end_of(VALID)
            case "step":
                training.step()
            case "step+fetch":
                training.step(training.fetch)
            case "train":
                training.train_on_batch()
            case "work":
                training.work()
            case kind:
                training.framework(LoopKind(kind))


@given(st.lists(st.sampled_from(HAND_MOVES), max_size=60))
def test_no_order_of_calls_loses_doubles_or_overlaps_a_step(moves: list[str]) -> None:
    training = Training()
    play(training, moves)
    seen = training.ends()
    for loop in seen:
        loop.check()
        assert all(0 <= w <= t for w, t in zip(loop.waited, loop.times, strict=True))
    inner = (LoopKind.FIT, LoopKind.EVALUATE, LoopKind.PREDICT)
    for kind in inner:
        steps = [step for loop in seen if loop.kind is kind for step in loop.steps]
        assert len(steps) == moves.count(kind.value)
    outer = [loop for loop in seen if loop.kind not in inner]
    every = sorted((s.start_ns, s.end_ns) for loop in outer for s in loop.steps)
    for (_, end), (start, _) in itertools.pairwise(every):
        assert end <= start


def steps_by_hand(moves: list[str]) -> int:
    training = Training()
    play(training, moves)
    inner = (LoopKind.FIT, LoopKind.EVALUATE, LoopKind.PREDICT)
    return sum(len(loop.steps) for loop in training.ends() if loop.kind not in inner)


@given(
    st.lists(st.sampled_from(["fetch", "end", "work", "predict", "evaluate", "fit"]), max_size=60)
)
def test_each_batch_that_is_fetched_by_hand_is_a_step(moves: list[str]) -> None:
    # One batch beside a framework's own loop is only looked at.
    assume(moves.count("fetch") != 1 or not {"fit", "evaluate", "predict"} & {*moves})
    assert steps_by_hand(moves) == moves.count("fetch")


@given(st.lists(st.sampled_from(["step", "step+fetch", "work", "predict"]), max_size=60))
def test_each_step_that_is_marked_is_one(moves: list[str]) -> None:
    assert steps_by_hand(moves) == sum(move.startswith("step") for move in moves)


@given(st.lists(st.sampled_from(["train", "work", "predict", "evaluate"]), max_size=60))
def test_each_call_that_trains_is_a_step(moves: list[str]) -> None:
    assert steps_by_hand(moves) == moves.count("train")


@given(
    st.booleans(),
    st.lists(st.sampled_from(["step", "epoch", "leave", "evaluate", "evaluate in step", "fail"])),
)
def test_no_order_of_a_frameworks_calls_does(fetches_first: bool, moves: list[str]) -> None:
    training = Training()
    fit = training.tracker.open(LoopKind.FIT, fetches_first=fetches_first)
    fit.begin_epoch(training.now)
    for move in moves:
        training.work(1)
        match move:
            case "step":
                training.fit_step(fit)
            case "epoch":
                fit.begin_epoch(training.now)
            case "leave":
                fit.leave_steps()
            case "fail":
                fit.begin_step(training.now)
                fit.leave_steps()
            case _:
                if move == "evaluate in step":
                    fit.begin_step(training.now)
                inner = training.tracker.open(LoopKind.EVALUATE, fetches_first=fetches_first)
                inner.begin_epoch(training.now)
                training.fit_step(inner)
                training.tracker.close(inner)
                if move == "evaluate in step":
                    fit.end_step(training.now)
    for loop in training.ends():
        loop.check()
        expected = ("step", "evaluate in step") if loop.kind is LoopKind.FIT else ("evaluate",)
        wanted = sum(move.startswith(expected) for move in moves)
        assert len(loop.steps) == wanted
        assert all(0 <= w <= t for w, t in zip(loop.waited, loop.times, strict=True))


def test_a_loop_that_cannot_be_followed_is_given_up_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = Training()
    for _ in range(3):
        training.fetch()
        training.work()
    turn = OpenLoop.turn
    monkeypatch.setattr(OpenLoop, "turn", lambda *_: 1 // 0)
    training.fetch()
    monkeypatch.setattr(OpenLoop, "turn", turn)
    training.fetch()
    training.step()
    training.train_on_batch()
    training.end_of()
    training.tracker.close_all()
    assert len(events(training.recorder, Kind.STEP)) == 2
    (warning,) = warnings_of(training.recorder)
    assert warning.startswith("The hand-written loop could not be followed any more (ZeroDivision")


# Steps that are traced.


class StepsTraced:
    """Traces two steps after the second, at a cost of 100 each time."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.first: int | None = None
        self.on = False
        self.marked: list[tuple[int, int]] = []
        training.tracker.tracer = self

    def due(self, loop: OpenLoop, done: int) -> bool:
        if self.on:
            return done - (self.first or 0) >= 2
        return self.first is None and done >= 2

    def between_steps(self, loop: OpenLoop) -> None:
        if self.due(loop, loop.step):
            self.training.work(100)
            self.first, self.on = loop.step, True

    def step_begins(self, loop: OpenLoop, ordinal: int) -> None:
        if self.on:
            self.marked.append((ordinal, self.training.now))

    def left(self, loop: OpenLoop) -> None:
        if self.on:
            self.training.work(100)
            self.on = False


def fitted(training: Training) -> None:
    fit = training.tracker.open(LoopKind.FIT)
    fit.begin_epoch(training.now)
    for _ in range(7):
        training.fit_step(fit)
        fit.trace_if_due()


def fetched_by_hand(training: Training) -> None:
    for _ in range(7):
        training.hand.asks(TRAIN)
        training.fetch()
        training.work()


def fetched_and_trained(training: Training) -> None:
    for _ in range(7):
        training.hand.asks(TRAIN)
        training.fetch()
        training.train_on_batch()


def marked_steps(training: Training) -> None:
    for _ in range(7):
        training.step(training.fetch)


def trained_only(training: Training) -> None:
    for _ in range(7):
        training.work(3)
        training.train_on_batch()


@pytest.mark.parametrize(
    "train", [fitted, fetched_by_hand, fetched_and_trained, marked_steps, trained_only]
)
def test_turning_the_profiler_on_and_off_is_part_of_no_step(
    training: Training, train: Callable[[Training], None]
) -> None:
    tracer = StepsTraced(training)
    train(training)
    [seen] = training.ends()
    seen.check()
    assert max(seen.times) <= 13
    assert len(seen.times) == 7
    assert [step for step, _ in tracer.marked] == [2, 3]
    # A step is marked from its very begin, its wait for the batch included.
    begins = [seen.steps[step].start_ns for step, _ in tracer.marked]
    assert all(abs(at - begin) <= 3 for (_, at), begin in zip(tracer.marked, begins, strict=True))


def test_a_window_ends_with_the_epoch(training: Training) -> None:
    tracer = StepsTraced(training)
    fit = training.tracker.open(LoopKind.FIT)
    fit.begin_epoch(training.now)
    for _ in range(3):
        training.fit_step(fit)
        fit.trace_if_due()
    assert tracer.on
    fit.leave_steps()
    assert not tracer.on
