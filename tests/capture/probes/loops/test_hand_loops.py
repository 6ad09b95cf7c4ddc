"""What hand-written loops record beyond steps and waits: the model's work, compiling, passes, epochs."""

import pytest

from pipeprof.capture.probes.loops.training_calls import TrainingCall
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.account import PassContext
from pipeprof.recording.loop import LoopKind
from tests.capture.probes.loops.test_loop_tracker import TRAIN, VALID, Training
from tests.capture.probes.recorded import Event, events

TRAIN_STEP, POLICY, CRITIC = 1, 2, 3


class HandTraining(Training):
    def call(
        self,
        function: int = TRAIN_STEP,
        work_ns: int = 10,
        *,
        trains: bool = True,
        compiled: bool = False,
    ) -> None:
        begin = self.now
        self.work(work_ns)
        self.hand.function_called(
            TrainingCall(
                function=function,
                start_ns=begin,
                end_ns=self.now,
                trains=trains,
                compiled=compiled,
                reason="another shape" if compiled else None,
            )
        )

    def recorded(self, *kinds: Kind) -> list[Event]:
        return events(self.recorder, *kinds)


@pytest.fixture
def training() -> HandTraining:
    return HandTraining()


def test_a_function_that_trains_is_a_loop_from_its_first_call_on(training: HandTraining) -> None:
    for _ in range(4):
        training.work(5)
        training.call()
    (loop,) = training.ends()
    assert loop.kind is LoopKind.CUSTOM
    assert loop.times == [10, 15, 15, 15]
    assert [event.duration_ns for event in training.recorded(Kind.MODEL)] == [10] * 4


def test_two_calls_are_no_loop(training: HandTraining) -> None:
    training.call()
    training.call()
    assert training.ends() == []


def test_a_function_that_only_predicts_is_no_loop(training: HandTraining) -> None:
    for _ in range(9):
        training.call(POLICY, trains=False)
    assert training.ends() == []


def test_what_a_policy_computes_between_the_calls_that_train_is_own_code(
    training: HandTraining,
) -> None:
    for _ in range(5):
        for _ in range(4):
            training.call(POLICY, trains=False)
        training.call()
    (loop,) = training.ends()
    assert loop.times == [10, 50, 50, 50, 50]
    assert len(training.recorded(Kind.MODEL)) == 5


def test_a_second_function_that_trains_makes_no_steps_of_its_own(training: HandTraining) -> None:
    for _ in range(4):
        training.call(CRITIC)
        training.call(TRAIN_STEP)
    (loop,) = training.ends()
    assert loop.times == [10, 20, 20, 20]
    assert len(training.recorded(Kind.MODEL)) == 8


def test_fetches_stay_the_sign_of_steps_and_calls_are_the_models_work(
    training: HandTraining,
) -> None:
    for _ in range(4):
        training.fetch()
        training.call()
    (loop,) = training.ends()
    assert loop.times == [13] * 4
    assert [event.duration_ns for event in training.recorded(Kind.MODEL)] == [10] * 4


def test_where_nothing_trains_a_function_called_in_a_loop_is_its_model(
    training: HandTraining,
) -> None:
    for _ in range(3):
        training.fetch()
        training.call(POLICY, trains=False)
    training.ends()
    assert len(training.recorded(Kind.MODEL)) == 3


def test_a_batch_trained_on_again_and_again_was_only_looked_at(training: HandTraining) -> None:
    training.fetch()
    for _ in range(20):
        training.call()
    (loop,) = training.ends()
    assert loop.times == [83] + [10] * 12


def test_a_loop_of_calls_takes_its_source_up_again(training: HandTraining) -> None:
    for _ in range(3):
        training.fetch()
        for _ in range(10):
            training.call()
    (loop,) = training.ends()
    assert len(loop.steps) == 5
    loop.check()


