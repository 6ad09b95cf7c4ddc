"""A `tf.data` pipeline of three maps in a row, of which the second is slow."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.loop import InputKind
from pipeprof.scenarios.planted import FEATURES, STEPS, make_fit, make_light_model
from pipeprof.scenarios.scenario import Scenario, Sleep, Truth, Workload

# Long against what a call of Python from tf.data costs by itself, some tenths of a millisecond.
sleep_for_element = Sleep(0.020)
BATCH = 2


def scale(x: tf.Tensor) -> tf.Tensor:
    """Next to nothing."""
    return x * 2.0


def tokenize(x: tf.Tensor) -> tf.Tensor:
    """Calls Python for each element, which sleeps."""
    return tf.ensure_shape(tf.numpy_function(_sleep, [x], tf.float32), (FEATURES,))


def pair(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Next to nothing."""
    return x, x[:1]


def _sleep(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sleep_for_element()
    return x


def _three_maps() -> Workload:
    samples = tf.data.Dataset.from_tensor_slices(np.zeros((STEPS * BATCH, FEATURES), np.float32))
    dataset = samples.map(scale).map(tokenize).map(pair).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return make_fit(dataset, make_light_model(), rows=BATCH)


slow_second_map = Scenario(
    name="slow-map",
    title="second of three maps slow",
    input=InputKind.TF_DATA,
    prepare=_three_maps,
    truth=Truth(
        bound=Bound.INPUT, function=tokenize, sleep=sleep_for_element, sleeps_per_step=BATCH
    ),
)
