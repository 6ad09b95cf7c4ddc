"""Every stage of a tf.data pipeline has the user's line that made it, whatever that line called."""

import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.capture.probes.tfdata.written.dataset_origins import origin_of
from pipeprof.capture.probes.tfdata.written.transformations import Transformation
from pipeprof.capture.probes.tfdata.written.written_pipeline import describe_pipeline
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import Stage, StageOwner

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(tensorflow|keras|google|numpy)"),
]

HERE = "test_tfdata_places.py"
ROWS = np.zeros((400, 3), np.float32)


def line_of(function: Callable[..., Any], text: str) -> str:
    """The line of a function that holds some text."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = (number for number, line in enumerate(lines) if text in line)
    return f"{HERE}:{first + offset}"


def doubled(x: Any) -> Any:
    return x * 2


def numbers() -> Iterator[int]:
    yield from range(8)


def rows() -> Iterator[Any]:
    while True:
        yield np.zeros((8, 5, 3)), np.zeros(8)


def chained() -> Any:
    return (
        tf.data.Dataset.range(8)  # source
        .shuffle(4)
        .map(doubled)
        .batch(2)
        .cache()
        .prefetch(1)
    )


def in_an_interleave(folder: Path) -> Any:
    (folder / "lines.txt").write_text("a\nb\n")
    files = tf.data.Dataset.list_files(str(folder / "*.txt"))
    return files.interleave(
        lambda file: tf.data.TextLineDataset(file)  # reader
    )


def from_numbers() -> Any:
    return tf.data.Dataset.from_generator(
        numbers, output_signature=tf.TensorSpec((), tf.int64)
    ).take(4)


def windows() -> Any:
    made = keras.utils.timeseries_dataset_from_array(ROWS, ROWS[:, 0], 5, batch_size=16)
    return made.cache()


def images(folder: Path) -> Any:
    (folder / "a").mkdir()
    keras.utils.save_img(folder / "a" / "one.png", np.zeros((8, 8, 3)), scale=False)
    return keras.utils.image_dataset_from_directory(folder, image_size=(8, 8), label_mode=None)


def texts(folder: Path) -> Any:
    for name in "ab":
        (folder / name).mkdir()
        (folder / name / "one.txt").write_text("some words")
    return keras.utils.text_dataset_from_directory(folder, batch_size=1, verbose=False)


def written(make: Callable[[], Any], tmp_path: Path) -> dict[str, Transformation]:
    """The transformations of a dataset that is made while a profile is on, by what they are shown as."""
    with pipeprof.profile(logdir=tmp_path / "logs"):
        output = describe_pipeline(make()).output
    assert output is not None
    return {one.shown: one for one in output.all()}


def made_at(one: Transformation | Stage) -> str | None:
    return one.made_at.short if one.made_at else None


def location(one: Transformation | Stage) -> str | None:
    return one.location.short if one.location else None


@pytest.mark.quick
def test_each_call_of_a_chain_has_its_own_line(tmp_path: Path) -> None:
    found = written(chained, tmp_path)
    expected = {
        name: line_of(chained, text)
        for name, text in (
            ("range", "# source"),
            ("shuffle", ".shuffle"),
            ("doubled", ".map"),
            ("batch", ".batch"),
            ("cache", ".cache"),
            ("prefetch", ".prefetch"),
        )
    }
    assert {name: made_at(one) for name, one in found.items()} == expected
    assert {one.made_by for one in found.values()} == {None}
    # A function of the user's is where the work is.
    assert location(found["doubled"]) == line_of(doubled, "def doubled")
    assert location(found["shuffle"]) == expected["shuffle"]


def test_what_is_made_inside_a_function_has_its_line(tmp_path: Path) -> None:
    found = written(lambda: in_an_interleave(tmp_path), tmp_path)
    assert made_at(found["TextLineDataset"]) == line_of(in_an_interleave, "# reader")
    assert made_at(found["interleave"]) == line_of(in_an_interleave, "files.interleave")


def test_a_generator_is_made_where_it_is_given_to_tf_data(tmp_path: Path) -> None:
    found = written(from_numbers, tmp_path)
    assert made_at(found["from_generator"]) == line_of(from_numbers, "Dataset.from_generator")
    assert made_at(found["take"]) == line_of(from_numbers, ".take(4)")


@pytest.mark.parametrize(
    ("make", "library"),
    [
        (images, "image_dataset_from_directory"),
        (texts, "text_dataset_from_directory"),
    ],
)
def test_what_a_function_of_keras_makes_is_at_the_line_that_calls_it(
    make: Callable[[Path], Any], library: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    found = written(lambda: make(folder), tmp_path)
    assert {(made_at(one), location(one), one.made_by) for one in found.values()} == {
        (line_of(make, library), line_of(make, library), library)
    }


def test_windows_of_keras_are_at_the_users_line_and_what_follows_them_too(tmp_path: Path) -> None:
    found = written(windows, tmp_path)
    cache = found.pop("cache")
    assert (made_at(cache), cache.made_by) == (line_of(windows, ".cache()"), None)
    assert {(location(one), one.made_by) for one in found.values()} == {
        (line_of(windows, "timeseries_dataset"), "timeseries_dataset_from_array")
    }


def test_a_dataset_made_before_the_profile_has_no_line(tmp_path: Path) -> None:
    data = chained()
    found = written(lambda: data, tmp_path)
    assert {made_at(one) for one in found.values()} == {None}
    assert location(found["doubled"]) == line_of(doubled, "def doubled")


def test_datasets_are_not_kept(tmp_path: Path) -> None:
    with pipeprof.profile(logdir=tmp_path):
        data = chained()
        kept = weakref.ref(data)
        assert origin_of(data) is not None
        del data
        gc.collect()
        assert kept() is None


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A training on windows, and on arrays and a generator after it."""
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pipeprof.profile(logdir=tmp_path_factory.mktemp("logs")) as prof:
        model.fit(windows(), epochs=2, shuffle=False, verbose=0)
        model.fit(np.zeros((64, 5, 3)), np.zeros(64), batch_size=8, verbose=0)
        model.fit(rows(), steps_per_epoch=100, shuffle=False, verbose=0)
    assert prof.result.check() == ()
    assert prof.result.run.warnings == ()
    return prof.result


def test_stages_of_a_training_have_the_lines(training: Profile) -> None:
    made = {stage.made_by: location(stage) for stage in training.stages if stage.made_by}
    assert made == {"timeseries_dataset_from_array": line_of(windows, "timeseries_dataset")}
    (cache, *_) = (stage for stage in training.stages if stage.name == "cache")
    assert location(cache) == made_at(cache) == line_of(windows, ".cache()")


def test_what_keras_makes_to_feed_a_loop_is_not_the_users(training: Profile) -> None:
    of_keras = [stage for stage in training.stages if stage.owner is StageOwner.KERAS]
    assert "from_generator" in {stage.name for stage in of_keras}
    assert {(stage.location, stage.made_at, stage.made_by) for stage in of_keras} == {
        (None, None, None)
    }
