"""Loaders of other frameworks, by classes that keep things where theirs do."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.collector import RingSet
from pipeprof.capture.probes.loaders.datasets import observe_dataset
from pipeprof.capture.probes.loaders.timed_calls import (
    Destination,
    TimedCall,
    time_attribute,
    time_operators,
)
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.marked_stages import stage
from pipeprof.capture.probes.python.timed_subclass import has_replaced_methods
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.capture.recorder.recorder import Recorder, host_name
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import (
    events,
    facts_of,
    names,
    recording_on,
    spans,
    stages_of,
    warnings_of,
)

X = np.zeros((2, 3), np.float32)


class Samples:
    """A user's dataset, of either framework."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        return X[index % 2]


class Stream:
    """Stands for a user's `IterableDataset`."""

    def __iter__(self) -> Iterator[Any]:
        yield from X


def collate(samples: list[Any]) -> Any:
    return np.stack(samples)


class DataLoader:
    """Stands for PyTorch's."""

    def __init__(self, dataset: Any, num_workers: int = 0) -> None:
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers else None
        self.collate_fn = collate

    def __iter__(self) -> Any:
        return Batches(self)


DataLoader.__module__ = "torch.utils.data.dataloader"


class Batches:
    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        if hasattr(type(loader.dataset), "__iter__"):
            self.samples = iter(loader.dataset)
        else:
            self.samples = (loader.dataset[n] for n in range(len(loader.dataset)))

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Any:
        return self.loader.collate_fn([next(self.samples), next(self.samples)])


class Subset:
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


Subset.__module__ = "torch.utils.data.dataset"


class Decode:
    """A user's transformation for grain."""

    def map(self, sample: Any) -> Any:
        return sample + 1


def add_one(sample: Any) -> Any:
    return sample + 1


class IterDataset:
    """Stands for a node of grain's, which maps."""

    def __init__(self, parent: Any, function: Callable[[Any], Any], **more: Any) -> None:
        self._parents = (parent,)
        self._map_fn = function
        vars(self).update(more)

    def __iter__(self) -> Iterator[Any]:
        for sample in self._parents[0]:
            yield self._map_fn(sample)


class MapDataset:
    """Stands for a node of grain's, which reads."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Any]:
        return (self._source[n] for n in range(4))


for node in (IterDataset, MapDataset):
    node.__module__ = "grain._src.python.dataset.dataset"


class Loader:
    """Stands for grain's `DataLoader`."""

    def __init__(self, dataset: Any, operations: list[Any]) -> None:
        self._dataset = dataset
        self._operations = operations

    def __iter__(self) -> Iterator[Any]:
        return iter(self._dataset)


Loader.__name__ = "DataLoader"
Loader.__module__ = "grain._src.python.data_loader"


class Options:
    num_threads = 3


def watched(recorder: Recorder, loader: Any) -> tuple[dict[str, Any], Callable[[], None]]:
    """Puts it under watch; what it is said to be, and what ends the watch."""
    result = observe_dataset(loader, ProbeContext(recorder, warmup=5))
    assert result.dataset is loader
    return result.fed_by, result.release


def test_a_loader_without_workers_works_in_the_thread_that_asks() -> None:
    loader = DataLoader(Samples())
    with recording_on() as recorder:
        fed_by, release = watched(recorder, loader)
        for _ in range(2):
            assert len(list(loader)) == 2
        release()
    assert fed_by == InputFacts(
        kind=InputKind.LOADER,
        name="DataLoader",
        workers=0,
        multiprocessing=False,
        library=InputLibrary.TORCH_LOADER,
    )
    assert sorted(set(names(recorder))) == ["DataLoader", "Samples.__getitem__", "collate"]
    kinds = {span.name: span.kind for span in spans(recorder)}
    assert kinds["DataLoader"] is Kind.ROOT_SPAN
    assert kinds["Samples.__getitem__"] is kinds["collate"] is Kind.NESTED_SPAN
    assert names(recorder).count("Samples.__getitem__") == 8
    [loop] = {span.number for span in events(recorder, Kind.STEP)}
    assert facts_of(recorder)[loop].input.kind is InputKind.LOADER
    assert len(events(recorder, Kind.WAIT)) == 4
    facts = {f.name: f for f in stages_of(recorder)}
    assert facts["collate"].location.file.endswith(Path(__file__).name)


