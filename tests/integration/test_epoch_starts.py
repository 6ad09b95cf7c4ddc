"""What epochs of real pipelines begin with is reported: planted causes, and a pipeline with none."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.findings.input_findings import EpochStart, StartCause
from pipeprof.recording.loop import Loop
from tests.integration.feeds import batch, model, train

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

EPOCHS, BATCHES, ROWS = 3, 8, 4
ITEM_S = 0.02
SIGNATURE = (tf.TensorSpec((None, 8, 8, 1)), tf.TensorSpec((None,), tf.int64))


def rows() -> Any:
    image, label = batch(0)
    return tf.data.Dataset.from_tensors((image[0], label[0])).repeat(BATCHES * ROWS)


def sleeping(seconds: float, value: Any) -> Any:
    def sleep(array: Any) -> Any:
        time.sleep(seconds)
        return array

    return tf.ensure_shape(tf.numpy_function(sleep, [value], value.dtype), value.shape)


def decode(image: Any, label: Any) -> Any:
    return sleeping(ITEM_S, image), label


def shuffled() -> Any:
    return rows().map(decode).shuffle(20).batch(ROWS)


def cached() -> Any:
    return rows().map(decode).cache().shuffle(20).batch(ROWS)


def skipping() -> Any:
    return rows().map(decode).skip(20).repeat(2).batch(ROWS)


def opening() -> Any:
    def open_file(number: Any) -> Any:
        with tf.control_dependencies([sleeping(20 * ITEM_S, number)]):
            return rows()

    return tf.data.Dataset.range(1).interleave(open_file, cycle_length=1).batch(ROWS)


def starting() -> Any:
    def batches() -> Any:
        time.sleep(20 * ITEM_S)
        for index in range(BATCHES):
            yield batch(index)

    return tf.data.Dataset.from_generator(batches, output_signature=SIGNATURE)


def ending() -> Any:
    def batches() -> Any:
        try:
            for index in itertools.count():
                yield batch(index)
        finally:
            time.sleep(25 * ITEM_S)

    endless = tf.data.Dataset.from_generator(batches, output_signature=SIGNATURE)
    return endless.apply(tf.data.experimental.assert_cardinality(BATCHES))


def even() -> Any:
    return rows().map(decode).batch(ROWS)


CAUSES: dict[str, tuple[Callable[[], Any], StartCause, set[str]]] = {
    "a shuffle fills": (shuffled, StartCause.FILL, {"shuffle"}),
    "elements are skipped": (skipping, StartCause.SKIP, {"skip"}),
    "files are opened": (opening, StartCause.OPENING, {"open_file"}),
    "a generator starts": (starting, StartCause.OPENING, {"batches"}),
    "iterators end": (ending, StartCause.ITERATOR_END, set()),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_of_each_epochs_late_begin_is_named(name: str, tmp_path: Path) -> None:
    make, cause, stages = CAUSES[name]
    loop, later = later_starts(make, tmp_path)
    assert later != []
    assert [start.cause for start in later] == [cause] * len(later)
    assert {start.stage.name for start in later if start.stage} == stages
    # An epoch begins with more waiting than any other step has.
    steps = loop.steps
    others = steps.wait_ns[steps.measured & ~steps.first_of_epoch()]
    assert np.mean([start.wait_ms for start in later]) > np.median(others) / 1e6


@pytest.mark.quick
def test_epochs_that_begin_in_time_have_no_cause(tmp_path: Path) -> None:
    _, later = later_starts(even, tmp_path)
    assert [start.cause for start in later] == [None] * len(later)


def later_starts(make: Callable[[], Any], logdir: Path) -> tuple[Loop, Sequence[EpochStart]]:
    """The loop of a training, and how its epochs but the first begin where that is not TensorFlow's own."""
    with pipeprof.profile(make(), logdir=logdir) as prof:
        train(model(), prof.dataset, epochs=EPOCHS)
    found = prof.findings.loops[0].input.epoch_starts
    assert [start.epoch for start in found] == list(range(EPOCHS))
    # The end of an iterator may take TensorFlow a while whatever the pipeline is.
    planted = [start for start in found[1:] if start.framework_ms <= start.wait_ms / 2]
    return prof.result.loops[0], planted


def test_a_cache_that_is_written_is_named_for_the_first_epoch_alone(tmp_path: Path) -> None:
    with pipeprof.profile(cached(), logdir=tmp_path) as prof:
        train(model(), prof.dataset, epochs=EPOCHS)
    first, *later = prof.findings.loops[0].input.epoch_starts
    assert first.cause is StartCause.CACHE_WRITE
    assert all(start.cause is not StartCause.CACHE_WRITE for start in later)
