"""The photographs through `tf.data`: the work of `photos`, in TensorFlow's operations."""

import tensorflow as tf

from pipeprof.recording.loop import InputKind
from pipeprof.scenarios.photos import BATCH, SIDE, PhotoSet
from pipeprof.scenarios.photos_keras import make_workload
from pipeprof.scenarios.scenario import Scenario


def tfdata_scenario(photos: PhotoSet) -> Scenario:
    """The pipeline as TensorFlow's guide writes it: parallel maps, AUTOTUNE, prefetch."""
    return Scenario(
        name="tf.data",
        title="tf.data, AUTOTUNE",
        input=InputKind.TF_DATA,
        prepare=lambda: make_workload(make_dataset(photos), photos),
    )


def untuned_scenario(photos: PhotoSet) -> Scenario:
    """The pipeline as many scripts write it: one call at a time, without prefetch."""
    return Scenario(
        name="tf.data-untuned",
        title="tf.data, one call at a time",
        input=InputKind.TF_DATA,
        prepare=lambda: make_workload(make_untuned_dataset(photos), photos),
    )


def make_untuned_dataset(photos: PhotoSet) -> tf.data.Dataset:
    """One epoch of batches, each made when it is asked for."""
    return _batches(photos, calls=1)


def make_dataset(photos: PhotoSet) -> tf.data.Dataset:
    """One epoch of batches."""
    return _batches(photos, calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _batches(photos: PhotoSet, calls: int) -> tf.data.Dataset:
    samples = tf.data.Dataset.from_tensor_slices((list(photos.paths), photos.labels, photos.draws))
    return (
        samples.map(read, num_parallel_calls=calls, name="read")
        .map(decode, num_parallel_calls=calls, name="decode")
        .map(augment, num_parallel_calls=calls, name="augment")
        .batch(BATCH)
    )


def read(
    path: tf.Tensor, label: tf.Tensor, draw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A file's content."""
    return tf.io.read_file(path), label, draw


def decode(
    content: tf.Tensor, label: tf.Tensor, draw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Its pixels."""
    return tf.io.decode_image(content, 3, expand_animations=False), label, draw


def augment(image: tf.Tensor, label: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A square part of it in `SIDE` pixels, perhaps flipped, brighter or darker; from 0 to 1."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width) * 4 // 5
    top = (height - side) * draw[0] // 256
    left = (width - side) * draw[1] // 256
    part = image[top : top + side, left : left + side]
    pixels = tf.image.resize(part, (SIDE, SIDE), antialias=True)
    pixels = tf.cond(draw[2] >= 128, lambda: pixels[:, ::-1], lambda: pixels)
    gain = tf.cast(384 + draw[3], tf.float32) / (512 * 255)
    return tf.ensure_shape(tf.minimum(pixels * gain, 1), (SIDE, SIDE, 3)), label
