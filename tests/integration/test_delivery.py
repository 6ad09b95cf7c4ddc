"""What the model consumed is recorded, and recording it changes nothing: batches, losses, weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pipeprof
from pipeprof.analysis.findings.delivery_findings import Order, Recurrence
from pipeprof.analysis.findings.losses import losses_of

pytestmark = pytest.mark.integration

SAMPLES, BATCH, EPOCHS = 100, 16, 3
BATCHES = -(-SAMPLES // BATCH)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(SAMPLES, 12)).astype(np.float32)
Y = RNG.integers(0, 3, SAMPLES)


def model(package: Any = keras, **compiled: Any) -> Any:
    layers = package.layers
    made = package.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    made.compile("adam", "sparse_categorical_crossentropy", **compiled)
    return made


class Kept(keras.callbacks.Callback):
    """The losses that a user's callback is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))


class KeptInKeras2(tf_keras.callbacks.Callback):
    """The losses that a user's callback is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))


def parts() -> Any:
    return [slice(first, first + BATCH) for first in range(0, SAMPLES, BATCH)]


def endless() -> Any:
    while True:
        for part in parts():
            yield X[part], Y[part]


class Parts(keras.utils.PyDataset):
    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> Any:
        return X[parts()[index]], Y[parts()[index]]


class PartsInKeras2(tf_keras.utils.Sequence):
    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> Any:
        return X[parts()[index]], Y[parts()[index]]


def pipeline() -> Any:
    """Shuffled anew in each epoch, mapped in parallel, AUTOTUNE on."""
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(SAMPLES, seed=2)
    data = data.map(lambda x, y: (x * 2.0, y), num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def fit(*given: Any, **arguments: Any) -> Callable[[Any], list[float]]:
    def train(trained: Any) -> list[float]:
        kept = Kept() if isinstance(trained, keras.Model) else KeptInKeras2()
        data = [each() if callable(each) else each for each in given]
        shuffle = len(given) == 2  # of what is no array Keras says that it does not
        trained.fit(*data, epochs=EPOCHS, callbacks=[kept], verbose=0, shuffle=shuffle, **arguments)
        return kept.losses

    return train


def by_hand(trained: Any) -> list[float]:
    return [
        float(np.ravel(trained.train_on_batch(X[part], Y[part]))[0])
        for _ in range(EPOCHS)
        for part in parts()
    ]


WAYS: dict[str, tuple[Callable[[Any], list[float]], Any, dict[str, Any]]] = {
    "arrays": (fit(X, Y, batch_size=BATCH, validation_split=0.2), keras, {}),
    "generator": (fit(endless, steps_per_epoch=BATCHES), keras, {}),
    "workers": (fit(lambda: Parts(workers=2)), keras, {}),
    "processes": (fit(lambda: Parts(workers=2, use_multiprocessing=True)), keras, {}),
    "tf.data": (fit(pipeline, validation_data=(X[:20], Y[:20])), keras, {}),
    "several steps at once": (fit(pipeline), keras, {"steps_per_execution": 3}),
    "by hand": (by_hand, keras, {}),
    "Keras 2": (fit(pipeline), tf_keras, {}),
    "Keras 2, arrays": (fit(X, Y, batch_size=BATCH, validation_split=0.2), tf_keras, {}),
    "Keras 2, processes": (
        fit(PartsInKeras2, workers=2, use_multiprocessing=True),
        tf_keras,
        {},
    ),
    "Keras 2, by hand": (by_hand, tf_keras, {}),
    "Keras 2, several steps": (
        fit(endless, steps_per_epoch=BATCHES),
        tf_keras,
        {"steps_per_execution": 3},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_losses_and_weights_are_equal_to_the_last_bit(way: str, tmp_path: Path) -> None:
    train, package, compiled = WAYS[way]
    package.utils.set_random_seed(1)
    alone = model(package, **compiled)
    losses_alone = train(alone)
    package.utils.set_random_seed(1)
    made = model(package, **compiled)
    with pipeprof.profile(logdir=tmp_path, fingerprint=True) as prof:
        losses = train(made)
    assert losses == losses_alone
    for before, after in zip(alone.get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert type(made.train_function) is type(alone.train_function)
    # Given back: a tf.function has that attribute itself, in Keras 2.
    assert hasattr(made.train_function, "__wrapped__") is hasattr(
        alone.train_function, "__wrapped__"
    )
    main = prof.result.main_loop
    assert prof.result.run.warnings == ()
    assert prof.result.check() == ()
    assert main.delivery.batch_count == main.batch_count
    assert main.trained_model.parameters == made.count_params()
    assert losses_of(main.delivery).shown.tolist() == pytest.approx(losses, rel=1e-6)
    found = prof.findings.delivery.consumed
    assert found.recurrence in (Recurrence.SAME, Recurrence.UNKNOWN)


def test_the_delivery_of_a_shuffled_pipeline_is_known(tmp_path: Path) -> None:
    with pipeprof.profile(logdir=tmp_path, fingerprint=True) as prof:
        fit(pipeline)(model())
    found = prof.findings.delivery.consumed
    assert (found.epochs, found.batches, found.samples) == (EPOCHS, BATCHES, SAMPLES)
    assert (found.batch_size, found.short_batches, found.last_samples) == (
        BATCH,
        1,
        SAMPLES % BATCH,
    )
    assert (found.recurrence, found.order) == (Recurrence.SAME, Order.DIFFERENT)
    assert (found.repeated, found.missing) == (0, 0)
    assert "same samples, in another order" in " ".join(prof.report(width=200).split())


def test_augmentation_is_distinguished_from_an_equal_epoch(tmp_path: Path) -> None:
    def noisy() -> Any:
        for x, y in endless():
            yield x + RNG.normal(size=x.shape).astype(np.float32), y

    with pipeprof.profile(logdir=tmp_path, fingerprint=True) as prof:
        fit(noisy, steps_per_epoch=BATCHES)(model())
    found = prof.findings.delivery.consumed
    assert (found.recurrence, found.changing) == (Recurrence.AUGMENTED, (0,))
    assert found.order is Order.EQUAL


def test_validation_inside_fit_and_evaluate_are_compared(tmp_path: Path) -> None:
    made = model()
    with pipeprof.profile(logdir=tmp_path, fingerprint=True) as prof:
        made.fit(X, Y, batch_size=BATCH, epochs=2, verbose=0, validation_data=(X[:40], Y[:40]))
        alone = made.evaluate(X[:40], Y[:40], batch_size=8, verbose=0)
    [pair] = prof.findings.evaluations
    assert (pair.same_samples, pair.same_order) == (True, True)
    assert (pair.inside.batches, pair.alone.batches) == (3, 5)
    assert (pair.inside.trained_steps, pair.alone.trained_steps) == (2 * BATCHES, 2 * BATCHES)
    assert pair.alone.loss == pytest.approx(alone, rel=1e-5)
    assert [layer.class_name for layer in pair.mode_layers] == ["Dropout", "BatchNormalization"]


def test_an_error_of_the_input_comes_through_after_what_it_gave(tmp_path: Path) -> None:
    def breaks() -> Any:
        yield X[:BATCH], Y[:BATCH]
        yield X[:BATCH], Y[:BATCH]
        yield X[:BATCH], Y[:BATCH]
        raise RuntimeError("the disk is gone")

    def failed(*, fingerprint: bool) -> type[BaseException]:
        made = model()
        with (
            pipeprof.profile(logdir=tmp_path, fingerprint=fingerprint) as prof,
            pytest.raises(Exception, match="the disk is gone") as error,
        ):
            made.fit(breaks(), steps_per_epoch=9, verbose=0, shuffle=False)
        assert prof.result.main_loop is not None
        return error.type

    assert failed(fingerprint=True) is failed(fingerprint=False)


JAX = """
import sys, keras, numpy as np, pipeprof
import tensorflow as tf
x = np.arange(400.0, dtype=np.float32).reshape(100, 4)
y = np.ones((100, 1), np.float32)
parts = [(x[n:n + 16], y[n:n + 16]) for n in range(0, 100, 16)]

