# Everything is cached in memory: only the first epoch is slow.
from own_clock import write_truth
import time

import numpy as np
import tensorflow as tf
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 60, 6


def clean(index):
    time.sleep(0.040)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def clean_up(index):
    x, y = tf.numpy_function(clean, [index], [tf.float32, tf.float32])
    return tf.ensure_shape(x, (32, 8)), tf.ensure_shape(y, (32, 1))


dataset = tf.data.Dataset.range(STEPS).map(clean_up).cache().prefetch(tf.data.AUTOTUNE)

clock = FitClock()
model = heavy_model(clock, width=512)  # later epochs are no shorter than a hiccup
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
