"""Trainings with input for free: whatever feeds them, the input rests and the step is the model's."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.capture.ceiling_run import measure_ceiling
from pipeprof.errors import UsageError

pytestmark = pytest.mark.integration

PLANTED_S = 0.1
ITEMS = 12


def batch() -> tuple[Any, Any]:
    return np.ones((8, 4), np.float32), np.zeros((8, 1), np.float32)


class Input:
    """Slow batches, counted."""

    def __init__(self) -> None:
        self.made = 0

    def make(self) -> tuple[Any, Any]:
        self.made += 1
        time.sleep(PLANTED_S)
        return batch()

    def batches(self) -> Iterator[tuple[Any, Any]]:
        for _ in range(ITEMS):
            yield self.make()


class Items(keras.utils.PyDataset):
    def __init__(self, source: Input) -> None:
        super().__init__(workers=2, use_multiprocessing=True)
        self._source = source

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._source.make()


def dataset(source: Input) -> Any:
    signature = (tf.TensorSpec((8, 4)), tf.TensorSpec((8, 1)))
    return tf.data.Dataset.from_generator(source.batches, output_signature=signature)


@pytest.fixture(scope="module")
def model() -> Any:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    network.fit(*batch(), verbose=0)
    return network


def fit(model: Any, data: Any) -> None:
    model.fit(data, epochs=2, verbose=0, validation_data=batch())
    raise AssertionError("what comes after the first training does not run")


def train_on_batches(model: Any, source: Input) -> None:
    for x, y in source.batches():
        model.train_on_batch(x, y)


def by_hand(model: Any, source: Input) -> None:
    next(iter(dataset(source).take(1)))
    for x, _ in dataset(source):
        with tf.GradientTape():
            model(x, training=True)


def by_profile(model: Any, source: Input) -> None:
    with pipeprof.profile(source.batches()) as prof:
        for x, _ in prof.dataset:
            with prof.step(), tf.GradientTape():
                model(x, training=True)
    raise AssertionError("what comes after the first training does not run")


def fit_in_profile(model: Any, source: Input) -> None:
    with pipeprof.profile(source.batches()) as prof:
        fit(model, prof.dataset)


def of_keras_2(train: Callable[[Any, Input], None]) -> Callable[[Any, Input], None]:
    def trained(_: Any, source: Input) -> None:
        tf_keras = pytest.importorskip("tf_keras", reason="Keras 2 is not installed")
        network = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(1)])
        network.compile("sgd", "mse")
        train(network, source)

    return trained


def fit_of_keras_2(model: Any, source: Input) -> None:
    model.fit(source.batches(), steps_per_epoch=ITEMS, workers=1, verbose=0)
    raise AssertionError("what comes after the first training does not run")


def fit_loader(model: Any, source: Input) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Samples(torch.utils.data.IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Iterator[Any]:
            return (tuple(map(torch.from_numpy, each)) for each in source.batches())

    fit(model, torch.utils.data.DataLoader(Samples(), batch_size=None))


def fit_arrays(model: Any, _: Input) -> None:
    x, y = np.ones((8 * ITEMS, 4), np.float32), np.zeros((8 * ITEMS, 1), np.float32)
    model.fit(x, y, batch_size=8, verbose=0)
    raise AssertionError("what comes after the first training does not run")


TRAININGS: dict[str, Callable[[Any, Input], None]] = {
    "generator": lambda model, source: fit(model, source.batches()),
    "sequence": lambda model, source: fit(model, Items(source)),
    "tf.data": lambda model, source: fit(model, dataset(source)),
    "loader": fit_loader,
    "arrays": fit_arrays,
    "train_on_batch": train_on_batches,
    "hand-written": by_hand,
    "prof.dataset": by_profile,
    "prof.dataset in fit": fit_in_profile,
    "Keras 2": of_keras_2(fit_of_keras_2),
    "train_on_batch of Keras 2": of_keras_2(train_on_batches),
}


@pytest.mark.parametrize("kind", TRAININGS)
def test_the_input_rests_and_the_steps_are_the_models(kind: str, model: Any) -> None:
    begin_ns = time.perf_counter_ns()
    Input().make()
    planted_ns = time.perf_counter_ns() - begin_ns
    source = Input()
    found = measure_ceiling(lambda: TRAININGS[kind](model, source), steps=30, batches=4)
    assert found.steps >= 30
    assert found.batches == 4
    assert source.made <= 4 + 3  # a look at one, and what a pipeline reads ahead
    assert found.median_ns < planted_ns / 2


def test_a_model_is_as_it_was_after_its_ceiling_was_measured(model: Any) -> None:
    before = model.get_weights()
    found = pipeprof.ceiling(model, Input().batches(), steps=10, batches=2)
    assert (found.steps >= 10, found.batches) == (True, 2)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_a_training_there_is_none(model: Any) -> None:
    with pytest.raises(UsageError, match="expected a training by fit"):
        measure_ceiling(lambda: model.predict(batch()[0], verbose=0))
    with pytest.raises(UsageError, match="without any"):
        pipeprof.ceiling(model, iter(()))


def test_what_the_training_raises_comes_through(model: Any, tmp_path: Path) -> None:
    def fails() -> Iterator[Any]:
        yield batch()
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        pipeprof.ceiling(model, fails())
    assert "pipeprof" not in keras.Model.fit.__code__.co_filename