class Parts(keras.utils.PyDataset):
    def __len__(self):
        return len(parts)
    def __getitem__(self, index):
        return parts[index]

def endless():
    while True:
        yield from parts

def by_hand(model):
    for _ in range(2):
        for part in parts:
            model.train_on_batch(*part)

def fit(make, **arguments):
    return lambda model: model.fit(make(), epochs=2, verbose=0, shuffle=False, **arguments)

ways = {
    "arrays": lambda model: model.fit(x, y, batch_size=16, epochs=2, verbose=0, shuffle=False),
    "generator": fit(endless, steps_per_epoch=len(parts)),
    "threads": fit(lambda: Parts(workers=2)),
    "processes": fit(lambda: Parts(workers=2, use_multiprocessing=True)),
    "tf.data": fit(lambda: tf.data.Dataset.from_tensor_slices((x, y)).batch(16)),
    "by hand": by_hand,
}
train = ways[sys.argv[2]]
weights = []
if __name__ == "__main__":
    for fingerprint in (False, True):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        with pipeprof.profile(logdir=sys.argv[1], fingerprint=fingerprint) as prof:
            train(model)
        weights.append(model.get_weights())
    assert all((a == b).all() for a, b in zip(*weights)), weights
    found = prof.findings.delivery.consumed
    assert prof.result.run.warnings == (), prof.result.run.warnings
    print(found.ordered, found.unordered, found.batches, found.samples, len(found.losses))
"""


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_what_a_model_on_jax_consumes_is_known_for_each_kind_of_input(tmp_path: Path) -> None:
    """All ways feed the same samples; Keras itself changes their order where several workers make them."""
    ways = ("arrays", "generator", "threads", "processes", "tf.data", "by hand")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    script = tmp_path / "train.py"
    script.write_text(JAX)
    found = {}
    for way in ways:
        command = [sys.executable, str(script), str(tmp_path / "logs"), way]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{way}: {done.stderr}"
        found[way] = done.stdout.split()[-5:]
    assert found.pop("by hand")[2:] == ["14", "200", "14"]  # its epochs are not known
    assert {tuple(values[1:]) for values in found.values()} == {tuple(found["arrays"][1:])}, found
    assert found["arrays"][2:] == ["7", "100", "14"]
    assert found["generator"] == found["tf.data"] == found["arrays"]
