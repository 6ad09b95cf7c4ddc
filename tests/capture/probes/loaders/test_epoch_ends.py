"""A dataset's own ``on_epoch_end`` is time between epochs where the thread that trains runs it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeprof.capture.probes.loaders.sequences import observe_sequence
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder.facts import HostCallFacts
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.account import Part, PassContext
from pipeprof.recording.loop import LoopKind
from tests.capture.probes.recorded import Event, events, facts_of, recording_on


class Pairs:
    """A sequence of Keras 2: it has no ``on_epoch_begin``."""

    failure: Exception | None = None
    mines: Any = None

    def __init__(self) -> None:
        self.epochs = 0

    def __getitem__(self, index: int) -> int:
        return index

    def on_epoch_end(self) -> str:
        self.epochs += 1
        if self.failure is not None:
            raise self.failure
        if self.mines is not None:
            self.mines()
        return "done"


class NewPairs(Pairs):
    """One of Keras 3."""

    def on_epoch_begin(self) -> None:
        pass


class Plain:
    def __getitem__(self, index: int) -> int:
        return index


class Training:
    def __init__(self, context: ProbeContext) -> None:
        self.context = context
        context.enter_framework_loop()
        self.fit: OpenLoop = context.loops.open(LoopKind.FIT)
        self.fit.open_epoch(0)

    @property
    def calls(self) -> list[Event]:
        return events(self.context.recorder, Kind.HOST_CALL)


@pytest.fixture
def training() -> Iterator[Training]:
    with recording_on() as recorder:
        yield Training(ProbeContext(recorder, warmup=5))


@pytest.mark.parametrize("kind", [Pairs, NewPairs])
def test_it_has_its_name_and_line_and_its_epoch(training: Training, kind: type[Pairs]) -> None:
    pairs = kind()
    release = observe_sequence(pairs, training.context)
    assert pairs.on_epoch_end() == "done"
    release()
    assert (type(pairs), pairs.epochs) == (kind, 1)
    [call] = training.calls
    assert (call.inner, call.value) == (training.fit.number, 0)
    facts = facts_of(training.context.recorder)[call.number]
    assert isinstance(facts, HostCallFacts)
    assert (facts.part, facts.name) == (Part.BETWEEN_EPOCHS, f"{kind.__name__}.on_epoch_end")
    assert facts.location is not None
    assert facts.location.line == Pairs.on_epoch_end.__code__.co_firstlineno


def test_in_a_thread_of_workers_it_is_not_the_trainings_time(training: Training) -> None:
    pairs = Pairs()
    release = observe_sequence(pairs, training.context)
    thread = threading.Thread(target=pairs.on_epoch_end)
    thread.start()
    thread.join()
    release()
    assert pairs.epochs == 1
    assert training.calls == []


def test_outside_of_keras_it_is_the_users_own_code(training: Training) -> None:
    pairs = Pairs()
    release = observe_sequence(pairs, training.context)
    training.context.leave_framework_loop()
    pairs.on_epoch_end()
    release()
    assert training.calls == []


def test_called_by_a_callback_it_is_a_part_of_that(training: Training) -> None:
    pairs = Pairs()
    release = observe_sequence(pairs, training.context)
    training.fit.in_callback = True
    pairs.on_epoch_end()
    release()
    assert training.calls == []


def test_what_it_raises_comes_through(training: Training) -> None:
    pairs = Pairs()
    pairs.failure = ValueError("no pairs")
    release = observe_sequence(pairs, training.context)
    with pytest.raises(ValueError, match="no pairs"):
        pairs.on_epoch_end()
    release()
    assert len(training.calls) == 1
    assert not training.fit.in_callback


def test_a_prediction_in_it_is_not_beside_it(training: Training) -> None:
    pairs = Pairs()
    loops = training.context.loops
    pairs.mines = lambda: loops.close(loops.open(LoopKind.PREDICT))
    release = observe_sequence(pairs, training.context)
    pairs.on_epoch_end()
    release()
    [ended] = events(training.context.recorder, Kind.PASS_ENDED)
    assert ended.inner == PassContext.IN_CALLBACK


def test_a_dataset_without_one_gets_none(training: Training) -> None:
    release = observe_sequence(Plain(), training.context)
    release()
    assert training.calls == []
