"""Measures what a profile costs a Keras `fit`: in every step, and once in each `fit`.

A `fit` has some epochs. What all epochs but the first take longer is the price of their steps. What the
`fit` takes longer beyond that is paid once: the pipeline is described, the first steps meet all names, the
samplers open their files. A ratio of both together would hang on how long the `fit` happens to be.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from overhead_pairs import Pairs, Times, as_number, as_percent, ratios
from overhead_peers import installed_peers

from pipeprof.capture.session import profile

Row = tuple[str, str, str]

# Disturbances of a shared machine last for seconds: many short pairs are better than a few long ones.
EPOCHS, STEPS, PAIRS = 4, 150, 3
WORKERS_EPOCHS = 2


def tfdata_fit(logdir: Path, pairs: Pairs) -> list[Row]:
    """The slow-down of a `fit` on tf.data, beside TensorFlow's own profiler."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).random((300, 16, 16, 3), np.float32)
    labels = np.zeros(300, np.int64)
    dataset = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .repeat()
        .map(
            lambda image, label: (tf.image.random_flip_left_right(image) * 2 - 1, label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(16)
        .prefetch(tf.data.AUTOTUNE)
    )
    model = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3),
            keras.layers.Conv2D(8, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def fit(data: tf.data.Dataset = dataset) -> Times:
        return _timed_fit(model, data, epochs=EPOCHS, steps_per_epoch=STEPS)

    def watched() -> Times:
        with profile(dataset, logdir=logdir) as prof:
            return fit(prof.dataset)

    fit()
    found = pairs.compare("tfdata", fit, watched, narrow=True, times=PAIRS)
    rows = _rows("tf.data", found, EPOCHS)
    for name, peer in installed_peers(tensorflow=True).items():
        if peer is None:
            rows.append((f"its steps under {name}", "not installed here", ""))
            continue

        def under(peer: Callable[[], contextlib.AbstractContextManager[None]] = peer) -> Times:
            with peer():
                return fit()

        beside = pairs.compare(f"tfdata {name}", fit, under)
        rows.append((f"its steps under {name}", as_percent(ratios(beside)), ""))
        rows.append((f"their CPU time under {name}", as_percent(ratios(beside, 1)), ""))
    return rows


def arrays_fit(logdir: Path, pairs: Pairs) -> list[Row]:
    """The slow-down of a `fit` on arrays."""
    import keras

    keras.utils.set_random_seed(0)
    size = 64 * STEPS
    features = np.random.default_rng(0).random((size, 64), np.float32)
    labels = np.zeros(size, np.int64)
    model = keras.Sequential([keras.layers.Dense(1024, "relu") for _ in range(3)])
    model.add(keras.layers.Dense(2))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def fit() -> Times:
        return _timed_fit(model, features, labels, batch_size=64, epochs=EPOCHS)

    def watched() -> Times:
        with profile(logdir=logdir):
            return fit()

    fit()
    found = pairs.compare("arrays", fit, watched, narrow=True, times=PAIRS)
    return _rows("arrays", found, EPOCHS)


def workers_fit(logdir: Path, pairs: Pairs) -> list[Row]:
    """The slow-down of a `fit` on a PyDataset whose two worker processes send batches of 1 MB."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=2, use_multiprocessing=True)
            self.batch = np.zeros((64, 4096), np.float32), np.zeros((64, 1), np.float32)

        def __len__(self) -> int:
            return STEPS

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            time.sleep(0.01)
            return self.batch

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def bare() -> Times:
        return _timed_fit(model, Batches(), epochs=WORKERS_EPOCHS)

    def watched() -> Times:
        with profile(Batches(), logdir=logdir) as prof:
            return _timed_fit(model, prof.dataset, epochs=WORKERS_EPOCHS)

    found = pairs.compare("workers", bare, watched, narrow=True, times=PAIRS)
    return _rows("2 worker processes with batches of 1 MB", found, WORKERS_EPOCHS)


def _timed_fit(model: Any, *data: Any, **arguments: Any) -> Times:
    """Trains, and reads two clocks: the usual one, and this process's CPU time.

    Returns:
        Seconds of each clock for all epochs but the first, then for all the rest.
    """
    import keras

    class Clock(keras.callbacks.Callback):
        first_s = (0.0, 0.0)

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.last_s = _clocks()
            if not epoch:
                self.first_s = self.last_s

    clock, begin_s = Clock(), _clocks()
    model.fit(*data, verbose=0, callbacks=[clock], **arguments)
    whole = [end - begin for begin, end in zip(begin_s, _clocks(), strict=True)]
    later = [end - begin for begin, end in zip(clock.first_s, clock.last_s, strict=True)]
    return *later, *(both - part for both, part in zip(whole, later, strict=True))


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _rows(fed_by: str, found: Sequence[tuple[Times, Times]], epochs: int) -> list[Row]:
    step_ms = statistics.median(bare[0] for bare, _ in found) / STEPS / (epochs - 1) * 1e3
    return [
        (f"`fit` on {fed_by}, steps of {step_ms:.1f} ms", as_percent(ratios(found)), "1 %"),
        ("their CPU time", as_percent(ratios(found, 1)), "1 %"),
        ("what that `fit` takes longer once", as_number(_once_ms(found, epochs), "ms"), ""),
        ("CPU time of that", as_number(_once_ms(found, epochs, clock=1), "ms"), ""),
    ]


def _once_ms(
    found: Sequence[tuple[Times, Times]], epochs: int, *, clock: int = 0
) -> Sequence[float]:
    """What each `fit` took longer, without what its epochs took longer step by step."""
    once_s = []
    for bare, watched in found:
        later_s, rest_s = (watched[at] - bare[at] for at in (clock, clock + 2))
        once_s.append(rest_s - later_s / (epochs - 1))
    return [each_s * 1e3 for each_s in once_s]
