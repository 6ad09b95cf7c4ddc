"""The short way of steady steps records what the long way does, whatever comes between."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.probes.loops.training_calls import TrainingCall
from pipeprof.capture.probes.python.timed_generators import ShortWay
from pipeprof.capture.recorder.records import Kind
from tests.capture.probes.loops.test_loop_tracker import (
    FED_BY,
    HAND_MOVES,
    SHAPE,
    TRAIN,
    Training,
    play,
)
from tests.capture.probes.recorded import events, facts_of, warnings_of

RECORDED = (Kind.STEP, Kind.WAIT, Kind.MODEL, Kind.EPOCH_BEGAN, Kind.EPOCH_ENDED)
RECORDED += (Kind.PASS_BEGAN, Kind.PASS_ENDED)


class ShortTraining(Training):
    """Takes the short way wherever there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: dict[int, ShortWay] = {}
        self.short = 0

    def fetch(self, source: int = TRAIN, wait_ns: int = 3) -> None:
        way = self.ways.get(source)
        if way is not None and way.follower.steady is way.steady:
            begin = self.now
            self.now += wait_ns
            way.fetched(None, begin, self.now)
            self.short += 1
            return
        super().fetch(source, wait_ns)
        found = self.hand.short_way(source, lambda batch: SHAPE)
        self.ways = {} if found is None else {source: found}


def calls(training: Training, moves: list[str]) -> None:
    """Plays moves, among them calls of functions that may train."""
    for move in moves:
        if move in ("trains", "predicts"):
            begin = training.now
            training.work()
            training.hand.function_called(
                TrainingCall(
                    function=len(move), start_ns=begin, end_ns=training.now, trains=move == "trains"
                )
            )
        else:
            play(training, [move])


def recorded(training: Training) -> tuple[Any, ...]:
    training.tracker.close_all()
    return events(training.recorder, *RECORDED), facts_of(training.recorder)


@given(
    st.lists(
        st.one_of(
            st.sampled_from([*HAND_MOVES, "trains", "predicts"]).map(lambda move: [move]),
            st.sampled_from(["fetch", "other"]).map(lambda move: [move, "work"] * 3),
        ),
        max_size=20,
    ).map(lambda parts: [move for part in parts for move in part])
)
def test_the_short_way_and_the_long_way_record_the_same(moves: list[str]) -> None:
    short, long = ShortTraining(), Training()
    calls(short, moves)
    calls(long, moves)
    assert recorded(short) == recorded(long)


def test_steps_that_only_fetch_and_train_take_the_short_way_from_the_third_on() -> None:
    training = ShortTraining()
    calls(training, ["fetch", "trains"] * 10)
    assert training.short == 8
    (loop,) = training.ends()
    assert loop.times == [13] * 10


def test_a_batch_of_another_source_ends_the_short_way_until_the_loop_is_steady_again() -> None:
    training = ShortTraining()
    calls(training, ["fetch"] * 3 + ["other"] + ["fetch"] * 3)
    assert training.short == 3


def test_a_loop_whose_steps_are_marked_has_no_short_way() -> None:
    training = ShortTraining()
    training.step(training.fetch)
    training.step(training.fetch)
    assert (training.short, training.hand.short_way(TRAIN, lambda batch: None)) == (0, None)


def test_a_batch_that_cannot_be_followed_is_said_and_harms_nobody() -> None:
    training = Training()
    training.fetch()
    training.fetch()
    way = training.hand.short_way(TRAIN, lambda batch: batch.lost)
    assert way is not None
    way.fetched(object(), training.now, training.now + 1)
    way.fetched(object(), training.now + 2, training.now + 3)
    training.hand.fetched(TRAIN, FED_BY, training.now + 4, training.now + 5, SHAPE)
    (warning,) = warnings_of(training.recorder)
    assert warning.startswith("The hand-written loop could not be followed any more (Attribute")
    assert len(events(training.recorder, Kind.WAIT)) == 2
