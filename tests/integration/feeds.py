"""Real data and small models for the integration tests: the digits that scikit-learn ships."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

BATCH = 16
BATCHES = 10
EPOCHS = 3
STEPS = BATCHES * EPOCHS
SAMPLES = STEPS * BATCH

Batch = tuple[np.ndarray, np.ndarray]


@cache
def digits() -> Batch:
    """As many digits as make `BATCHES` batches, and what they show."""
    bunch = load_digits()
    count = BATCHES * BATCH
    return (
        (bunch.images[:count, ..., None] / 16).astype(np.float32),
        bunch.target[:count].astype(np.int64),
    )


def batch(index: int) -> Batch:
    x, y = digits()
    part = slice(index % BATCHES * BATCH, (index % BATCHES + 1) * BATCH)
    return x[part], y[part]


def batches(count: int | None = None) -> Iterator[Batch]:
    """A generator as users write them: endless without a count."""
    index = 0
    while count is None or index < count:
        yield batch(index)
        index += 1


class Digits(keras.utils.PyDataset):
    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> Batch:
        return batch(index)


def dataset() -> tf.data.Dataset:
    shuffled = tf.data.Dataset.from_tensor_slices(digits()).shuffle(BATCHES * BATCH, seed=1)
    return shuffled.batch(BATCH).prefetch(2)


def model(package: Any = keras, **compiled: Any) -> Any:
    """A linear model, whose weights are always the same."""
    package.utils.set_random_seed(7)
    layers = package.layers
    made = package.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    loss = package.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("sgd", loss, **compiled)
    return made


def train(made: Any, data: Any, *more: Any, **arguments: Any) -> Any:
    """Fits without Keras's progress and without its warning about a shuffle that it leaves out."""
    return made.fit(data, *more, **{"epochs": EPOCHS, "shuffle": False, "verbose": 0} | arguments)
