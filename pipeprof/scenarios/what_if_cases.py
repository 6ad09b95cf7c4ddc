"""Trainings, each with changes that can be supposed of it, and with the same trainings so changed.

`tools/validate_what_if` records each training as it is, predicts what each supposition gives, and measures
the changed twin beside it. Sleeping stands for a disk or a network, a loop in Python and operations of
TensorFlow for computing.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeprof.recording.light_dataclasses import dataclass

BATCH = 64
WIDTH = 256
AUTO = tf.data.AUTOTUNE
# Steps of a training that is measured.
STEPS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training to measure.

    Attributes:
        make: makes its input.
        callbacks: makes its callbacks.
        epochs: how many it has.
        free: whether its batches are kept and given again, so that input costs nothing.
        cores: processors that it may use, or None for all.
    """

    make: Callable[[], Any]
    callbacks: Callable[[], list[Any]] = list
    epochs: int = 1
    free: bool = False
    cores: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """A change.

    Attributes:
        text: as `pipeprof report --what-if` takes it.
        twin: the training so changed.
    """

    text: str
    twin: Trained


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfCase:
    """A training with changes.

    Attributes:
        name: of the training, as in a table.
        today: the training as it is.
        supposed: the changes.
    """

    name: str
    today: Trained
    supposed: tuple[Supposed, ...]


