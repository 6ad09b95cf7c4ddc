"""What a stage costs is what was planted in it, and measured there in the same run.

The elements of the pipelines are the seconds that were spent on them, so that the loop which takes
them knows what each of its batches cost, however slow the machine is.
"""

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.recording.stage import Stage

pytestmark = pytest.mark.integration

Dataset = tf.data.Dataset
STEPS = 16
BATCH = 2
MANY = 10_000
# Long against what a call of Python from tf.data costs by itself on a crowded machine.
SLEEP_S = 0.02
UNSORTED = np.random.default_rng(0).random(300_000)


def timed(do: Callable[[], object]) -> np.float64:
    start = time.perf_counter()
    do()
    return np.float64(time.perf_counter() - start)


def in_python(do: Callable[[], object]) -> Callable[[Any], Any]:
    def work(x: Any) -> Any:
        seconds = tf.numpy_function(lambda _: timed(do), [x], tf.float64)
        return tf.ensure_shape(seconds, [])

    return work


def in_tensorflow(do: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def work(x: Any) -> Any:
        start = tf.timestamp()
        with tf.control_dependencies([start]):
            done = do(x)
        with tf.control_dependencies([done]):
            end = tf.timestamp()
        # What nothing depends on would not be done.
        return end - start + tf.minimum(tf.cast(tf.abs(done), tf.float64), 0.0)

    return work


def computed() -> None:
    for _ in range(8):
        np.sort(UNSORTED)


asleep = in_python(functools.partial(time.sleep, SLEEP_S))


def many(count: int = MANY) -> Any:
    return Dataset.range(count)


def free(count: int = MANY) -> Any:
    return many(count).map(lambda x: tf.constant(0.0, tf.float64))


def sorted_in_tensorflow(x: Any) -> Any:
    return tf.sort(tf.cast(x, tf.float64) + UNSORTED)[0]


def numbers() -> Iterator[np.float64]:
    for _ in range(MANY):
        yield timed(functools.partial(time.sleep, SLEEP_S))


def reading(path: Path) -> Any:
    path.write_bytes(bytes(30_000_000))
    return in_tensorflow(lambda x: tf.strings.length(tf.io.read_file(str(path))))


SHAPES: dict[str, Callable[[], Any]] = {
    "sleeping in a map": lambda: many().map(asleep),
    "NumPy work in a map": lambda: many().map(in_python(computed)),
    "TensorFlow operations": lambda: many().map(in_tensorflow(sorted_in_tensorflow)),
    "calls side by side": lambda: many().map(asleep, 2).shuffle(4),
    "a generator": lambda: Dataset.from_generator(
        numbers, output_signature=tf.TensorSpec((), tf.float64)
    ),
    "short passes": lambda: many(7).map(asleep).repeat(),
    "a zip, pass after pass": lambda: (
        Dataset.zip((many(9).map(asleep), many(9))).map(lambda seconds, _: seconds).repeat()
    ),
    "one half of a concatenation": lambda: many(6).map(asleep).concatenate(free(6)).repeat(),
    "short inputs of an interleave": lambda: many().interleave(
        lambda x: many(7).map(asleep), cycle_length=2, num_parallel_calls=2
    ),
    "inputs of a flat_map": lambda: many().flat_map(lambda x: many(5).map(asleep)),
    "one of two that are sampled from": lambda: Dataset.sample_from_datasets(
        [many().map(asleep), free()], [0.5, 0.5], seed=1
    ),
    "the windows of a group_by_window": lambda: many().group_by_window(
        lambda x: x % 2, lambda key, window: window.map(asleep), 4
    ),
}


def profiled(dataset: Any, logdir: Path) -> tuple[Stage, list[float]]:
    """The stage whose function is in this file and works most, and the seconds it really took."""
    seconds = []
    with pipeprof.profile(dataset.batch(BATCH), logdir=logdir, warmup=0) as prof:
        for batch in prof.dataset.take(STEPS):
            seconds += batch.numpy().tolist()
    assert prof.result.run.warnings == ()
    ours = [
        stage
        for stage in prof.result.stages
        if stage.location and stage.location.file.endswith("test_tfdata_costs.py")
    ]
    return max(ours, key=work_of), [spent for spent in seconds if spent > 0]


def work_of(stage: Stage) -> int:
    return int(stage.work.total()[1])


def calls_of(stage: Stage) -> float:
    return float(stage.work.total()[0] * (stage.takes or 1))


@pytest.mark.parametrize("shape", [*SHAPES, "reading a file"])
def test_a_stage_costs_what_was_planted(shape: str, tmp_path: Path) -> None:
    make = SHAPES.get(shape, lambda: many().map(reading(tmp_path / "file")))
    found, planted = profiled(make(), tmp_path)
    mean_s = sum(planted) / len(planted)
    # Some calls ran ahead, and their batches were never taken.
    assert 0.9 * len(planted) <= calls_of(found) <= len(planted) + 12
    assert work_of(found) / calls_of(found) / 1e9 == pytest.approx(mean_s, rel=0.10)
