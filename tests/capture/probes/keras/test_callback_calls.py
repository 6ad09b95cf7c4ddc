"""Each method of each callback is timed by itself, and given back exactly."""

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeprof.capture.probes.keras.callback_calls import CallbackCalls, describe_method
from pipeprof.capture.probes.loops.open_loop import NO_EPOCH, OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder.facts import HostCallFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.account import CallbackEvent, CallbackMethod, KerasCallback, Part
from pipeprof.recording.loop import LoopKind
from tests.capture.probes.recorded import Event, events, facts_of, recording_on, warnings_of


def default(method: Any) -> Any:
    """Stands for the decorator of Keras's that marks a method which does nothing."""
    vars(method)["_is_default"] = True
    return method


class Base:
    """Stands for Keras's `Callback`."""

    @default
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        raise AssertionError("it is asked for only where nothing overrides it")

    @default
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


class Dashboard(Base):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> str:
        self.seen.append((batch, logs))
        return "drawn"


class Lambda(Base):
    """Stands for `LambdaCallback`: its methods are attributes of the object."""

    def __init__(self, on_epoch_end: Callable[..., Any]) -> None:
        self.on_epoch_end = on_epoch_end  # type: ignore[method-assign]


class Slotted:
    __slots__ = ()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


class Odd(Base):
    @property
    def on_epoch_begin(self) -> Any:
        raise RuntimeError("not yet")


def print_line(epoch: int, logs: Any = None) -> None:
    pass


class Training:
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.context = ProbeContext(recorder, warmup=5)
        self.calls = CallbackCalls(self.context)

    def fit(self, kind: LoopKind = LoopKind.FIT) -> OpenLoop:
        return self.context.loops.open(kind)

    @property
    def recorded(self) -> list[Event]:
        return events(self.recorder, Kind.HOST_CALL)

    @property
    def named(self) -> list[str]:
        return [event.name for event in self.recorded]


@pytest.fixture
def training() -> Iterator[Training]:
    with recording_on() as recorder:
        yield Training(recorder)


def test_a_method_is_timed_with_its_name_and_line_and_given_back(training: Training) -> None:
    mine = Dashboard()
    fit = training.fit()
    training.calls.time([mine])
    fit.open_epoch(0)
    assert mine.on_train_batch_end(3, logs={"loss": 1.0}) == "drawn"
    assert mine.seen == [(3, {"loss": 1.0})]
    [call] = training.recorded
    assert (call.inner, call.value) == (fit.number, 0)
    assert call.duration_ns > 0
    facts = facts_of(training.recorder)[call.number]
    assert isinstance(facts, HostCallFacts)
    assert (facts.part, facts.name) == (Part.CALLBACKS, "Dashboard.on_train_batch_end")
    assert facts.callback == CallbackMethod(
        owner="Dashboard", method="on_train_batch_end", event=CallbackEvent.BATCH
    )
    assert facts.location is not None
    assert __file__.endswith(facts.location.file)
    assert facts.location.line == Dashboard.on_train_batch_end.__code__.co_firstlineno
    training.calls.release()
    assert vars(mine) == {"seen": mine.seen}
    assert mine.on_train_batch_end.__func__ is Dashboard.on_train_batch_end


@pytest.mark.parametrize(
    ("module", "of_keras"),
    [
        ("keras.src.callbacks.model_checkpoint", KerasCallback.MODEL_CHECKPOINT),
        ("tf_keras.src.callbacks", KerasCallback.MODEL_CHECKPOINT),
        ("__main__", None),
    ],
)
def test_keras_own_callbacks_are_known_by_module(
    module: str, of_keras: KerasCallback | None
) -> None:
    made = type("ModelCheckpoint", (), {"__module__": module})()
    assert describe_method(made, "on_epoch_end") == CallbackMethod(
        owner="ModelCheckpoint",
        method="on_epoch_end",
        event=CallbackEvent.EPOCH,
        of_keras=of_keras,
    )


def test_what_keras_gives_all_callbacks_is_left_alone(training: Training) -> None:
    mine = Base()
    training.fit()
    training.calls.time([mine])
    assert vars(mine) == {}


def test_outside_of_epochs_a_call_belongs_to_none(training: Training) -> None:
    mine = Dashboard()
    training.fit()
    training.calls.time([mine])
    mine.on_train_batch_end(0)
    assert [call.value for call in training.recorded] == [NO_EPOCH]


def test_functions_in_the_object_itself_come_back(training: Training) -> None:
    mine = Lambda(print_line)
    training.fit()
    training.calls.time([mine])
    assert mine.on_epoch_end is not print_line
    mine.on_epoch_end(0)
    [call] = training.recorded
    facts = facts_of(training.recorder)[call.number]
    assert isinstance(facts, HostCallFacts)
    assert facts.name == "Lambda.on_epoch_end"
    assert facts.location is not None
    assert facts.location.line == print_line.__code__.co_firstlineno
    training.calls.release()
    assert mine.on_epoch_end is print_line


