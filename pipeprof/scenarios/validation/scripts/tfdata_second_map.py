# The second of three maps is the slow one.
from own_clock import Stopwatch, write_truth
import time

import numpy as np
import tensorflow as tf
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 60, 3
slow = Stopwatch()


def in_python(rows, seconds, clock):
    with clock:
        time.sleep(seconds)
    return rows


def parse(index):
    rows = tf.numpy_function(
        lambda i: in_python(np.zeros((32, 8), "float32"), 0.001, Stopwatch()), [index], tf.float32
    )
    return tf.ensure_shape(rows, (32, 8))


def augment(rows):
    rows = tf.numpy_function(lambda r: in_python(r, 0.020, slow), [rows], tf.float32)
    return tf.ensure_shape(rows, (32, 8))


def with_target(rows):
    return rows, tf.reduce_sum(rows, axis=1, keepdims=True)


dataset = tf.data.Dataset.range(STEPS).map(parse).map(augment).map(with_target).prefetch(2)

clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(), augment_ms=slow.seconds / (STEPS * EPOCHS) * 1e3)
