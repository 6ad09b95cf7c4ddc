"""The photographs through a Python generator and through a `PyDataset`, and the model they train."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras

from pipeprof.recording.loop import InputKind
from pipeprof.scenarios.photos import EPOCHS, SIDE, Batch, PhotoSet
from pipeprof.scenarios.scenario import Scenario, Workload

WORKERS = 2


class Photos(keras.utils.PyDataset):
    """The photographs as a `PyDataset`, for workers of either kind."""

    def __init__(self, photos: PhotoSet, **workers: Any) -> None:
        super().__init__(**workers)
        self.photos = photos

    def __len__(self) -> int:
        return self.photos.batches

    def __getitem__(self, index: int) -> Batch:
        return self.photos.batch(index)


def photo_batches(photos: PhotoSet) -> Iterator[Batch]:
    """The photographs from a generator, one epoch after the other, without end."""
    while True:
        for index in range(photos.batches):
            yield photos.batch(index)


def keras_scenarios(photos: PhotoSet) -> tuple[Scenario, ...]:
    """A generator, a `PyDataset` with worker threads, and one with worker processes."""
    return (
        Scenario(
            name="generator",
            title="Python generator",
            input=InputKind.GENERATOR,
            prepare=lambda: make_workload(
                photo_batches(photos), photos, steps_per_epoch=photos.batches
            ),
        ),
        Scenario(
            name="threads",
            title=f"PyDataset, {WORKERS} threads",
            input=InputKind.SEQUENCE,
            prepare=lambda: make_workload(Photos(photos, workers=WORKERS), photos),
        ),
        Scenario(
            name="processes",
            title=f"PyDataset, {WORKERS} processes",
            input=InputKind.SEQUENCE,
            prepare=lambda: make_workload(
                Photos(photos, workers=WORKERS, use_multiprocessing=True), photos
            ),
        ),
    )


def make_workload(dataset: Any, photos: PhotoSet, **fit: Any) -> Workload:
    """A fit of a new model on all photographs, `EPOCHS` times."""
    model = make_model(photos.classes)
    return Workload(
        dataset=dataset,
        model=model,
        train=partial(model.fit, epochs=EPOCHS, shuffle=False, verbose=0, **fit),
        steps=EPOCHS * photos.batches,
        samples=EPOCHS * len(photos.paths),
    )


def make_model(classes: int) -> keras.Model:
    """A small convolutional classifier with the same weights every time."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Compiling with XLA would take longer than this training.
    model.compile("adam", loss, jit_compile=False)
    return model
