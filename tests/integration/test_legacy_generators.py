"""What Keras 2 made of images and series, which both Keras versions still take."""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing import image as keras_image
from keras.src.legacy.preprocessing import sequence as keras_sequence
from PIL import Image

import pipeprof
from pipeprof.recording.loop import InputKind, InputLibrary, LoopKind
from pipeprof.recording.stage import StageKind
from tests.integration.feeds import BATCH, EPOCHS, digits, model, train

tf_keras = pytest.importorskip("tf_keras", reason="Keras 2 is not installed")

pytestmark = pytest.mark.integration

PACKAGES = {
    "Keras 3": (keras, keras_image, keras_sequence),
    "Keras 2": (tf_keras, tf_keras.preprocessing.image, tf_keras.preprocessing.sequence),
}
BATCHES = 4


def flip(image: Any) -> Any:
    return image[::-1]


def write_images(folder: Path) -> Path:
    for number, image in enumerate(digits()[0][: BATCH * BATCHES]):
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((image[..., 0] * 255).astype(np.uint8)).save(path)
    return folder


@pytest.mark.parametrize("version", PACKAGES)
@pytest.mark.parametrize("processes", [False, True])
def test_images_of_a_folder(version: str, processes: bool, tmp_path: Path) -> None:
    package, image, _ = PACKAGES[version]
    folder = tmp_path / "images"
    folder.mkdir()
    generator = image.ImageDataGenerator(preprocessing_function=flip)
    data = generator.flow_from_directory(
        write_images(folder),
        target_size=(8, 8),
        color_mode="grayscale",
        class_mode="sparse",
        batch_size=BATCH,
        shuffle=False,
    )
    options: dict[str, Any] = {"workers": 2, "use_multiprocessing": processes, "max_queue_size": 3}
    with pipeprof.profile(data, logdir=tmp_path) as prof:
        made = model(package)
        if version == "Keras 3":
            vars(data).update({f"_{name}": value for name, value in options.items()})
            train(made, prof.dataset, epochs=1)
        else:
            train(made, prof.dataset, epochs=1, **options)
    assert generator.preprocessing_function is flip

    result = prof.result
    [loop] = result.loops
    assert (result.check(), result.run.warnings) == ((), ())
    assert (loop.kind, loop.input.kind) == (LoopKind.FIT, InputKind.SEQUENCE)
    assert (loop.input.name, loop.input.workers) == ("DirectoryIterator", 2)
    assert loop.input.library is InputLibrary.KERAS_ITERATOR
    assert (loop.input.multiprocessing, loop.input.queue_size) == (processes, 3)
    assert (loop.step_count, loop.sample_count) == (BATCHES, BATCHES * BATCH)
    stages = {one.name: one for one in result.stages}
    users = stages["flip"]
    assert users.location is not None
    assert users.location.file.endswith("test_legacy_generators.py")
    assert result.stages[users.parent or 0].name == "DirectoryIterator.__getitem__"
    assert ("transport" in stages) == processes
    pids = {result.lanes[number].pid for number in users.lanes}
    assert len(pids) >= 1 + processes


@pytest.mark.parametrize("version", PACKAGES)
def test_a_series(version: str, tmp_path: Path) -> None:
    package, _, sequence = PACKAGES[version]
    series = np.random.default_rng(5).normal(size=(74, 8, 1)).astype(np.float32)
    make = functools.partial(
        sequence.TimeseriesGenerator, series, np.arange(74) % 10, length=8, batch_size=16
    )
    with pipeprof.profile(make(), logdir=tmp_path) as prof:
        train(model(package), prof.dataset)
    [loop] = prof.result.loops
    assert (prof.result.check(), prof.result.run.warnings) == ((), ())
    assert (loop.input.kind, loop.input.name) == (InputKind.SEQUENCE, "TimeseriesGenerator")
    assert (loop.step_count, loop.sample_count) == (5 * EPOCHS, 66 * EPOCHS)
    [stage] = [one for one in prof.result.stages if one.kind is StageKind.SEQUENCE]
    assert stage.name == "TimeseriesGenerator.__getitem__"
