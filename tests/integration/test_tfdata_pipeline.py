"""Which written transformation each running node is, on real TensorFlow.

TensorFlow's own provenance of rewritten graphs is the judge: a node of the optimised graph says of
which dataset objects it was made, and carries the names of their functions.
"""

import functools
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from pipeprof.capture.probes.tfdata.running.alignment import align
from pipeprof.capture.probes.tfdata.running.autotune_model import read_model
from pipeprof.capture.probes.tfdata.running.stage_identity import Model, StageIdentity
from pipeprof.capture.probes.tfdata.written.transformations import Note
from pipeprof.capture.probes.tfdata.written.written_pipeline import describe_pipeline
from pipeprof.recording.stage import StageKind, StageOwner

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(tensorflow|keras|google|numpy)"),
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
]

Dataset = tf.data.Dataset
AUTOTUNE = tf.data.AUTOTUNE
MANY = 100_000


def plain(x: Any) -> Any:
    return x + 1


def in_python(x: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(lambda value: value + 1, [x], tf.int64), [])


@tf.function
def branching(x: Any) -> Any:
    if x > 3:
        return in_python(x)
    return x


def numbers() -> Iterator[int]:
    yield from range(MANY)


class Doubler:
    def __call__(self, x: Any) -> Any:
        return x * 2

    def tripled(self, x: Any) -> Any:
        return x * 3


def many() -> Any:
    return Dataset.range(MANY)


def from_numbers() -> Any:
    return Dataset.from_generator(numbers, output_signature=tf.TensorSpec((), tf.int64))


def line(function: Any) -> int:
    return inspect.unwrap(function).__code__.co_firstlineno


def run(dataset: Any, batches: int = 20) -> tuple[Model, dict[int, StageIdentity]]:
    """Takes some batches, aligned before and after like a watched training."""
    pipeline = describe_pipeline(dataset)
    assert pipeline.problem is None
    iterator = iter(dataset)
    next(iterator)
    model = read_model(iterator)
    assert model is not None
    identities = align(pipeline, model)
    for _ in range(batches - 1):
        next(iterator)
    model = read_model(iterator, model)
    assert model is not None
    return model, dict(align(pipeline, model, identities))


def stages(dataset: Any, batches: int = 20) -> set[tuple[str, str, str | None]]:
    """What was written for each running node: name, transformations, remark."""
    _, identities = run(dataset, batches)
    return {
        (identity.name, identity.written, identity.remark)
        for identity in identities.values()
        if identity.written
    }


def write_files(folder: Path) -> list[str]:
    for number in range(3):
        with tf.io.TFRecordWriter(str(folder / f"{number}.tfrecord")) as writer:
            for _ in range(200):
                writer.write(b"abcd")
    return [str(folder / f"{number}.tfrecord") for number in range(3)]


def unordered(dataset: Any) -> Any:
    options = tf.data.Options()
    options.deterministic = False
    return dataset.with_options(options)


PREFETCH = ("prefetch", "prefetch", None)
RANGE = ("range", "range", None)
PLAIN = ("plain", "map", None)
IN_PYTHON = ("in_python", "map", None)