def make_model() -> Any:
    """A model that computes for some milliseconds a step."""
    layers = [keras.layers.Dense(1024, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


_X = np.random.default_rng(1).random((BATCH, WIDTH)).astype(np.float32)
_Y = _X.mean(axis=1, keepdims=True)


def _compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


# Generators.


def _generator(*, sleep_ms: float = 0.0, compute_ms: float = 0.0) -> Callable[[], Any]:
    def batches() -> Iterator[Any]:
        for _ in range(STEPS):
            if sleep_ms:
                time.sleep(sleep_ms / 1e3)
            _compute(compute_ms / 1e3)
            yield _X, _Y

    return batches


# Sequences.


class Pictures(keras.utils.PyDataset):
    """Batches that are waited for or computed."""

    def __init__(
        self,
        *,
        sleep_ms: float = 0.0,
        compute_ms: float = 0.0,
        first_ms: float = 0.0,
        batches: int = STEPS,
        **workers: Any,
    ) -> None:
        super().__init__(**workers)
        self._sleep_ms, self._compute_ms, self._first_ms = sleep_ms, compute_ms, first_ms
        self._batches = batches

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        time.sleep((self._sleep_ms + (self._first_ms if index == 0 else 0.0)) / 1e3)
        _compute(self._compute_ms / 1e3)
        return _X, _Y


def _pictures(**given: Any) -> Callable[[], Any]:
    return lambda: Pictures(**given)


def _in_threads(workers: int, **given: Any) -> Trained:
    return Trained(make=_pictures(workers=workers, use_multiprocessing=False, **given))


def _in_processes(workers: int, **given: Any) -> Trained:
    return Trained(make=_pictures(workers=workers, use_multiprocessing=True, **given))


# tf.data, an element a batch.


def _waiting(ms: float, index: Any) -> Any:
    def sleep(value: np.ndarray) -> np.ndarray:
        time.sleep(ms / 1e3)
        return value

    return tf.ensure_shape(tf.numpy_function(sleep, [index], tf.int64), ()) if ms else index


def _multiplied(times: int, index: Any) -> Any:
    """About 2.5 ms of computing on one core for each time."""
    seed = tf.cast(index % 13, tf.float32) + tf.range(160, dtype=tf.float32)
    square = tf.tensordot(seed, seed, 0)
    for _ in range(times):
        for _ in range(4):
            square = tf.math.tanh(tf.linalg.matmul(square, square) / 1e6)
    return index + tf.cast(square[0, 0] * 0.0, tf.int64)


def _batch_of(index: Any) -> Any:
    x = tf.constant(_X) + tf.cast(index % 3, tf.float32)
    return x, tf.constant(_Y)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipeline:
    """Reads by waiting, decodes by waiting or computing, and gives batches.

    Attributes:
        read_ms: what reading waits for a batch.
        decode_ms: what decoding waits.
        decode_times: how often decoding multiplies.
        read_calls: calls of reading at once.
        decode_calls: calls of decoding at once; None for one by one.
        cached: whether what was decoded is kept.
        ahead: whether it is loaded ahead of the training.
        threads: threads of the pipeline's own, or None.
    """

    read_ms: float = 0.0
    decode_ms: float = 0.0
    decode_times: int = 0
    read_calls: int | None = None
    decode_calls: int | None = None
    cached: bool = False
    ahead: bool = True
    threads: int | None = 9

    def __call__(self) -> Any:
        def read(index: Any) -> Any:
            return _waiting(self.read_ms, index)

        def decode(index: Any) -> Any:
            return _batch_of(_multiplied(self.decode_times, _waiting(self.decode_ms, index)))

        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        options.experimental_optimization.map_parallelization = False
        if self.threads is not None:
            options.threading.private_threadpool_size = self.threads
        dataset = tf.data.Dataset.range(STEPS)
        if self.read_ms:
            dataset = dataset.map(read, num_parallel_calls=self.read_calls)
        dataset = dataset.map(decode, num_parallel_calls=self.decode_calls)
        if self.cached:
            dataset = dataset.cache()
        return (dataset.prefetch(2) if self.ahead else dataset).with_options(options)


def _piped(*, epochs: int = 1, cores: int | None = None, **given: Any) -> Trained:
    return Trained(make=_Pipeline(**given), epochs=epochs, cores=cores)


# Callbacks.


class Logger(keras.callbacks.Callback):
    """Writes a log at each step, slowly."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes."""
        time.sleep(0.006)


def _free(today: Trained) -> Supposed:
    twin = Trained(make=today.make, callbacks=today.callbacks, free=True, cores=today.cores)
    return Supposed(text="input=free", twin=twin)


def _case(
    name: str, today: Trained, supposed: dict[str, Trained], *, free: bool = True
) -> WhatIfCase:
    changes = tuple(Supposed(text=text, twin=twin) for text, twin in supposed.items())
    return WhatIfCase(
        name=name, today=today, supposed=(*changes, *([_free(today)] if free else []))
    )


CASES = (
    _case(
        "generator that waits",
        Trained(make=lambda: _generator(sleep_ms=16)()),
        {
            "stage=batches cost=0": Trained(make=lambda: _generator()()),
            "stage=batches cost=0.5": Trained(make=lambda: _generator(sleep_ms=8)()),
            "stage=batches cost=2": Trained(make=lambda: _generator(sleep_ms=32)()),
            "workers=2": _in_threads(2, sleep_ms=16),
            "workers=4": _in_threads(4, sleep_ms=16),
            "workers=2 processes=yes": _in_processes(2, sleep_ms=16),
        },
    ),
    _case(
        "generator that computes",
        Trained(make=lambda: _generator(compute_ms=16)()),
        {
            "stage=batches cost=0": Trained(make=lambda: _generator()()),
            "stage=batches cost=0.5": Trained(make=lambda: _generator(compute_ms=8)()),
            "workers=2": _in_threads(2, compute_ms=16),
            "workers=2 processes=yes": _in_processes(2, compute_ms=16),
        },
    ),
    _case(
        "sequence that waits",
        Trained(make=_pictures(sleep_ms=16)),
        {
            "stage=Pictures.__getitem__ cost=0.5": Trained(make=_pictures(sleep_ms=8)),
            "workers=2": _in_threads(2, sleep_ms=16),
            "workers=8": _in_threads(8, sleep_ms=16),
            "workers=4 processes=yes": _in_processes(4, sleep_ms=16),
        },
    ),
    _case(
        "sequence in threads",
        _in_threads(2, sleep_ms=24),
        {
            "workers=4": _in_threads(4, sleep_ms=24),
            "stage=Pictures.__getitem__ cost=0.5": _in_threads(2, sleep_ms=12),
        },
        free=False,
    ),
    _case(
        "serial map that waits",
        _piped(decode_ms=16),
        {
            "stage=decode cost=0.5": _piped(decode_ms=8),
            "stage=decode parallelism=2": _piped(decode_ms=16, decode_calls=2),
            "stage=decode parallelism=8": _piped(decode_ms=16, decode_calls=8),
        },
    ),
    _case(
        "serial map that computes",
        _piped(decode_times=6, threads=None),
        {
            "stage=decode cost=0.5": _piped(decode_times=3, threads=None),
            "stage=decode parallelism=2": _piped(decode_times=6, decode_calls=2, threads=None),
        },
    ),
    _case(
        "no prefetch",
        _piped(decode_ms=12, ahead=False),
        {
            "prefetch=yes": _piped(decode_ms=12),
            "stage=decode cost=0.5": _piped(decode_ms=6, ahead=False),
            "stage=decode cost=0.5, prefetch=yes": _piped(decode_ms=6),
        },
    ),
    _case(
        "two maps",
        _piped(read_ms=10, decode_ms=16, read_calls=1, decode_calls=1),
        {
            "stage=decode cost=0": _piped(read_ms=10, read_calls=1, decode_calls=1),
            "stage=decode cost=0.5": _piped(read_ms=10, decode_ms=8, read_calls=1, decode_calls=1),
            "stage=decode parallelism=4": _piped(
                read_ms=10, decode_ms=16, read_calls=1, decode_calls=4
            ),
            "stage=read parallelism=4, stage=decode parallelism=4": _piped(
                read_ms=10, decode_ms=16, read_calls=4, decode_calls=4
            ),
        },
        free=False,
    ),
    _case(
        "two calls at once",
        _piped(decode_ms=32, decode_calls=2),
        {
            "stage=decode parallelism=8": _piped(decode_ms=32, decode_calls=8),
            "stage=decode cost=0.75": _piped(decode_ms=24, decode_calls=2),
        },
        free=False,
    ),
    _case(
        "same data each epoch",
        _piped(decode_ms=16, epochs=2),
        {"cache=decode": _piped(decode_ms=16, cached=True, epochs=2)},
        free=False,
    ),
    _case(
        "slow callback",
        Trained(make=_pictures(), callbacks=lambda: [Logger()]),
        {"callback=Logger": Trained(make=_pictures())},
        free=False,
    ),
    _case(
        "slow callback and slow input",
        Trained(make=_pictures(sleep_ms=16), callbacks=lambda: [Logger()]),
        {
            "callback=Logger": Trained(make=_pictures(sleep_ms=16)),
            "callback=Logger, stage=Pictures.__getitem__ cost=0.5": Trained(
                make=_pictures(sleep_ms=8)
            ),
            "stage=Pictures.__getitem__ cost=0.5": Trained(
                make=_pictures(sleep_ms=8), callbacks=lambda: [Logger()]
            ),
        },
    ),
    _case(
        "slow starts of epochs",
        Trained(make=_pictures(first_ms=240, batches=STEPS // 8), epochs=8),
        {"epoch_starts=0": Trained(make=_pictures())},
        free=False,
    ),
    _case(
        "one core",
        _piped(decode_times=4, decode_calls=2, threads=2, cores=1),
        {"cores=2": _piped(decode_times=4, decode_calls=2, threads=2)},
        free=False,
    ),
)


def run_on(cores: int | None) -> None:
    """Lets all threads of this process use so many processors; all that there are for None."""
    everything = range(os.cpu_count() or 1)
    allowed = set(everything) if cores is None else set(list(everything)[:cores])
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), allowed)
