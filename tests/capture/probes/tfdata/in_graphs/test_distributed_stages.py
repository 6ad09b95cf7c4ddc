"""Costs behind a strategy are those of an element in a trace, times the elements taken; no framework."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeprof.capture.probes.tfdata.in_graphs.distributed_stages import (
    MOST_WAITING,
    DistributedPipeline,
    DistributedStages,
    per_device_iterators,
    users_dataset,
)
from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot, NodeCounters
from pipeprof.capture.probes.tfdata.running.running_stages import IteratorStages, PipelineStages
from pipeprof.capture.probes.tfdata.written.transformations import Pipeline, Transformation
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from tests.capture.probes.recorded import events
from tests.capture.probes.tfdata.in_graphs.test_graph_snapshots import traced

DEVICES = 2
# Of each 2 elements for the devices: 8 rows, with 80 ns of work in the map.
SEEN = traced(
    Root=(2, 0), Root__Batch=(2, 4), Root__Batch__Map=(8, 80), Root__Batch__Map__Range=(8, 0)
)


def written() -> Transformation:
    source = Transformation(name="range", family="range", path="0.0.0")
    rows = Transformation(name="map", family="map", path="0.0", label="lookup", inputs=(source,))
    return Transformation(name="batch", family="batch", path="0", inputs=(rows,))


class Behind:
    """A pipeline behind a strategy, and one iterator before its first device."""

    def __init__(self) -> None:
        self.recorder = Recorder(None)
        self.unknown = 0
        context: Any = SimpleNamespace(recorder=self.recorder)
        stages = PipelineStages(context, Pipeline(output=written()), "fit")
        self.pipeline = DistributedPipeline(stages, DEVICES, self._count_unknown)
        whole = Transformation(name="distributed pipeline", family="generator", path="0")
        of_device = PipelineStages(context, Pipeline(output=whole), "fit")
        self.iterator = DistributedStages(self.pipeline, IteratorStages(of_device))

    def _count_unknown(self) -> None:
        self.unknown += 1

    def give(self, elements: int, now: int) -> None:
        """Reads the iterator when it has given so many elements in all."""
        nodes = {
            1: NodeCounters(1, "Root", (2,), elements, 0, 0, 0, 0),
            2: NodeCounters(2, "Generator", (), elements, 7 * elements, 0, 0, 0),
        }
        model = ModelSnapshot(nodes=nodes, output=1, gap_times_us=(), cpu_budget=0, ram_budget=0)
        self.iterator.record(model, 0, now - 10, now)

    def work(self, kind: Kind = Kind.WORK) -> list[tuple[str, int, int]]:
        """Names of stages with elements and work, in the order of their records."""
        found = events(self.recorder, kind)
        return [(event.name, event.inner, event.value) for event in found]


@pytest.fixture
def behind() -> Behind:
    return Behind()


def test_what_was_taken_has_the_costs_of_a_trace(behind: Behind) -> None:
    behind.give(3, now=20)
    assert behind.work() == []
    behind.pipeline.add_trace(SEEN, 0)
    # The devices took 6 elements of 4 rows each.
    before = [("batch", 6, 12), ("lookup", 24, 240), ("range", 24, 0)]
    assert behind.work() == before
    behind.give(4, now=30)
    assert behind.work() == [*before, ("batch", 2, 4), ("lookup", 8, 80), ("range", 8, 0)]
    assert [work_ns for _, _, work_ns in behind.work(Kind.ESTIMATED_WORK)] == [12, 240, 4, 80]
    behind.pipeline.give_up()
    assert behind.unknown == 0


def test_traces_are_joined(behind: Behind) -> None:
    behind.pipeline.add_trace(SEEN, 0)
    more = traced(
        Root=(1, 0), Root__Batch=(2, 0), Root__Batch__Map=(8, 0), Root__Batch__Map__Range=(8, 0)
    )
    behind.pipeline.add_trace(more, 0)
    assert not behind.pipeline.wants_traces
    behind.give(1, now=20)
    assert behind.work() == [("batch", 2, 2), ("lookup", 8, 40), ("range", 8, 0)]


def test_without_a_trace_the_pipeline_is_recorded_as_a_whole(behind: Behind) -> None:
    behind.give(3, now=20)
    behind.pipeline.add_trace(traced(), 0)  # nothing was taken in it
    behind.give(5, now=30)
    behind.pipeline.give_up()
    behind.pipeline.add_trace(SEEN, 0)
    behind.give(6, now=40)
    rows = [("distributed pipeline", 3, 21), ("distributed pipeline", 2, 14)]
    assert behind.work() == [*rows, ("distributed pipeline", 1, 7)]
    assert (behind.unknown, behind.pipeline.wants_traces) == (1, False)


def test_readings_do_not_wait_for_a_trace_for_ever(behind: Behind) -> None:
    for number in range(1, MOST_WAITING + 2):
        behind.give(number, now=20 * number)
    assert len(behind.work()) == MOST_WAITING + 1
    assert behind.unknown == 1


def test_the_users_dataset_is_found_behind_what_a_strategy_returns() -> None:
    users = object()
    assert users_dataset(SimpleNamespace(_original_dataset=users, _cloned_datasets=[1])) is users
    assert users_dataset(SimpleNamespace(_datasets=[users])) is users
    assert users_dataset(SimpleNamespace(_cloned_datasets=[users])) is users
    assert users_dataset(SimpleNamespace(_datasets=[])) is None
    assert users_dataset(object()) is None


def test_iterators_of_devices_are_found_behind_that_of_a_strategy() -> None:
    worker = SimpleNamespace(_iterator=SimpleNamespace(_device_iterators=["a", "b"]))
    distributed = SimpleNamespace(_iterators=[worker, SimpleNamespace()])
    assert list(per_device_iterators(distributed)) == [("a", 2), ("b", 2)]
    assert list(per_device_iterators(object())) == []