CASES: dict[str, tuple[Callable[[], Any], set[tuple[str, str, str | None]]]] = {
    "linear": (
        lambda: many().map(plain, name="decode").shuffle(9).map(in_python).batch(2).prefetch(2),
        {
            RANGE,
            ("decode", "map", None),
            ("shuffle", "shuffle", None),
            ("in_python", "map → batch", "runs fused with batch"),
            PREFETCH,
        },
    ),
    "parallel": (
        lambda: many().map(plain, AUTOTUNE).batch(2, num_parallel_calls=AUTOTUNE),
        {RANGE, PLAIN, ("batch", "batch", None)},
    ),
    "unordered": (
        lambda: unordered(many().map(plain).batch(3)).map(plain),
        {RANGE, PLAIN, ("plain", "map → batch", "runs fused with batch")},
    ),
    "zip": (
        lambda: Dataset.zip((many().map(plain), many().map(in_python).shuffle(5))),
        {("zip", "zip", None), RANGE, PLAIN, IN_PYTHON, ("shuffle", "shuffle", None)},
    ),
    "concatenate": (
        lambda: many().take(5).map(plain).concatenate(many().map(in_python)),
        {
            ("concatenate", "concatenate", None),
            RANGE,
            PLAIN,
            IN_PYTHON,
            ("take", "take", None),
        },
    ),
    "padded_batch": (
        lambda: many().map(plain).padded_batch(2),
        {("padded_batch", "padded_batch", None), RANGE, PLAIN},
    ),
    "ragged_batch": (
        lambda: many().map(lambda x: tf.range(x % 3)).shuffle(3).ragged_batch(2),
        {
            ("ragged_batch", "map → ragged_batch", None),
            ("shuffle", "shuffle", None),
            ("map", "map", None),
            RANGE,
        },
    ),
    "cache": (
        lambda: Dataset.range(10**4).map(plain).cache().repeat(),
        {
            ("repeat", "repeat", None),
            ("cache", "cache", "first pass, fills it"),
            RANGE,
            PLAIN,
        },
    ),
    "shuffle and repeat": (
        lambda: Dataset.range(7).shuffle(3).repeat().map(plain),
        {("shuffle", "shuffle → repeat", "runs fused with repeat"), RANGE, PLAIN},
    ),
    "what changes nothing": (
        lambda: many().map(plain).skip(0).take(-1).repeat(1).map(lambda x: x).batch(2),
        {("plain", "map → batch", "runs fused with batch"), RANGE},
    ),
    "scan": (
        lambda: many().scan(np.int64(0), lambda s, x: (s, x + s)).take_while(lambda x: x >= 0),
        {("scan", "scan", None), ("take_while", "take_while", None), RANGE},
    ),
    "unbatch": (
        lambda: many().batch(4).unbatch().filter(lambda x: x > 2),
        {
            ("filter", "filter", None),
            ("unbatch", "unbatch", None),
            ("batch", "batch", None),
            RANGE,
        },
    ),
    "arrays": (
        lambda: Dataset.from_tensor_slices(np.arange(MANY)).batch(4),
        {
            ("batch", "batch", None),
            ("from_tensor_slices", "from_tensor_slices", None),
        },
    ),
    "from_generator": (
        lambda: from_numbers().batch(2),
        {
            ("batch", "batch", None),
            ("flat_map", "flat_map", "part of from_generator"),
            ("from_tensors", "from_tensors", "part of from_generator"),
            ("numbers", "from_generator", None),
        },
    ),
}
INNER = {("interleave", "interleave", None), RANGE, IN_PYTHON}
for label, keywords in {
    "serial": {"cycle_length": 3},
    "parallel": {"cycle_length": 3, "num_parallel_calls": 2},
    "autotuned": {"num_parallel_calls": AUTOTUNE},
    "unordered": {"num_parallel_calls": 2, "deterministic": False},
}.items():
    CASES[f"interleave, {label}"] = (
        functools.partial(
            lambda given: many().interleave(lambda x: many().map(in_python).shuffle(2), **given),
            keywords,
        ),
        INNER | {("shuffle", "shuffle", None)},
    )


@pytest.mark.quick
@pytest.mark.parametrize("case", CASES)
def test_every_running_node_is_what_was_written(case: str) -> None:
    make, expected = CASES[case]
    assert stages(make()) == expected


