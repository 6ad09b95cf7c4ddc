"""Inputs that are set up badly, each with the best that its author could do by hand, and some set up well.

`tools/validate_tuning` tunes each of them and measures what `pipeprof.tune` found beside what is written
here. All of one case deliver the same batches. Sleeping stands for a disk or a network, a loop in Python
and operations of TensorFlow for computing.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeprof.recording.light_dataclasses import dataclass

BATCH = 16
WIDTH = 64


def _light_model() -> Any:
    return _compiled(keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(1)]))


def _computing_model() -> Any:
    """A model that computes for some milliseconds a step."""
    layers = [keras.layers.Dense(2048, activation="relu") for _ in range(2)]
    return _compiled(keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(1)]))


def _compiled(model: Any) -> Any:
    model.compile("sgd", "mse")
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningCase:
    """An input to tune.

    Attributes:
        name: of the case, as in a table.
        make: makes the input as it is, or the model and the input where the model counts.
        by_hand: makes the input as its author would after long trying; None for one that is set up well.
        model: makes the model that it is trained on.
        epochs: for how many epochs it is trained when it is measured.
        steps: steps an epoch, for a generator.
        least_speedup: how many times as fast it becomes at the least, where that is much.
    """

    name: str
    make: Callable[[], Any]
    by_hand: Callable[[], Any] | None = None
    model: Callable[[], Any] = _light_model
    epochs: int = 1
    steps: int | None = None
    least_speedup: float = 1.0


# What stages do.


def _label_of(row: Any) -> Any:
    return row, tf.reduce_mean(row, axis=-1, keepdims=True)


def _row_of(index: Any) -> Any:
    return tf.fill([WIDTH], tf.cast(index % 7, tf.float32))


def _slept(seconds: float, index: Any) -> Any:
    def sleep(value: np.ndarray) -> np.ndarray:
        time.sleep(seconds)
        return value

    return tf.ensure_shape(tf.numpy_function(sleep, [index], tf.int64), ())


def _read(index: Any) -> Any:
    """2 ms of waiting for a disk, and a little noise, which no cache may keep."""
    return _row_of(_slept(0.002, index)) + tf.random.uniform([WIDTH])


def _decode(index: Any) -> Any:
    """About 1 ms of computing on one core."""
    seed = tf.cast(index % 13, tf.float32) + tf.range(96, dtype=tf.float32)
    square = tf.tensordot(seed, seed, 0)
    for _ in range(2):
        square = tf.linalg.matmul(square, square) / 1e6
        square = tf.math.tanh(square)
    return tf.reshape(square[:1, :WIDTH], [WIDTH])


def _scale(row: Any) -> Any:
    """Next to nothing for an element, and little more for a batch of them."""
    return tf.clip_by_value(row * 2.0 - 1.0, -8.0, 8.0) / 3.0


def _is_wanted(index: Any) -> Any:
    return index % 5 == 0


def _tf_batches(rows: tf.data.Dataset) -> tf.data.Dataset:
    return rows.batch(BATCH, drop_remainder=True).map(_label_of).prefetch(2)


AUTO = tf.data.AUTOTUNE
MANY = 16


def _on_own_threads(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.threading.private_threadpool_size = MANY + 1
    return dataset.with_options(options)


def _part(number: Any) -> tf.data.Dataset:
    return tf.data.Dataset.range(80).map(lambda index: _read(index + number))


def _large(index: Any) -> Any:
    """8 ms of waiting for a large picture, and a little noise, which no cache may keep."""
    picture = tf.fill([100, WIDTH], tf.cast(index % 5, tf.float32)) + _row_of(_slept(0.008, index))
    return picture + tf.random.uniform([WIDTH])


# tf.data that is set up badly.


def _serial_map() -> Any:
    return _tf_batches(tf.data.Dataset.range(960).map(_read))


def _serial_map_by_hand() -> Any:
    rows = tf.data.Dataset.range(960).map(_read, num_parallel_calls=MANY)
    return _on_own_threads(_tf_batches(rows))


def _serial_interleave() -> Any:
    return _tf_batches(tf.data.Dataset.range(8).interleave(_part, cycle_length=8))


def _serial_interleave_by_hand() -> Any:
    opened = tf.data.Dataset.range(8).interleave(_part, cycle_length=8, num_parallel_calls=8)
    return _on_own_threads(_tf_batches(opened))


def _no_prefetch() -> Any:
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    rows = tf.data.Dataset.range(960).map(_read, num_parallel_calls=MANY)
    return rows.batch(BATCH, drop_remainder=True).map(_label_of).with_options(options)


def _no_prefetch_by_hand() -> Any:
    return _on_own_threads(_no_prefetch().prefetch(AUTO))


def _cache_missing() -> Any:
    return _tf_batches(tf.data.Dataset.range(640).map(_decode, num_parallel_calls=2))


def _cache_missing_by_hand() -> Any:
    return _tf_batches(tf.data.Dataset.range(640).map(_decode, num_parallel_calls=2).cache())


def _cache_before_the_work() -> Any:
    rows = tf.data.Dataset.range(640).cache().map(_decode, num_parallel_calls=2)
    return _tf_batches(rows)


def _cache_before_the_work_by_hand() -> Any:
    return _tf_batches(tf.data.Dataset.range(640).map(_decode, num_parallel_calls=2).cache())


def _row_of_picture(picture: Any) -> Any:
    return tf.reduce_mean(picture, axis=0)


def _shuffle_of_pictures() -> Any:
    """Each epoch fills the buffer with pictures before the model, which computes as long, can begin."""
    pictures = tf.data.Dataset.range(320).map(_large, num_parallel_calls=MANY).shuffle(256)
    return _computing_model(), _on_own_threads(_tf_batches(pictures.map(_row_of_picture)))


def _shuffle_of_pictures_by_hand() -> Any:
    pictures = tf.data.Dataset.range(320).shuffle(256).map(_large, num_parallel_calls=MANY)
    return _on_own_threads(_tf_batches(pictures.map(_row_of_picture)))


def _batch_after_map() -> Any:
    rows = tf.data.Dataset.from_tensor_slices(tf.random.stateless_uniform([64_000, WIDTH], [1, 2]))
    return rows.map(_scale).batch(256, drop_remainder=True).map(_label_of).prefetch(2)


def _batch_after_map_by_hand() -> Any:
    rows = tf.data.Dataset.from_tensor_slices(tf.random.stateless_uniform([64_000, WIDTH], [1, 2]))
    return rows.batch(256, drop_remainder=True).map(_scale).map(_label_of).prefetch(2)


def _filter_last() -> Any:
    rows = tf.data.Dataset.range(3200).map(
        lambda index: (index, _decode(index)), num_parallel_calls=2
    )
    kept = rows.filter(lambda index, row: _is_wanted(index)).map(lambda index, row: row)
    return _tf_batches(kept)


def _filter_last_by_hand() -> Any:
    rows = tf.data.Dataset.range(3200).filter(_is_wanted)
    return _tf_batches(rows.map(_decode, num_parallel_calls=2))


def _pinned_parallelism() -> Any:
    return _tf_batches(tf.data.Dataset.range(960).map(_read, num_parallel_calls=2))


# Sequences that are set up badly.


class Batches(keras.utils.PyDataset):
    """Batches that are waited for, computed, or large."""

    def __init__(
        self, *, sleep_s: float = 0.0, compute_s: float = 0.0, rows: int = BATCH, **workers: Any
    ) -> None:
        super().__init__(**workers)
        self._sleep_s, self._compute_s, self._rows = sleep_s, compute_s, rows

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(self._sleep_s)
        until = time.thread_time() + self._compute_s
        while time.thread_time() < until:
            pass
        x = np.full((self._rows, WIDTH), index % 7, np.float32)
        return x, x.mean(axis=1, keepdims=True)


def _too_many_processes() -> Any:
    return Batches(compute_s=0.001, workers=12, use_multiprocessing=True)


def _too_many_processes_by_hand() -> Any:
    return Batches(compute_s=0.001, workers=1, use_multiprocessing=False)


def _transported() -> Any:
    return Batches(sleep_s=0.004, rows=30_000, workers=2, use_multiprocessing=True)


def _transported_by_hand() -> Any:
    return Batches(sleep_s=0.004, rows=30_000, workers=2, use_multiprocessing=False)


def _threads_under_the_gil() -> Any:
    return Batches(compute_s=0.02, workers=4, use_multiprocessing=False)


def _threads_under_the_gil_by_hand() -> Any:
    return Batches(compute_s=0.02, workers=2, use_multiprocessing=True)


# Inputs that are set up well.


def _parallel_map() -> Any:
    rows = tf.data.Dataset.range(960).map(_read, num_parallel_calls=MANY)
    return _on_own_threads(rows.batch(BATCH, drop_remainder=True).map(_label_of).prefetch(AUTO))


def _cached() -> Any:
    rows = tf.data.Dataset.range(640).map(_decode, num_parallel_calls=AUTO).cache().shuffle(640)
    return rows.batch(BATCH, drop_remainder=True).map(_label_of).prefetch(AUTO)


def _from_memory() -> Any:
    rows = np.random.default_rng(1).random((9600, WIDTH)).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(rows).shuffle(1000)
    return dataset.batch(BATCH, drop_remainder=True).map(_label_of).prefetch(AUTO)


def _parallel_interleave() -> Any:
    return _serial_interleave_by_hand().prefetch(AUTO)


def _reading_threads() -> Any:
    return Batches(sleep_s=0.02, workers=8, use_multiprocessing=False, max_queue_size=16)


def _quick_generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    x = np.ones((BATCH, WIDTH), np.float32)
    while True:
        yield x, x.mean(axis=1, keepdims=True)


MISCONFIGURED = (
    TuningCase(
        name="serial map that waits",
        make=_serial_map,
        by_hand=_serial_map_by_hand,
        least_speedup=10.0,
    ),
    TuningCase(
        name="serial interleave", make=_serial_interleave, by_hand=_serial_interleave_by_hand
    ),
    TuningCase(name="no prefetch", make=_no_prefetch, by_hand=_no_prefetch_by_hand),
    TuningCase(name="cache missing", make=_cache_missing, by_hand=_cache_missing_by_hand, epochs=6),
    TuningCase(
        name="cache before the work",
        make=_cache_before_the_work,
        by_hand=_cache_before_the_work_by_hand,
        epochs=6,
    ),
    TuningCase(
        name="shuffle of pictures",
        make=_shuffle_of_pictures,
        by_hand=_shuffle_of_pictures_by_hand,
        model=_computing_model,
        epochs=6,
    ),
    TuningCase(name="batch after map", make=_batch_after_map, by_hand=_batch_after_map_by_hand),
    TuningCase(name="filter last", make=_filter_last, by_hand=_filter_last_by_hand),
    TuningCase(name="pinned parallelism", make=_pinned_parallelism, by_hand=_serial_map_by_hand),
    TuningCase(
        name="too many processes",
        make=_too_many_processes,
        by_hand=_too_many_processes_by_hand,
        epochs=2,
    ),
    TuningCase(
        name="transport between processes",
        make=_transported,
        by_hand=_transported_by_hand,
        epochs=2,
    ),
    TuningCase(
        name="threads under the GIL",
        make=_threads_under_the_gil,
        by_hand=_threads_under_the_gil_by_hand,
        epochs=2,
    ),
)

WELL_MADE = (
    TuningCase(name="parallel map", make=_parallel_map),
    TuningCase(name="cached", make=_cached, epochs=4),
    TuningCase(name="from memory", make=_from_memory),
    TuningCase(name="parallel interleave", make=_parallel_interleave),
    TuningCase(name="reading threads", make=_reading_threads, epochs=2),
    TuningCase(name="quick generator", make=_quick_generator, steps=300),
)