def test_what_the_user_puts_there_meanwhile_stays(training: Training) -> None:
    mine = Lambda(print_line)
    training.fit()
    training.calls.time([mine])
    mine.on_epoch_end = later = lambda *_: None  # type: ignore[method-assign]
    training.calls.release()
    assert mine.on_epoch_end is later


def test_a_callback_is_shadowed_once_however_often_it_comes(training: Training) -> None:
    mine = Dashboard()
    training.fit()
    training.calls.time([mine, mine])
    training.calls.time([mine])
    mine.on_train_batch_end(0)
    assert len(training.recorded) == 1
    training.calls.release()
    assert vars(mine) == {"seen": mine.seen}


def test_one_without_the_base_class_is_timed_and_one_without_a_dict_is_warned_of(
    training: Training,
) -> None:
    class Own:
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            pass

    mine, slotted = Own(), Slotted()
    training.fit()
    training.calls.time([mine, slotted])
    for callback in (mine, slotted):
        callback.on_epoch_end(0)
    assert training.named == ["Own.on_epoch_end"]
    assert warnings_of(training.recorder) == [
        "The methods of Slotted could not be timed, since its objects have no __dict__: they count as "
        "compute or as time between epochs."
    ]


def test_one_that_cannot_be_looked_at_is_warned_of_and_the_others_are_timed(
    training: Training,
) -> None:
    mine = Dashboard()
    training.fit()
    training.calls.time([Odd(), mine])
    mine.on_train_batch_end(0)
    assert training.named == ["Dashboard.on_train_batch_end"]
    [warning] = warnings_of(training.recorder)
    assert warning.startswith(
        "The methods of a callback could not be timed (RuntimeError: not yet)"
    )


def test_callbacks_that_call_each_other_count_once(training: Training) -> None:
    inner = Dashboard()

    class Outer(Base):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            inner.on_train_batch_end(batch, logs)

    outer = Outer()
    training.fit()
    training.calls.time([inner, outer])
    outer.on_train_batch_end(0)
    assert inner.seen == [(0, None)]
    assert training.named == ["Outer.on_train_batch_end"]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_callback_raises_comes_through_and_its_time_is_known(
    training: Training, error: BaseException
) -> None:
    class Raising(Base):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise error

    mine = Raising()
    fit = training.fit()
    training.calls.time([mine])
    with pytest.raises(type(error)) as caught:
        mine.on_epoch_end(0)
    assert caught.value is error
    assert training.named == ["Raising.on_epoch_end"]
    assert not fit.in_callback


def test_a_fit_inside_a_callback_has_callbacks_of_its_own(training: Training) -> None:
    inner = Dashboard()

    class Retrains(Base):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            nested = training.fit()
            training.calls.time([inner])
            inner.on_train_batch_end(0)
            training.context.loops.close(nested)

    outer = Retrains()
    fit = training.fit()
    training.calls.time([outer])
    outer.on_epoch_end(0)
    first, second = training.recorded
    assert [first.name, second.name] == ["Dashboard.on_train_batch_end", "Retrains.on_epoch_end"]
    assert first.inner != fit.number
    assert second.inner == fit.number
    assert second.start_ns <= first.start_ns <= first.end_ns <= second.end_ns


def test_a_call_from_another_thread_is_not_the_loops_time(training: Training) -> None:
    mine = Dashboard()
    training.fit()
    training.calls.time([mine])
    thread = threading.Thread(target=mine.on_train_batch_end, args=(0,))
    thread.start()
    thread.join()
    assert mine.seen == [(0, None)]
    assert training.recorded == []


def test_without_a_loop_nothing_is_recorded(training: Training) -> None:
    mine = Dashboard()
    training.calls.time([mine])
    mine.on_train_batch_end(0)
    assert training.recorded == []


DUPLICATES = [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_a_copy_or_a_pickled_one_is_the_users(
    training: Training, duplicate: Callable[[Any], Any]
) -> None:
    training.fit()
    mine = Dashboard()
    training.calls.time([mine])
    other = duplicate(mine)
    training.calls.release()
    other.on_train_batch_end(7)
    assert (mine.seen, other.seen) == ([], [(7, None)])
    assert training.recorded == []


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_a_copy_or_a_pickled_one_has_the_users_own_functions(
    training: Training, duplicate: Callable[[Any], Any]
) -> None:
    training.fit()
    mine = Lambda(print_line)
    training.calls.time([mine])
    other = duplicate(mine)
    training.calls.release()
    other.on_epoch_end(1)
    assert other.on_epoch_end is print_line
    assert training.recorded == []
