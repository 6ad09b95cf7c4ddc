"""What a changed tf.data pipeline delivers: nothing else, and nothing random for good."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import (
    AddCache,
    Edit,
    MoveBatchFirst,
    MoveShuffleFirst,
    SetCalls,
)
from pipeprof.recording.tuning_outcome import Description
from pipeprof.tuning.candidates import candidates
from pipeprof.tuning.subject import make_subject
from pipeprof.tuning.workbench import Workbench


def bench_of(make: Callable[[], Any]) -> Workbench:
    return Workbench(make_subject(make))


def edits_of(bench: Workbench, kind: type[Edit]) -> list[Edit]:
    changes = candidates(bench.describe())
    return [edit for change in changes for edit in change if isinstance(edit, kind)]


def node_of(described: Description, op: str) -> str:
    [node] = [place.node for place in described.places if place.op.startswith(op)]
    return node


def backwards(row: Any) -> Any:
    return tf.reverse(row, [0])  # of a batch it turns the samples around and not their values


def rows() -> Any:
    numbers = tf.range(8, dtype=tf.int64)
    return tf.data.Dataset.range(100_000).shuffle(100).map(lambda index: numbers + index)


def test_a_function_that_gives_something_else_of_batches_is_seen_behind_a_shuffle() -> None:
    bench = bench_of(lambda: rows().map(backwards).batch(8))
    [batched] = edits_of(bench, MoveBatchFirst)
    assert bench.compare([batched]) == "it has other samples"
    bench = bench_of(lambda: rows().map(lambda row: row + 1).batch(8))
    [batched] = edits_of(bench, MoveBatchFirst)
    assert bench.compare([batched]) is None


def seldom(index: Any) -> Any:
    return tf.cond(tf.random.uniform([]) < 0.01, lambda: index * 0, lambda: index)


def seldom_in_python(index: Any) -> Any:
    return index * 0 if np.random.random() < 0.04 else index


counted = tf.Variable(0, dtype=tf.int64)


def counting(index: Any) -> Any:
    return index + 0 * counted.assign_add(1)


@pytest.mark.parametrize("function", [seldom, counting])
def test_no_cache_stands_on_a_function_that_draws_or_keeps_something(
    function: Callable[[Any], Any],
) -> None:
    ends = bench_of(lambda: tf.data.Dataset.range(50).map(function).map(lambda x: x + 1).batch(5))
    assert not edits_of(ends, AddCache)


def length_of(name: Any) -> Any:
    return tf.strings.length(name)


@pytest.mark.parametrize("batched", [False, True])
def test_a_cache_may_stand_on_names_of_files(*, batched: bool) -> None:
    names = tf.data.Dataset.from_tensor_slices([f"{number:03d}.jpg" for number in range(40)])
    files = names.batch(2) if batched else names
    assert edits_of(bench_of(lambda: files.map(length_of).batch(4)), AddCache)


def drawn_name(name: Any) -> Any:
    return tf.strings.join([name, tf.strings.as_string(tf.random.uniform([]))])


def test_no_cache_stands_on_texts_that_are_drawn() -> None:
    names = tf.data.Dataset.from_tensor_slices(["a", "b", "c"] * 20)
    drawn = names.map(lambda name: tf.py_function(drawn_name, [name], tf.string))
    assert not edits_of(bench_of(lambda: drawn.map(length_of).batch(4)), AddCache)


def one_generator() -> Any:
    spec = tf.TensorSpec((), tf.int64)
    return tf.data.Dataset.from_generator(lambda: iter(range(40)), output_signature=spec)


def test_a_generator_is_not_opened_more_often_at_once_but_maps_behind_it_are() -> None:
    assert not edits_of(bench_of(lambda: one_generator().batch(4)), SetCalls)
    mapped = bench_of(lambda: one_generator().map(lambda x: x + 1).batch(4))
    assert {edit.node for edit in edits_of(mapped, SetCalls)} == {node_of(mapped.describe(), "Map")}


def test_a_shuffle_inside_of_a_function_is_not_kept() -> None:
    def part(index: Any) -> Any:
        return tf.data.Dataset.range(2).shuffle(2).map(lambda x: x + index)

    bench = bench_of(lambda: tf.data.Dataset.range(1).interleave(part).batch(1))
    assert not edits_of(bench, AddCache)


def test_no_cache_comes_behind_a_shuffle_that_was_moved() -> None:
    bench = bench_of(lambda: tf.data.Dataset.range(50).map(lambda x: x + 1).shuffle(50).batch(5))
    described = bench.describe()
    mapped = node_of(described, "Map")
    moved = MoveShuffleFirst(shuffle=node_of(described, "Shuffle"), node=mapped)
    assert bench.compare([moved]) is None
    assert bench.compare([AddCache(node=mapped)]) is None
    with pytest.raises(TuningRefused, match="a ShuffleDatasetV3 below it gave first"):
        bench.compare([moved, AddCache(node=mapped)])


def test_what_is_random_and_was_not_seen_so_is_found_before_it_is_kept() -> None:
    def make() -> Any:
        one = tf.data.Dataset.range(800)
        return one.map(lambda x: tf.numpy_function(seldom_in_python, [x], tf.int64)).batch(100)

    bench = bench_of(make)
    cached = AddCache(node=node_of(bench.describe(), "Batch"))
    found = bench.compare([cached])
    assert found == "it would keep what is random, or takes too long to see that it is not"


def ragged(index: Any) -> Any:
    return tf.RaggedTensor.from_row_lengths(tf.range(3) + tf.cast(index, tf.int32), [1, 2])


def sparse(index: Any) -> Any:
    return tf.sparse.from_dense(tf.eye(3) * tf.cast(index, tf.float32))


def failing(index: Any) -> Any:
    return tf.debugging.check_numerics(1.0 / tf.cast(index, tf.float32), "no number")


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.data.Dataset.range(40).map(ragged).batch(4),
        lambda: tf.data.Dataset.range(40).map(sparse).batch(4),
        lambda: tf.data.Dataset.range(40).map(failing).ignore_errors().batch(4),
        lambda: tf.data.Dataset.range(40).shuffle(40).map(tf.range).padded_batch(4),
    ],
)
def test_elements_of_all_kinds_are_compared(make: Callable[[], Any]) -> None:
    bench = bench_of(make)
    [parallel, *_] = edits_of(bench, SetCalls)
    assert bench.compare([parallel]) is None
    assert bench.describe().places[-1].elements in (10, None)
