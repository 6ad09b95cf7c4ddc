"""Changes of real tf.data graphs: what runs afterwards, and that it delivers the same."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleBehind,
    MoveShuffleFirst,
    PrivateThreads,
    SetCalls,
    TurnAutotuneOn,
)
from pipeprof.tuning.dataset_graph import graph_of
from pipeprof.tuning.graph_edits import nodes_of
from pipeprof.tuning.tfdata_input import TfDataInput

calls: Counter[str] = Counter()


def counted(name: str) -> Callable[[Any], Any]:
    def function(value: Any) -> Any:
        calls[name] += 1
        return value

    return function


def decode(index: Any) -> Any:
    picture = tf.numpy_function(counted("decode"), [index], tf.int64)
    picture.set_shape([])
    return tf.cast(picture, tf.float32) * 2.0, index


def is_even(picture: Any, index: Any) -> Any:
    return index % 2 == 0


def is_bright(picture: Any, index: Any) -> Any:
    return picture > 4.0


def scale(picture: Any, index: Any) -> Any:
    return picture / 255.0, index


def elements_of(dataset: Any) -> list[Any]:
    return [tuple(np.asarray(part).tolist() for part in tf.nest.flatten(one)) for one in dataset]


def node(tuned: TfDataInput, op: str, nth: int = 0) -> str:
    return [one.name for one in tuned.nodes if op in one.op][nth]


def ops_of(dataset: Any) -> list[str]:
    return [one.op for one in nodes_of(graph_of(dataset))]


def edited(dataset: Any, choose: Callable[[TfDataInput], Sequence[Edit]]) -> Any:
    tuned = TfDataInput(dataset)
    return tuned.edited(choose(tuned))


PIPELINE = tf.data.Dataset.range(40).map(decode)


@pytest.mark.parametrize(
    ("choose", "runs"),
    [
        (lambda it: [SetCalls(node=node(it, "Map"), calls=AUTOTUNE)], "ParallelMapDatasetV2"),
        (lambda it: [SetCalls(node=node(it, "Map"), calls=8)], "ParallelMapDatasetV2"),
        (lambda it: [AddCache(node=node(it, "Map"))], "CacheDatasetV2"),
        (lambda it: [AddPrefetch()], "PrefetchDataset"),
        (lambda it: [PrivateThreads(threads=3)], "MapDataset"),
        (lambda it: [TurnAutotuneOn()], "MapDataset"),
        (
            lambda it: [
                MoveBatchFirst(batch=node(it, "Batch"), node=node(it, "Map", 1)),
                SetCalls(node=node(it, "Map"), calls=4),
                AddCache(node=node(it, "Map")),
                AddPrefetch(),
            ],
            "CacheDatasetV2",
        ),
    ],
)
def test_a_changed_pipeline_delivers_the_same_in_the_same_order(
    choose: Callable[[TfDataInput], Sequence[Edit]], runs: str
) -> None:
    dataset = PIPELINE.map(scale).batch(8)
    changed = edited(dataset, choose)
    assert runs in ops_of(changed)
    assert changed.element_spec == dataset.element_spec
    assert elements_of(changed) == elements_of(dataset)


def test_options_of_the_dataset_stay() -> None:
    options = tf.data.Options()
    options.deterministic = False
    options.threading.private_threadpool_size = 5
    tuned = edited(PIPELINE.with_options(options), lambda it: [AddPrefetch()])
    assert tuned.options().deterministic is False
    assert tuned.options().threading.private_threadpool_size == 5


def test_a_cache_saves_the_calls_of_the_second_pass() -> None:
    changed = edited(PIPELINE, lambda it: [AddCache(node=node(it, "Map"))])
    calls.clear()
    first, second = elements_of(changed), elements_of(changed)
    assert first == second
    assert calls["decode"] == 40


def test_a_trial_of_a_cache_takes_few_elements() -> None:
    tuned = TfDataInput(PIPELINE)
    trial = tuned.edited([AddCache(node=node(tuned, "Map"))], trial_elements=5)
    assert elements_of(trial) == elements_of(PIPELINE.take(5))


def test_a_cache_that_stands_too_early_moves() -> None:
    dataset = tf.data.Dataset.range(40).cache().map(decode).batch(8)
    changed = edited(
        dataset,
        lambda it: [DropCache(node=node(it, "Cache")), AddCache(node=node(it, "Map"))],
    )
    calls.clear()
    assert elements_of(changed) == elements_of(changed) == elements_of(dataset)
    assert calls["decode"] == 80  # 40 of the changed one, 40 of today's


def test_a_filter_comes_before_the_map_that_hands_on_what_it_looks_at() -> None:
    dataset = PIPELINE.filter(is_even)
    changed = edited(
        dataset, lambda it: [MoveFilterFirst(filter=node(it, "Filter"), node=node(it, "Map"))]
    )
    calls.clear()
    found = elements_of(changed)
    assert calls["decode"] == 20
    assert found == elements_of(dataset)


def test_a_filter_that_looks_at_what_the_map_makes_stays_behind_it() -> None:
    with pytest.raises(TuningRefused, match="looks at what the map makes"):
        edited(
            PIPELINE.filter(is_bright),
            lambda it: [MoveFilterFirst(filter=node(it, "Filter"), node=node(it, "Map"))],
        )


def test_a_shuffle_moves_across_a_map() -> None:
    for dataset, edit in (
        (PIPELINE.shuffle(40, seed=1), MoveShuffleFirst),
        (tf.data.Dataset.range(40).shuffle(40, seed=1).map(decode), MoveShuffleBehind),
    ):
        changed = edited(
            dataset, lambda it, edit=edit: [edit(shuffle=node(it, "Shuffle"), node=node(it, "Map"))]
        )
        assert ops_of(changed).index("MapDataset") != ops_of(dataset).index("MapDataset")
        assert sorted(elements_of(changed)) == sorted(elements_of(dataset))
        assert elements_of(changed) != sorted(elements_of(dataset))


def files(index: Any) -> Any:
    return tf.data.Dataset.range(6).map(lambda line: line + 100 * index)


@pytest.mark.parametrize(
    "dataset",
    [
        tf.data.Dataset.range(8).interleave(files, cycle_length=4, block_length=2),
        tf.data.Dataset.range(8).flat_map(files),
    ],
)
def test_files_are_read_in_parallel_in_the_same_order(dataset: Any) -> None:
    changed = edited(
        dataset,
        lambda it: [
            SetCalls(
                node=next(
                    n.name for n in it.nodes if n.op in ("FlatMapDataset", "InterleaveDataset")
                ),
                calls=AUTOTUNE,
            )
        ],
    )
    assert "ParallelInterleaveDatasetV4" in ops_of(changed)
    assert elements_of(changed) == elements_of(dataset)


def first_letter(index: Any, picture: Any) -> Any:
    if index.shape.rank:
        raise ValueError("single pictures only")
    return index, picture


def test_a_map_that_takes_no_batches_is_refused() -> None:
    with pytest.raises(TuningRefused, match="does not take batches"):
        edited(
            PIPELINE.map(first_letter).batch(8),
            lambda it: [MoveBatchFirst(batch=node(it, "Batch"), node=node(it, "Map", 1))],
        )


def drawn(picture: Any, index: Any) -> Any:
    return picture + tf.random.uniform([]), index


def drawn_by_numpy(picture: Any, index: Any) -> Any:
    noise = tf.numpy_function(
        lambda: np.random.default_rng().random(dtype=np.float32), [], tf.float32
    )
    return picture + noise, index


def test_what_is_random_is_seen() -> None:
    """By its operations, or, where those show nothing, by a second pass."""
    tuned = TfDataInput(PIPELINE.shuffle(40).map(drawn))
    plain, noisy = (one for one in tuned.nodes if "Map" in one.op)
    shuffle = next(one for one in tuned.nodes if "Shuffle" in one.op)
    assert [tuned.is_random(one) for one in (plain, noisy)] == [False, True]
    assert [tuned.probe(one, 8, 10**9).repeats for one in (plain, shuffle)] == [True, True]
    tuned = TfDataInput(PIPELINE.map(drawn_by_numpy))
    noisy = next(one for one in tuned.nodes if one.function and "drawn_by_numpy" in one.function)
    assert not tuned.probe(noisy, 8, 10**9).repeats


def test_tables_that_the_pipeline_looks_into_are_shared() -> None:
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.range(40, dtype=tf.int64), tf.range(40) * 3), 0
    )
    dataset = tf.data.Dataset.range(40).map(table.lookup)
    changed = edited(dataset, lambda it: [SetCalls(node=node(it, "Map"), calls=4)])
    assert elements_of(changed) == elements_of(dataset) == [(3 * n,) for n in range(40)]


def test_readers_of_records_and_generators_are_changed_too(tmp_path: Any) -> None:
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(20):
            writer.write(str(number).encode())

    def numbers() -> Iterable[int]:
        return iter(range(20))

    for dataset in (
        tf.data.TFRecordDataset(path),
        tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec((), tf.int64)),
    ):
        mapped = dataset.map(lambda one: one).batch(4)
        changed = edited(
            mapped,
            lambda it: [SetCalls(node=node(it, "MapDataset"), calls=AUTOTUNE), AddPrefetch()],
        )
        assert elements_of(changed) == elements_of(mapped)
