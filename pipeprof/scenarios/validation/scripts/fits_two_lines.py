# One dataset, trained at two lines: first the head of the network, then all of it.
from own_clock import write_truth
import time

import numpy as np
import tensorflow as tf
from fit_clock import FitClock, light_model

STEPS = 80


def read_shard(index):
    time.sleep(0.020)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def load(index):
    x, y = tf.numpy_function(read_shard, [index], [tf.float32, tf.float32])
    return tf.ensure_shape(x, (32, 8)), tf.ensure_shape(y, (32, 1))


dataset = tf.data.Dataset.range(STEPS).map(load).prefetch(2)
clock = FitClock()
model = light_model(clock)
model.fit(dataset, epochs=1, verbose=0, callbacks=[clock.callback])
model.fit(dataset, epochs=2, verbose=0, callbacks=[clock.callback])
truth = clock.truth(from_epoch=1)  # the second call is the longer one
write_truth(**{key: truth[key] for key in ("wait_ms", "step_ms", "clock_ms")})