def test_to_wait_for_workers_is_no_work() -> None:
    loader = DataLoader(Samples(), num_workers=2)
    with recording_on() as recorder:
        fed_by, release = watched(recorder, loader)
        with stage("around"):
            batches = list(loader)
        release()
    assert [batch.shape for batch in batches] == [(2, 3)] * 2
    assert (fed_by.workers, fed_by.multiprocessing, fed_by.queue_size) == (2, True, 4)
    assert "DataLoader" not in names(recorder)
    around = spans(recorder)[-1]
    waits = events(recorder, Kind.WAIT)
    assert (around.name, len(waits)) == ("around", 2)
    assert around.own_ns <= around.duration_ns - sum(wait.duration_ns for wait in waits)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_all_is_given_back(num_workers: int) -> None:
    samples = Samples()
    loader = DataLoader(Subset(samples), num_workers)
    source, decode = Samples(), Decode()
    graph = IterDataset(MapDataset(source), add_one)
    grains = Loader(graph, [decode])
    with recording_on() as recorder:
        _, release = watched(recorder, loader)
        assert [has_replaced_methods(one) for one in (loader, samples, loader.dataset)] == [
            True,
            True,
            False,
        ]
        assert type(loader.collate_fn) is TimedCall
        _, release_graph = watched(recorder, graph)
        assert has_replaced_methods(source)
        assert type(graph._map_fn) is TimedCall  # noqa: SLF001 - grain's
        _, release_grains = watched(recorder, grains)
        assert type(decode.map) is TimedCall
        release_grains()
        release_graph()
        release()
        list(loader)
        list(graph)
    assert names(recorder) == []
    assert not any(map(has_replaced_methods, (loader, samples, graph, source)))
    assert loader.collate_fn is collate
    assert graph._map_fn is add_one  # noqa: SLF001 - grain's
    assert vars(decode) == {}


def test_samples_of_a_stream_are_timed_one_by_one() -> None:
    loader = DataLoader(Stream())
    with recording_on() as recorder:
        _, release = watched(recorder, loader)
        assert len(list(loader)) == 1
        release()
    assert names(recorder).count("Stream.__iter__") == 2


def test_the_functions_of_a_graph_are_timed_and_its_threads_reported() -> None:
    graph = IterDataset(MapDataset(Samples()), add_one, _read_options=Options())
    with recording_on() as recorder:
        fed_by, release = watched(recorder, graph)
        batches = list(graph)
        release()
    assert np.array_equal(batches, [X[n % 2] + 1 for n in range(4)])
    assert (fed_by.name, fed_by.workers) == ("grain.IterDataset", 3)
    assert fed_by.library is InputLibrary.GRAIN_ITER_DATASET
    assert fed_by.multiprocessing is False
    assert set(names(recorder)) == {"Samples.__getitem__", "add_one"}
    kinds = {f.name: f.kind for f in stages_of(recorder)}
    assert kinds == {
        "Samples.__getitem__": StageKind.FUNCTION,
        "add_one": StageKind.ITERABLE,  # after the reading threads: one by one
    }


def test_a_framework_that_keeps_things_elsewhere_is_iterated_all_the_same() -> None:
    class Odd(DataLoader):
        num_workers = property(lambda _: 1 / 0, lambda *_: None)  # type: ignore[assignment]

    loader = Odd(Samples())
    with recording_on() as recorder:
        fed_by, release = watched(recorder, loader)
        assert len(list(loader)) == 2
        release()
    assert fed_by == InputFacts(kind=InputKind.LOADER, name="Odd")
    assert any("Odd is shown in part only" in said for said in warnings_of(recorder))


def test_a_method_is_timed_and_pickled_as_the_users() -> None:
    decode = Decode()
    to = Destination(None, None)
    release = time_attribute(decode, "map", "Decode.map", to)
    with recording_on() as recorder:
        assert decode.map(1) == 2
    assert names(recorder) == ["Decode.map"]
    arrived = pickle.loads(pickle.dumps(decode))
    assert type(arrived) is Decode
    assert arrived.map(1) == 2
    assert type(arrived.map) is not TimedCall  # no profile is on here
    release()
    assert vars(decode) == {}


def in_worker(decode: Decode, source: Samples) -> Any:
    return decode.map(source[1])[0]


@pytest.mark.integration  # starts Python anew
def test_what_reaches_a_worker_that_was_not_forked_is_timed_there(tmp_path: Path) -> None:
    decode, source = Decode(), Samples()
    spawning: Any = multiprocessing.get_context("spawn")
    with recording_on(Recorder(tmp_path)) as recorder:
        to = Destination(tmp_path, 2)
        context = ProbeContext(recorder, warmup=5)
        releases = [time_attribute(decode, "map", "Decode.map", to)]
        releases.append(time_operators(source, context, to))
        with spawning.Pool(1) as pool:
            assert pool.apply_async(in_worker, (decode, source)).get(timeout=60) == 1
        for release in releases:
            release()
        recorder.names.close()
    rings = RingSet(Accumulator.begin(start_ns=0, warmup=0), host_name())
    rings.discover(tmp_path, skip_pid=recorder.pid)
    rings.drain()
    stages = rings.accumulator.registry.stages
    assert {one.facts.name for one in stages} == {"Decode.map", "Samples.__getitem__"}
    assert {one.facts.workers for one in stages} == {2}