def test_compiling_before_the_loop_was_known_is_recorded(training: HandTraining) -> None:
    training.call(work_ns=1000, compiled=True)
    for _ in range(4):
        training.call()
    (loop,) = training.ends()
    (compiled,) = training.recorded(Kind.COMPILE)
    assert compiled.number == loop.number
    assert (compiled.start_ns, compiled.end_ns) == (1000, 2000)


def test_compiling_inside_train_on_batch_is_that_calls(training: HandTraining) -> None:
    for compiled in (True, False):
        training.hand.model_works = True
        training.call(compiled=compiled)
        training.hand.model_works = False
        training.train_on_batch()
    (loop,) = training.ends()
    assert loop.kind is LoopKind.TRAIN_ON_BATCH
    assert len(training.recorded(Kind.COMPILE)) == 1
    assert [event.duration_ns for event in training.recorded(Kind.MODEL)] == [10, 10]


def passes(training: HandTraining, number: int) -> list[tuple[int, int, int]]:
    ended = training.recorded(Kind.PASS_ENDED)
    return [(e.start_ns, e.end_ns, e.inner) for e in ended if e.number == number]


def test_a_pass_reaches_from_the_first_steps_begin_to_the_last_ones_end(
    training: HandTraining,
) -> None:
    training.work(100)
    for _ in range(3):
        training.train_on_batch()
    training.work(100)
    (loop,) = training.ends()
    assert passes(training, loop.number) == [(1100, 1130, PassContext.TOP)]


def test_a_fit_between_two_stretches_ends_a_pass(training: HandTraining) -> None:
    for _ in range(2):
        for _ in range(2):
            training.train_on_batch()
        training.framework(LoopKind.FIT, work_ns=100)
    training.train_on_batch()
    by_hand, *_ = training.ends()
    assert passes(training, by_hand.number) == [
        (1000, 1020, PassContext.TOP),
        (1123, 1143, PassContext.TOP),
        (1246, 1256, PassContext.TOP),
    ]
    assert by_hand.times == [10] * 5


def test_a_prediction_is_a_part_of_the_step_whatever_the_order(training: HandTraining) -> None:
    for _ in range(3):
        training.train_on_batch()
        training.framework(LoopKind.PREDICT)
    training.train_on_batch()
    by_hand, predict = training.ends()
    assert by_hand.times == [10, 23, 23, 23]
    assert predict.facts.parent == by_hand.number
    assert {context for *_, context in passes(training, predict.number)} == {PassContext.IN_STEP}


def epochs(training: HandTraining, number: int) -> list[tuple[int, int, int]]:
    ended = training.recorded(Kind.EPOCH_ENDED)
    return [(e.inner, e.start_ns, e.end_ns) for e in ended if e.number == number]


def test_an_epoch_ends_with_its_source_and_begins_with_the_next_batch(
    training: HandTraining,
) -> None:
    for _ in range(2):
        for _ in range(2):
            training.fetch()
            training.work()
        training.end_of()
        training.work(100)
    (loop,) = training.ends()
    assert epochs(training, loop.number) == [(0, 1000, 1027), (1, 1127, 1154)]


def test_an_epoch_goes_on_after_another_source_had_its_turn(training: HandTraining) -> None:
    for _ in range(2):
        for source in (TRAIN, VALID):
            for _ in range(2):
                training.fetch(source)
                training.work()
    train, _ = training.ends()
    assert {epoch for epoch, *_ in epochs(training, train.number)} == {0}
    assert train.epochs == [0] * 4


def test_a_look_at_one_batch_before_a_loop_is_none(training: HandTraining) -> None:
    training.fetch(VALID)
    training.end_of(VALID)
    for _ in range(3):
        training.fetch(TRAIN)
        training.work()
    (loop,) = training.ends()
    assert loop.times == [13] * 3


def test_a_look_before_an_evaluation_is_none(training: HandTraining) -> None:
    training.fetch()
    training.end_of()
    training.framework(LoopKind.EVALUATE)
    (evaluation,) = training.ends()
    assert evaluation.kind is LoopKind.EVALUATE
