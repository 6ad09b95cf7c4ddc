import copy
import functools
import pickle
import queue
import threading
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.probes.loaders.datasets import observe_dataset, recognise
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.marked_stages import stage
from pipeprof.capture.probes.python.timed_generators import timing_of
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.errors import UsageError
from pipeprof.recording.loop import InputKind, LoopKind
from tests.capture.probes.recorded import (
    events,
    loops_of,
    names,
    recording_on,
    spans,
    warnings_of,
)

X = np.zeros((4, 2), np.float32)


def batches(count: int = 3) -> Iterator[Any]:
    for i in range(count):
        yield X + i, np.zeros(4)


class Iterable:
    def __init__(self) -> None:
        self.size = 3

    def __iter__(self) -> Iterator[Any]:
        return batches(self.size)


class Slotted:
    __slots__ = ("size",)

    def __iter__(self) -> Iterator[Any]:
        return batches(2)


class Iterator_:  # noqa: N801 - stands for any class
    def __init__(self) -> None:
        self.left = 2

    def __iter__(self) -> "Iterator_":
        return self

    def __next__(self) -> Any:
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return X


class CallableObject:
    def __call__(self) -> Iterator[Any]:
        yield X


class Model:
    def __call__(self, x: Any) -> Any:
        return x


def foreign(name: str, module: str, **members: Any) -> Any:
    return type(name, (), {"__module__": module, **members})()


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [
        (batches(), InputKind.GENERATOR),
        (batches, InputKind.GENERATOR),
        (lambda: batches(), InputKind.GENERATOR),
        (functools.partial(batches, 2), InputKind.GENERATOR),
        (CallableObject(), InputKind.GENERATOR),
        (stage("b")(batches), InputKind.GENERATOR),
        (stage("b", [1]), InputKind.GENERATOR),
        (foreign("PyDataset", "keras.src.x"), InputKind.SEQUENCE),
        (foreign("Sequence", "tf_keras.src.x"), InputKind.SEQUENCE),
        (foreign("DatasetV2", "tensorflow.python.data.x"), InputKind.TF_DATA),
        (foreign("DistributedDataset", "tensorflow.python.x"), InputKind.TF_DATA),
        (foreign("DataLoader", "torch.utils.data.dataloader"), InputKind.LOADER),
        (foreign("DataLoader", "grain._src.x"), InputKind.LOADER),
        (foreign("DataFrame", "pandas.core.frame"), InputKind.ARRAYS),
        (foreign("DataFrame", "pandas"), InputKind.ARRAYS),
        (X, InputKind.ARRAYS),
        ((X, X), InputKind.ARRAYS),
        (({"a": X}, [X, X]), InputKind.ARRAYS),
        ([X, X], InputKind.ARRAYS),
        ([(X, X), (X, X)], InputKind.ITERATOR),
        (Iterable(), InputKind.ITERATOR),
        (Iterator_(), InputKind.ITERATOR),
        (iter(queue.Queue().get, None), InputKind.ITERATOR),
        (zip([X], [X], strict=True), InputKind.ITERATOR),
        ({1, 2}, InputKind.ITERATOR),
    ],
)
def test_every_kind_of_dataset_is_recognised(dataset: Any, kind: InputKind) -> None:
    assert recognise(dataset) is kind


@pytest.mark.parametrize("thing", [3, "text", b"bytes", object(), list, Iterable, Model(), 1.5])
def test_anything_else_is_refused_with_what_was_expected(thing: Any) -> None:
    with pytest.raises(UsageError, match=r"expected a dataset \(.*received .* of type \w+"):
        observe_dataset(thing, ProbeContext(Recorder(None), warmup=5))


def test_a_long_thing_is_shown_short() -> None:
    with pytest.raises(UsageError) as caught:
        observe_dataset("x" * 1000, ProbeContext(Recorder(None), warmup=5))
    assert len(str(caught.value)) < 250


def loops(recorder: Recorder) -> list[dict[str, Any]]:
    return loops_of(recorder)


def steps(recorder: Recorder, context: ProbeContext) -> list[int]:
    """Epoch of each step, once the profile ends."""
    context.loops.close_all()
    return [event.value >> 32 for event in events(recorder, Kind.STEP)]


def test_a_generator_gives_the_same_and_shows_its_steps() -> None:
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        watched = observe_dataset(batches(), context)
        assert isinstance(watched.dataset, types.GeneratorType)
        taken = [x[0, 0] for x, _ in watched.dataset]
        assert steps(recorder, context) == [0, 0, 0]
    assert taken == [0, 1, 2]
    assert names(recorder) == ["batches"] * 3
    assert spans(recorder)[0].subject.location.line == batches.__code__.co_firstlineno
    (loop,) = loops(recorder)
    assert (loop.kind, loop.input.kind) == (LoopKind.CUSTOM, InputKind.GENERATOR)
    assert [event.value for event in events(recorder, Kind.WAIT)] == [4] * 3


