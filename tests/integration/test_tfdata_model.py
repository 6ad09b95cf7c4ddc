"""What AUTOTUNE's counters mean, on real TensorFlow: facts that pipeprof is built on.

Costs are planted as sleeps that measure how long they were, so that no bound hangs on the machine.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import dataset_metadata_pb2, graph_pb2

from pipeprof.capture.probes.tfdata.running.autotune_model import read_model
from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    ModelSnapshot,
    NodeCounters,
    new_gaps,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(tensorflow|google|numpy)"),
]

Dataset = tf.data.Dataset
PLANTED_S = 0.005
MANY = 100_000
slept_ns: list[int] = []


@pytest.fixture(autouse=True)
def nothing_slept() -> None:
    slept_ns.clear()


def sleep(seconds: float = PLANTED_S) -> None:
    start = time.perf_counter_ns()
    time.sleep(seconds)
    slept_ns.append(time.perf_counter_ns() - start)


def many() -> Any:
    return Dataset.range(MANY)


def slow(x: Any) -> Any:
    def wait(value: Any) -> Any:
        sleep()
        return value

    return tf.ensure_shape(tf.numpy_function(wait, [x], tf.int64), [])


def slow_numbers() -> Iterator[int]:
    for number in range(MANY):
        sleep()
        yield number


def from_slow_numbers() -> Any:
    return Dataset.from_generator(slow_numbers, output_signature=tf.TensorSpec((), tf.int64))


def read(iterator: Any, previous: ModelSnapshot | None = None) -> ModelSnapshot:
    snapshot = read_model(iterator, previous)
    assert snapshot is not None
    return snapshot


def run(dataset: Any, batches: int) -> ModelSnapshot:
    iterator = iter(dataset)
    for _ in range(batches):
        next(iterator)
    return read(iterator)


def named(snapshot: ModelSnapshot, name: str) -> list[NodeCounters]:
    return [node for node in snapshot.nodes.values() if node.name == name]


WORKING: dict[str, tuple[Callable[[], Any], str, int]] = {
    "a serial map": (lambda: many().map(slow).shuffle(3).batch(4), "Map", 1),
    "a parallel map": (lambda: many().map(slow, 2).shuffle(3).batch(4), "ParallelMapV2", 1),
    "a fused map": (lambda: many().map(slow).batch(4), "MapAndBatch", 4),
    "a filter that lets half of them pass": (
        lambda: many().filter(lambda x: slow(x) % 2 == 0).batch(4),
        *("Filter", 2),
    ),
    "a scan": (
        lambda: many().scan(np.int64(0), lambda state, x: (state, slow(x))).batch(4),
        *("Scan", 1),
    ),
    "a generator": (lambda: from_slow_numbers().batch(4), "Generator", 1),
    "generators under an interleave": (
        lambda: many().interleave(lambda x: from_slow_numbers(), cycle_length=2).batch(4),
        *("Generator", 1),
    ),
    "generators under a parallel interleave": (
        lambda: (
            many()
            .interleave(lambda x: from_slow_numbers(), cycle_length=2, num_parallel_calls=2)
            .batch(4)
        ),
        *("Generator", 1),
    ),
    "what a flat_map calls to make four elements": (
        lambda: many().flat_map(lambda x: Dataset.range(slow(x) * 0 + 4)).batch(4),
        *("FlatMap", 0.25),
    ),
    "what groups four elements by a key": (
        lambda: (
            many()
            .group_by_window(lambda x: slow(x) % 2, lambda key, window: window.batch(4), 4)
            .prefetch(1)
        ),
        *("GroupByWindow", 4),
    ),
    "what fills a cache": (lambda: many().map(slow).cache().batch(4), "Map", 1),
}


@pytest.mark.parametrize("case", WORKING)
def test_processing_time_is_a_nodes_own_work(case: str) -> None:
    make, name, calls_per_element = WORKING[case]
    snapshot = run(make(), 40)  # long against what starts up
    working = named(snapshot, name)
    elements = sum(node.num_elements for node in working)
    work_ns = sum(node.processing_time_ns for node in working)
    planted_ns = elements * calls_per_element * float(np.median(slept_ns))
    assert 0.8 * planted_ns < work_ns < 2 * planted_ns
    others = [node for node in snapshot.nodes.values() if node not in working]
    assert sum(node.processing_time_ns for node in others) < work_ns / 2


def test_waiting_for_the_consumer_is_no_work() -> None:
    dataset = many().map(slow, 2).shuffle(3).map(lambda x: x + 1, 2).batch(2).prefetch(2)
    iterator = iter(dataset)
    rested_ns = 0
    for _ in range(12):
        next(iterator)
        begin_ns = time.perf_counter_ns()
        time.sleep(20 * PLANTED_S)
        rested_ns += time.perf_counter_ns() - begin_ns
    snapshot = read(iterator)
    # All nodes together worked for less than half of the time for which the consumer let them wait.
    assert sum(node.processing_time_ns for node in snapshot.nodes.values()) < rested_ns / 2
    (prefetch,) = named(snapshot, "Prefetch")
    assert (prefetch.buffer_size, prefetch.buffered_elements) == (2, 2)
    slowest = max(snapshot.nodes.values(), key=lambda node: node.processing_time_ns)
    assert slowest.name.startswith("ParallelMap")
    assert prefetch.processing_time_ns < slowest.processing_time_ns / 2


def test_gaps_are_what_the_consumer_did_with_each_batch() -> None:
    iterator = iter(many().batch(2))
    previous_us: tuple[int, ...] = ()
    before, found = 0, []
    for number in range(130):
        next(iterator)
        sleep(0.02 if number % 3 else 0.001)
        if number % 13 == 0:
            snapshot = read(iterator)
            batches = snapshot.nodes[snapshot.output].num_elements
            found += new_gaps(previous_us, snapshot.gap_times_us, batches - before)
            previous_us, before = snapshot.gap_times_us, batches
    assert len(found) == before - 1  # between batches: one less than there are
    # A gap has the whole sleep after its batch in it, and little else.
    slept_us = [one // 1000 for one in slept_ns]
    assert all(gap_us >= slept for gap_us, slept in zip(found, slept_us, strict=False))
    assert sum(found) < 1.5 * sum(slept_us)


def test_without_autotune_there_is_no_model() -> None:
    options = tf.data.Options()
    options.autotune.enabled = False
    iterator = iter(many().with_options(options))
    next(iterator)
    assert read_model(iterator) is None
    assert read_model(object()) is None


def test_iterators_of_arrays_can_be_read() -> None:
    iterator = many().as_numpy_iterator()
    next(iterator)
    assert read(iterator).nodes


def test_parallelism_of_a_fused_map_counts_calls_and_not_batches() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def counted(value: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(PLANTED_S)
        with lock:
            running -= 1
        return value

    def count(x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(counted, [x], tf.int64), [])

    snapshot = run(many().map(count, num_parallel_calls=2).batch(8), 6)
    (fused,) = named(snapshot, "MapAndBatch")
    assert (fused.parallelism, fused.tunable) == (2, False)
    assert most == 2


def test_a_reading_that_builds_on_another_says_the_same() -> None:
    iterator = iter(many().interleave(lambda x: many().map(slow, 2), cycle_length=2).batch(2))
    next(iterator)
    first = read(iterator)
    next(iterator)
    again, afresh = read(iterator, first), read(iterator)
    described = [
        [node._replace(**dict.fromkeys(COUNTERS, 0)) for node in one.nodes.values()]
        for one in (again, afresh)
    ]
    assert described[0] == described[1]
    assert afresh.cpu_budget >= 1


COUNTERS = (
    *("num_elements", "processing_time_ns", "bytes_produced"),
    *("bytes_consumed", "buffered_elements"),
)


def graph_of(variant: Any) -> graph_pb2.GraphDef:
    serialised = tf.raw_ops.DatasetToGraphV2(
        input_dataset=variant, external_state_policy=1, strip_device_assignment=True
    )
    return graph_pb2.GraphDef.FromString(serialised.numpy())


def provenance(graph: graph_pb2.GraphDef) -> dict[str, str]:
    return {
        node.op: dataset_metadata_pb2.Metadata.FromString(node.attr["metadata"].s).name.decode()
        for node in graph.node
        if "metadata" in node.attr
    }


def test_a_rewritten_graph_says_where_its_nodes_come_from() -> None:
    def decode(x: Any) -> Any:
        return x + 1

    dataset = many().map(decode, name="decode").shuffle(3).map(lambda x: x * 2).batch(2)
    variant = tf.data.experimental.to_variant(dataset)
    assert provenance(graph_of(variant))["BatchDatasetV2"].startswith("BatchDatasetV2:")
    optimised = tf.raw_ops.OptimizeDatasetV2(
        input_dataset=variant,
        optimizations_enabled=tf.constant([], tf.string),
        optimizations_disabled=tf.constant([], tf.string),
        optimizations_default=["map_and_batch_fusion", "map_parallelization"],
        output_types=[tf.int64],
        output_shapes=[None],
        optimization_configs=["map_parallelization:autotune:true"],
    )
    graph = graph_of(optimised)
    names = provenance(graph)
    assert names["ParallelMapDatasetV2"] == "decode"
    assert names["MapAndBatchDataset"].startswith("fused(MapDataset:")
    assert any("map_decode" in function.signature.name for function in graph.library.function)
