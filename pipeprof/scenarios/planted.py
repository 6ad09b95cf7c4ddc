"""Trainings with a planted cost, small enough for a test: what is slow in each is known to the millisecond.

Slow means asleep, so that the planted cost is the same on every machine; how long a sleep really took,
which is longer where the machine is busy, is measured.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

import pipeprof
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.loop import InputKind
from pipeprof.recording.stage import StageKind
from pipeprof.scenarios.scenario import Scenario, Sleep, Truth, Workload

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

BATCH = 32
FEATURES = 8
STEPS = 30
EPOCHS = 2

sleep_for_read = Sleep(0.020)
sleep_for_item = Sleep(0.040)

# 30 MB of float32 a batch, as of 32 photographs of 280 x 280 pixels.
LARGE_ROWS, LARGE_SIDE = 32, 280
LARGE_STEPS = 12


@pipeprof.stage("read")
def slow_read() -> Batch:
    """A batch that is long in coming."""
    sleep_for_read()
    return make_batch()


def batches() -> Iterator[Batch]:
    """Slowly read batches without end."""
    while True:
        yield slow_read()


class SlowItems(keras.utils.PyDataset):
    """Each item takes long; two worker threads share them."""

    def __init__(self) -> None:
        super().__init__(workers=2)

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Batch:
        sleep_for_item()
        return make_batch()


class LargeItems(keras.utils.PyDataset):
    """Items that are made at once and are 30 MB each; worker processes have to send them."""

    def __init__(self) -> None:
        super().__init__(workers=2, use_multiprocessing=True)

    def __len__(self) -> int:
        return LARGE_STEPS

    def __getitem__(self, index: int) -> Batch:
        shape = (LARGE_ROWS, LARGE_SIDE, LARGE_SIDE, 3)
        return np.zeros(shape, np.float32), np.zeros((LARGE_ROWS, 1), np.float32)


def make_batch() -> Batch:
    """A batch of zeros, from nowhere."""
    return np.zeros((BATCH, FEATURES), np.float32), np.zeros((BATCH, 1), np.float32)


def make_light_model() -> keras.Model:
    """A model whose step takes next to nothing."""
    return _compiled([keras.layers.Input((FEATURES,)), keras.layers.Dense(1)])


def make_heavy_model() -> keras.Model:
    """A model whose step takes far longer than its input."""
    dense = [keras.layers.Dense(1024, activation="relu") for _ in range(4)]
    return _compiled([keras.layers.Input((FEATURES,)), *dense, keras.layers.Dense(1)])


def make_image_model() -> keras.Model:
    """A model that reduces large images at once."""
    return _compiled(
        [
            keras.layers.Input((LARGE_SIDE, LARGE_SIDE, 3)),
            keras.layers.AveragePooling2D(LARGE_SIDE),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )


def _compiled(layers: list[Any]) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(layers)
    model.compile("sgd", "mse", jit_compile=False)
    return model


def make_fit(
    dataset: Any, model: keras.Model, *, steps: int = STEPS, rows: int = BATCH
) -> Workload:
    """A fit of `EPOCHS` epochs of ``steps`` batches."""
    endless = isinstance(dataset, Iterator)
    return Workload(
        dataset=dataset,
        model=model,
        train=partial(
            model.fit,
            epochs=EPOCHS,
            steps_per_epoch=steps if endless else None,
            shuffle=False,
            verbose=0,
        ),
        steps=EPOCHS * steps,
        samples=EPOCHS * steps * rows,
    )


def _free_input() -> Workload:
    x, y = make_batch()

    def ready() -> Iterator[Batch]:
        while True:
            yield x, y

    return make_fit(ready(), make_heavy_model())


def _arrays() -> Workload:
    rows = STEPS * BATCH
    x, y = np.zeros((rows, FEATURES), np.float32), np.zeros((rows, 1), np.float32)
    model = make_heavy_model()

    def train(arrays: Batch) -> object:
        return model.fit(*arrays, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)

    return Workload(
        dataset=(x, y), model=model, train=train, steps=EPOCHS * STEPS, samples=EPOCHS * rows
    )


def _hand_written_loop() -> Workload:
    model = make_light_model()

    def train(dataset: Iterator[Batch]) -> None:
        for x, y in dataset:
            model.train_on_batch(x, y)

    def finite() -> Iterator[Batch]:
        for _ in range(STEPS):
            yield slow_read()

    return Workload(dataset=finite(), model=model, train=train, steps=STEPS, samples=STEPS * BATCH)


_SLOW_READ = Truth(bound=Bound.INPUT, function=slow_read, stage="read", sleep=sleep_for_read)

PLANTED = (
    Scenario(
        name="slow-read",
        title="slow read in a generator",
        input=InputKind.GENERATOR,
        prepare=lambda: make_fit(batches(), make_light_model()),
        truth=_SLOW_READ,
    ),
    Scenario(
        name="slow-item",
        title="slow __getitem__, 2 threads",
        input=InputKind.SEQUENCE,
        prepare=lambda: make_fit(SlowItems(), make_light_model()),
        truth=Truth(bound=Bound.INPUT, function=SlowItems.__getitem__, sleep=sleep_for_item),
    ),
    Scenario(
        name="large-batches",
        title="30 MB batches from 2 processes",
        input=InputKind.SEQUENCE,
        prepare=lambda: make_fit(
            LargeItems(), make_image_model(), steps=LARGE_STEPS, rows=LARGE_ROWS
        ),
        # How long sending takes depends on the machine.
        truth=Truth(bound=Bound.INPUT, kind=StageKind.TRANSPORT),
    ),
    Scenario(
        name="free-input",
        title="heavy model, input for free",
        input=InputKind.GENERATOR,
        prepare=_free_input,
        truth=Truth(bound=Bound.COMPUTE),
    ),
    Scenario(
        name="arrays",
        title="arrays",
        input=InputKind.ARRAYS,
        prepare=_arrays,
        truth=Truth(bound=Bound.COMPUTE),
    ),
    Scenario(
        name="loop",
        title="train_on_batch on a slow generator",
        input=InputKind.GENERATOR,
        prepare=_hand_written_loop,
        truth=_SLOW_READ,
    ),
)