@pytest.mark.parametrize("make", [batches, functools.partial(batches), stage("own")(batches)])
def test_a_generator_function_may_be_called_for_every_epoch(make: Any) -> None:
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        dataset = observe_dataset(make, context).dataset
        for _ in range(3):
            assert [x[0, 0] for x, _ in dataset(2)] == [0, 1]
        assert len(list(dataset(count=1))) == 1
        assert steps(recorder, context) == [0, 0, 1, 1, 2, 2, 3]
    assert len(loops(recorder)) == 1
    assert len(names(recorder)) == 7


def test_a_function_that_makes_another_kind_of_dataset_is_left_alone() -> None:
    made = [1, 2]
    with recording_on() as recorder:
        dataset = observe_dataset(lambda: made, ProbeContext(recorder, warmup=5)).dataset
        assert dataset() is made


def test_a_generator_that_is_timed_already_is_timed_once() -> None:
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        mine = stage("mine")(batches)()
        watched = observe_dataset(mine, context)
        again = observe_dataset(watched.dataset, context)
        assert again.dataset is watched.dataset is mine
        assert len(list(watched.dataset)) == 3
        assert len(steps(recorder, context)) == 3
    assert names(recorder) == ["mine"] * 3


@pytest.mark.parametrize("make", [Iterable, Slotted])
def test_an_iterable_stays_the_object_it_was(make: Any) -> None:
    mine = make()
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        watched = observe_dataset(mine, context)
        assert watched.dataset is mine
        assert isinstance(mine, make)
        assert type(mine).__name__ == make.__name__
        assert observe_dataset(mine, context).dataset is mine
        for _ in range(2):
            count = len(list(mine))
        assert steps(recorder, context) == [0] * count + [1] * count
        watched.release()
    assert type(mine) is make
    assert names(recorder) == [make.__name__] * count * 2


def test_an_iterable_is_pickled_as_the_object_it_was() -> None:
    mine = Iterable()
    with recording_on() as recorder:
        watched = observe_dataset(mine, ProbeContext(recorder, warmup=5))
        pickled = pickle.loads(pickle.dumps(mine))
        watched.release()
    assert (type(pickled), pickled.size) == (Iterable, 3)


def test_an_iterator_stays_the_object_it_was() -> None:
    mine = Iterator_()
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        watched = observe_dataset(mine, context)
        assert watched.dataset is mine
        assert observe_dataset(mine, context).dataset is mine
        assert iter(mine) is mine
        assert len(list(mine)) == 2
        assert mine.left == -1
        assert steps(recorder, context) == [0, 0]
        watched.release()
    assert type(mine) is Iterator_
    assert names(recorder) == ["Iterator_"] * 2


def test_what_an_iterable_iterates_with_stays_what_it_was() -> None:
    class Loader:
        def __iter__(self) -> Iterator_:
            return Iterator_()

    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        loader = observe_dataset(Loader(), context).dataset
        iterator = iter(loader)
        assert isinstance(iterator, Iterator_)
        assert iterator.left == 2
        assert len(list(iterator)) + len(list(loader)) == 4
        assert steps(recorder, context) == [0, 0, 1, 1]


def test_what_stands_for_a_list_copies_and_pickles_as_the_list() -> None:
    with recording_on() as recorder:
        dataset = observe_dataset([(X, X)], ProbeContext(recorder, warmup=5)).dataset
        assert type(copy.copy(dataset)) is list
        assert len(pickle.loads(pickle.dumps(dataset))) == 1


def test_a_list_of_batches_is_iterated_for_every_epoch() -> None:
    mine = [(X, X), (X, X)]
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        dataset = observe_dataset(mine, context).dataset
        assert len(dataset) == 2
        assert dataset[1] is mine[1]
        assert dataset.index(mine[0]) == 0
        for _ in range(2):
            assert [a is b for (a, _), (b, _) in zip(dataset, mine, strict=True)] == [True, True]
        assert steps(recorder, context) == [0, 0, 1, 1]


def test_an_iterator_from_a_queue() -> None:
    filled: queue.Queue[Any] = queue.Queue()
    for item in ((X, X), (X, X), None):
        filled.put(item)
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        dataset = observe_dataset(iter(filled.get, None), context).dataset
        assert next(dataset)[0] is X
        assert len(list(dataset)) == 1
        assert steps(recorder, context) == [0, 0]
    assert names(recorder) == ["callable_iterator"] * 2


@pytest.mark.parametrize("arrays", [X, (X, X), [X], {"a": X}])
def test_arrays_come_back_unchanged(arrays: Any) -> None:
    watched = observe_dataset(arrays, ProbeContext(Recorder(None), warmup=5))
    assert watched.dataset is arrays
    watched.release()


def test_batches_taken_on_another_thread_are_no_steps_but_delivered() -> None:
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        dataset = observe_dataset(batches(), context).dataset
        thread = threading.Thread(target=lambda: list(dataset))
        thread.start()
        thread.join()
        assert steps(recorder, context) == []
    assert len(events(recorder, Kind.BATCH)) == 3


