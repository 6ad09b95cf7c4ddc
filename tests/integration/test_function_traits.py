"""What functions given to tf.data do, by their graphs and their Python code."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeprof.capture.probes.tfdata.written.written_pipeline import describe_pipeline
from pipeprof.recording.stage import FunctionTrait

pytestmark = pytest.mark.integration

RANDOM = (FunctionTrait.RANDOM,)
PARSES = (FunctionTrait.PARSES_ONE_RECORD,)
IN_BATCHES = (FunctionTrait.CHEAPER_IN_BATCHES,)
FLIP = keras.layers.RandomFlip()
TABLE = keras.layers.StringLookup(vocabulary=["a", "b"])
FEATURES = {"id": tf.io.FixedLenFeature([], tf.int64)}


def images() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(tf.zeros((2, 8, 8, 3)))


def texts() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(["a", "b"])


def traits(dataset: tf.data.Dataset) -> tuple[FunctionTrait, ...]:
    output = describe_pipeline(dataset).output
    assert output is not None
    return output.traits


def noise() -> float:
    return random.random()


def noisy(image: np.ndarray) -> np.ndarray:
    return image + np.float32(noise())


def doubled(image: np.ndarray) -> np.ndarray:
    return image * 2


def in_numpy(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
    return lambda image: tf.numpy_function(function, [image], tf.float32)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (tf.image.random_flip_left_right, RANDOM),
        (lambda image: tf.image.stateless_random_brightness(image, 0.2, (1, 2)), RANDOM),
        (lambda image: FLIP(image, training=True), RANDOM),
        (in_numpy(noisy), RANDOM),
        (in_numpy(doubled), ()),
        (lambda image: tf.image.resize(image, (4, 4)), ()),
    ],
)
def test_what_draws_random_numbers_is_known(
    function: Callable[[Any], Any], expected: tuple[FunctionTrait, ...]
) -> None:
    assert traits(images().map(function)) == expected


def test_a_generator_that_draws_is_known() -> None:
    def drawn() -> Iterator[int]:
        yield int(np.random.default_rng().integers(9))

    def counted() -> Iterator[int]:
        yield from range(3)

    spec = tf.TensorSpec((), tf.int64)
    made = [
        tf.data.Dataset.from_generator(each, output_signature=spec) for each in (drawn, counted)
    ]
    inside = [describe_pipeline(each).output.inner for each in made]  # type: ignore[union-attr]
    assert [each.traits for each in inside if each is not None] == [RANDOM, ()]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda text: TABLE(text), IN_BATCHES),
        (lambda text: tf.strings.length(tf.strings.lower(text)), IN_BATCHES),
        (lambda record: tf.io.parse_single_example(record, FEATURES), PARSES),
        (lambda path: tf.io.decode_jpeg(tf.io.read_file(tf.strings.lower(path))), ()),
        (lambda text: tf.strings.length(text), ()),
    ],
)
def test_what_is_cheaper_for_a_whole_batch_is_known(
    function: Callable[[Any], Any], expected: tuple[FunctionTrait, ...]
) -> None:
    assert traits(texts().map(function)) == expected


def test_what_takes_batches_already_parses_many_records() -> None:
    parsed = texts().batch(2).map(lambda records: tf.io.parse_example(records, FEATURES))
    assert traits(parsed) == ()