def test_files_are_read_by_a_stage_that_names_the_reader(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    part = "part of TFRecordDataset"
    reading = ("TFRecordDataset", "TFRecordDataset", None)
    slices = ("from_tensor_slices", "from_tensor_slices", part)
    repeat = ("repeat", "repeat", None)
    assert stages(tf.data.TFRecordDataset(files).repeat()) == {
        *(repeat, reading, slices, ("flat_map", "flat_map", part))
    }
    listed = Dataset.list_files(str(tmp_path / "*.tfrecord"))
    found = stages(listed.interleave(tf.data.TFRecordDataset, num_parallel_calls=2).repeat())
    assert found >= {repeat, reading, ("shuffle", "shuffle", None)}
    fixed = stages(tf.data.FixedLengthRecordDataset(files, 4).repeat())
    assert ("FixedLengthRecordDataset", "FixedLengthRecordDataset", None) in fixed


def test_the_parts_of_a_snapshot_are_said_to_be_parts(tmp_path: Path) -> None:
    dataset = Dataset.range(9).map(plain).snapshot(str(tmp_path / "snapshot")).repeat()
    remarks: dict[str, str | None] = {}
    for batches in range(30, 60):  # between two passes none of its nodes is there
        _, identities = run(dataset, batches)
        remarks |= {identity.running: identity.remark for identity in identities.values()}
        if {"Snapshot", "SnapshotReader"} <= remarks.keys():
            break
    assert remarks["Snapshot"] is None
    assert remarks["SnapshotReader"] == "part of snapshot"
    assert Note.UNALIGNED.value not in remarks.values()


def test_samplers_keep_their_own_machinery_apart() -> None:
    inputs = [many().map(plain), many().map(in_python)]
    found = stages(Dataset.sample_from_datasets(inputs, [0.5, 0.5], seed=1))
    assert found >= {("sample_from_datasets", "sample_from_datasets", None), PLAIN, IN_PYTHON}
    assert ("map", "map", "part of sample_from_datasets") in found
    choices = many().map(lambda x: x % 2)
    assert stages(Dataset.choose_from_datasets(inputs, choices)) >= {PLAIN, IN_PYTHON}


def test_windows_are_grouped_by_the_users_function() -> None:
    dataset = many().group_by_window(
        lambda x: x % 2, lambda key, window: window.map(in_python).batch(4), window_size=4
    )
    _, identities = run(dataset)
    (grouping,) = (one for one in identities.values() if one.running == "GroupByWindow")
    assert grouping.name == "group_by_window"
    assert grouping.location is not None
    assert grouping.location.file.endswith("test_tfdata_pipeline.py")


@pytest.mark.parametrize(
    ("function", "name", "place"),
    [
        (plain, "plain", plain),
        (branching, "branching", branching.python_function),
        (functools.partial(plain), "plain", plain),
        (Doubler(), "Doubler", Doubler.__call__),
        (Doubler().tripled, "tripled", Doubler.tripled),
        (tf.autograph.experimental.do_not_convert(plain), "plain", plain),
    ],
)
def test_functions_are_found_below_their_wrappers(function: Any, name: str, place: Any) -> None:
    output = describe_pipeline(many().map(function)).output
    assert output is not None
    assert output.shown == name
    assert output.location is not None
    assert (output.location.short, output.location.line) == (
        f"test_tfdata_pipeline.py:{line(place)}",
        line(place),
    )


def test_functions_inside_an_interleave_are_found_by_their_operations() -> None:
    dataset = many().interleave(
        lambda x: many().map(plain, name="first").map(branching).map(lambda y: y - 1)
    )
    inner = describe_pipeline(dataset).output.inner  # type: ignore[union-attr]
    assert inner is not None
    subtract, branch, first = inner, inner.inputs[0], inner.inputs[0].inputs[0]
    assert (subtract.shown, branch.shown, first.shown) == ("map", "branching", "first")
    assert (branch.python, first.python, first.function) == (True, False, "plain")
    assert first.location is not None
    assert first.location.line == line(plain)


def test_python_code_is_distinguished_from_tensorflow_code() -> None:
    for function, kind in (
        (plain, StageKind.TF_DATA),
        (in_python, StageKind.TF_DATA_PYTHON),
        (branching, StageKind.TF_DATA_PYTHON),  # two functions and a condition further down
        (lambda x: tf.py_function(plain, [x], tf.int64), StageKind.TF_DATA_PYTHON),
    ):
        _, identities = run(many().map(function))
        assert kind in {one.kind for one in identities.values() if one.written == "map"}


def test_nodes_at_the_same_place_have_the_same_path_in_every_iterator() -> None:
    dataset = many().interleave(lambda x: many().map(plain).batch(2), cycle_length=3)
    first, second = run(dataset, 5), run(dataset, 40)
    assert {one.path for one in first[1].values()} == {one.path for one in second[1].values()}
    inner = [one for one in second[1].values() if one.running == "MapAndBatch"]
    assert len(inner) == 3
    assert len(set(inner)) == 1


def test_describing_runs_nothing_and_keeps_nothing() -> None:
    calls = []

    def counted() -> Iterator[int]:
        calls.append(1)
        yield from range(9)

    dataset = Dataset.from_generator(counted, output_signature=tf.TensorSpec((), tf.int64)).map(
        lambda x: tf.ensure_shape(tf.numpy_function(calls.append, [x], tf.int64), [])
    )
    pipeline = describe_pipeline(dataset)
    iterator = iter(dataset)
    model = read_model(iterator)
    assert model is not None
    identities = align(pipeline, model)
    assert not calls
    kept = weakref.ref(dataset), weakref.ref(iterator)
    del dataset, iterator
    gc.collect()
    assert (kept[0](), kept[1]()) == (None, None)
    assert identities


def test_what_is_no_dataset_is_a_problem_and_no_exception() -> None:
    pipeline = describe_pipeline(object())
    assert pipeline.output is None
    assert pipeline.problem is not None


def test_two_hundred_transformations_are_aligned() -> None:
    dataset = many()
    for _ in range(66):
        dataset = dataset.map(plain).shuffle(2).prefetch(1)
    model, identities = run(dataset, 2)
    assert len(model.nodes) == 200
    assert {one.remark for one in identities.values()} == {None}


# TensorFlow's defaults, from DefaultOptimizationGraphRewrites and CreateGraphRewriteConfigs in its
# dataset_utils.cc. What runs is this; the graph is never needed outside this test.
DEFAULTS = [
    *("map_and_batch_fusion", "noop_elimination", "map_parallelization"),
    *("shuffle_and_repeat_fusion", "parallel_batch", "inject_prefetch"),
]


def optimised_functions(dataset: Any) -> dict[str, list[str]]:
    """Names of the functions of each kind of node in the graph that runs."""
    optimised = tf.raw_ops.OptimizeDatasetV2(
        input_dataset=tf.data.experimental.to_variant(dataset),
        optimizations_enabled=tf.constant([], tf.string),
        optimizations_disabled=tf.constant([], tf.string),
        optimizations_default=DEFAULTS,
        output_types=[tf.int64],
        output_shapes=[None],
        optimization_configs=[f"{name}:autotune:true" for name in DEFAULTS],
    )
    serialised = tf.raw_ops.DatasetToGraphV2(
        input_dataset=optimised, external_state_policy=1, strip_device_assignment=True
    )
    graph = graph_pb2.GraphDef.FromString(serialised.numpy())
    found: dict[str, list[str]] = {}
    for node in graph.node:
        if "f" in node.attr:
            found.setdefault(node.op.replace("Dataset", ""), []).append(node.attr["f"].func.name)
    return found


@pytest.mark.parametrize("case", CASES)
def test_tensorflows_own_provenance_agrees(case: str) -> None:
    dataset = CASES[case][0]()
    _, identities = run(dataset, 2)
    for running, functions in optimised_functions(dataset).items():
        aligned = [one for one in identities.values() if one.running == running and one.function]
        for identity in aligned:
            assert identity.function is not None
            name = identity.function.rpartition(".")[2].strip("<>")
            assert any(f"_{name}_" in function for function in functions), (identity, functions)


def trained(data: Any, **arguments: Any) -> list[StageIdentity]:
    """What the pipeline that Keras makes of ``data`` for ``fit`` is seen as."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    seen = []
    make_iterator = Dataset.__iter__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tf.data.Dataset, "__iter__", lambda self: seen.append(self) or make_iterator(self)
        )
        model.fit(data, verbose=0, **arguments)
    return list(run(seen[0], 3)[1].values())


FEATURES, LABELS = np.zeros((64, 4), "float32"), np.zeros((64, 1), "float32")


def batches() -> Iterator[tuple[Any, Any]]:
    while True:
        yield FEATURES[:8], LABELS[:8]


def test_what_keras_makes_of_arrays_is_all_keras() -> None:
    identities = trained(FEATURES, y=LABELS, batch_size=8)
    assert {one.owner for one in identities if one.running != "Root"} == {StageOwner.KERAS}


def test_what_keras_puts_around_a_generator_is_distinguished_from_the_generator() -> None:
    identities = trained(batches(), steps_per_epoch=3)
    (generator,) = (one for one in identities if one.running == "Generator")
    assert (generator.name, generator.kind) == ("batches", StageKind.TF_DATA_PYTHON)
    assert generator.location is not None
    assert generator.location.line == line(batches)
    (prefetch,) = (one for one in identities if one.running == "Prefetch")
    assert prefetch.owner is StageOwner.KERAS


def test_a_dataset_given_to_keras_stays_the_users() -> None:
    dataset = Dataset.from_tensor_slices((FEATURES, LABELS)).map(lambda x, y: (x * 2, y)).batch(8)
    identities = trained(dataset)
    assert {one.written: one.remark for one in identities if one.written} == {
        "map → batch": "runs fused with batch",
        "from_tensor_slices": None,
    }


def test_what_the_tf_data_service_prepares_is_one_remote_stage() -> None:
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
    distributed = service.distribute("parallel_epochs", dispatcher.target)
    _, identities = run(many().map(in_python).apply(distributed).map(plain).batch(2), 5)
    (remote,) = (one for one in identities.values() if one.running == "DataService")
    assert (remote.name, remote.kind) == ("tf.data service", StageKind.TF_DATA_REMOTE)
    unpacking = [one for one in identities.values() if one.stage == remote.path and one != remote]
    assert [one.remark for one in unpacking] == ["part of tf.data service"]
    assert Note.UNALIGNED.value not in {one.remark for one in identities.values()}
    del worker, dispatcher


def test_the_first_pass_of_a_cache_is_distinguished_from_later_ones() -> None:
    dataset = Dataset.range(6).map(plain).cache().repeat()
    first, later = run(dataset, 3)[1], run(dataset, 20)[1]
    remarks = [
        {one.path: one.remark for one in found.values() if one.written == "cache"}
        for found in (first, later)
    ]
    assert [list(said.values()) for said in remarks] == [
        ["first pass, fills it"],
        ["later passes, read it"],
    ]
    assert remarks[0].keys() != remarks[1].keys()


def test_what_serves_one_transformation_is_one_stage(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    cases = {
        "numbers": from_numbers().batch(2),
        "TFRecordDataset": tf.data.TFRecordDataset(files).repeat(),
        "snapshot": Dataset.range(50).snapshot(str(tmp_path / "snapshot")).batch(2),
        "sample_from_datasets": Dataset.sample_from_datasets([many(), many()], [0.5, 0.5]),
    }
    for name, dataset in cases.items():
        _, identities = run(dataset, 5)
        (whole,) = {one.stage for one in identities.values() if one.name == name}
        parts = [one for one in identities.values() if one.stage == whole]
        assert len(parts) > 1
        shown = {one.name for one in identities.values() if one.stage == one.path}
        assert not {one.name for one in parts if one.stage != one.path} & shown - {"map", "batch"}


def test_a_function_made_inside_a_converted_one_has_its_own_line() -> None:
    def made(step: int) -> Callable[[Any], Any]:
        def add(x: Any) -> Any:
            return x + step

        return add

    inner = describe_pipeline(many().interleave(lambda x: many().map(made(3)))).output.inner  # type: ignore[union-attr]
    assert inner is not None
    assert inner.shown == "add"
    assert inner.location is not None
    assert inner.location.short.startswith("test_tfdata_pipeline.py:")