def test_a_watch_of_an_earlier_profile_says_nothing_in_a_later_one() -> None:
    with recording_on() as first:
        dataset = observe_dataset(batches, ProbeContext(first, warmup=5)).dataset
        source = dataset()
        next(source)
        next(source)
    with recording_on() as second:
        later = ProbeContext(second, warmup=5)
        assert len(list(observe_dataset(source, later).dataset)) == 1
        assert len(steps(second, later)) == 1
    assert len(events(first, Kind.WAIT)) == 2


class Hostile:
    @property
    def shape(self) -> Any:
        raise RuntimeError("looked at")


def test_a_batch_that_cannot_be_looked_at_is_trained_on_all_the_same() -> None:
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        hostile = [Hostile(), Hostile(), Hostile()]
        assert list(observe_dataset(iter(hostile), context).dataset) == hostile
        assert len(steps(recorder, context)) == 3
    assert warnings_of(recorder) == [
        "The shapes of batches could not be read (RuntimeError: looked at): "
        "samples and bytes are missing."
    ]


def test_a_timed_generator_made_by_the_user_keeps_its_own_line() -> None:
    mine = stage("mine")(batches)()
    with recording_on() as recorder:
        watched = observe_dataset(mine, ProbeContext(recorder, warmup=5))
        timing = timing_of(watched.dataset)
        assert timing is not None
        assert timing.site.location is not None
        assert timing.site.location.line == batches.__code__.co_firstlineno


# Steady steps.


def rows_of(count: int) -> Iterator[Any]:
    with stage("open"):
        pass
    for i in range(count):
        yield np.full((4, 2), i, np.float32), np.zeros(4)


def recorded_steps(context: ProbeContext, recorder: Recorder) -> list[int]:
    context.loops.close_all()
    return [event.inner for event in events(recorder, Kind.STEP)]


@pytest.mark.parametrize("source", [rows_of, lambda n: rows_of(n), lambda n: Iterator_()])
def test_a_steady_loop_records_every_step_with_its_wait_and_its_work(source: Any) -> None:
    recorder = Recorder(None)
    context = ProbeContext(recorder, warmup=0)
    with recording_on(recorder):
        watched = observe_dataset(source(50), context)
        taken = sum(1 for _ in watched.dataset)
        assert recorded_steps(context, recorder) == list(range(taken))
    (facts,) = loops_of(recorder)
    waits = events(recorder, Kind.WAIT)
    work = events(recorder, Kind.ROOT_SPAN)
    assert [(e.start_ns, e.end_ns) for e in waits] == [(e.start_ns, e.end_ns) for e in work]
    assert [e.value for e in waits] == [4] * taken
    assert facts.input.kind is recognise(source(1))
    assert warnings_of(recorder) == []


def test_what_happens_inside_a_steady_source_is_seen() -> None:
    recorder = Recorder(None)
    context = ProbeContext(recorder, warmup=0)

    def source() -> Iterator[Any]:
        for i in range(30):
            if i == 20:
                context.enter_framework_loop()  # a `predict` makes this batch
                fit = context.loops.open(LoopKind.PREDICT)
                context.loops.close(fit)
                context.leave_framework_loop()
            if i == 25:
                raise OSError("disk")
            with stage("decode"):
                yield_me = X
            yield yield_me

    with recording_on(recorder):
        watched = observe_dataset(source(), context)
        with pytest.raises(OSError, match="disk"):
            for _ in watched.dataset:
                pass
        assert len(recorded_steps(context, recorder)) == 25
    assert names(recorder).count("decode") == 25
    assert names(recorder).count("source") == 26
    assert warnings_of(recorder) == []


def test_a_steady_source_that_another_thread_goes_on_with_is_not_the_loops() -> None:
    recorder = Recorder(None)
    context = ProbeContext(recorder, warmup=0)
    with recording_on(recorder):
        dataset = observe_dataset(rows_of(40), context).dataset
        for _ in range(20):
            next(dataset)
        thread = threading.Thread(target=lambda: [None for _ in dataset], name="reader")
        thread.start()
        thread.join()
        assert len(recorded_steps(context, recorder)) == 20
    lanes = [event.lane for event in events(recorder, Kind.ROOT_SPAN) if event.name == "rows_of"]
    assert lanes == ["main"] * 20 + ["reader"] * 20


def test_a_steady_loop_whose_every_call_is_read_loses_no_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeprof.capture.probes.python.cpu_sampling.MOST_RATIO", 1e9)
    recorder = Recorder(None)
    context = ProbeContext(recorder, warmup=0)
    with recording_on(recorder):
        for _ in observe_dataset(rows_of(30), context).dataset:
            pass
        assert recorded_steps(context, recorder) == list(range(30))
    work = [event for event in events(recorder, Kind.ROOT_SPAN) if event.name == "rows_of"]
    assert all(0 <= event.value <= event.own_ns for event in work)
    assert [(e.start_ns, e.end_ns) for e in events(recorder, Kind.WAIT)] == [
        (e.start_ns, e.end_ns) for e in work
    ]
