# A py_function that computes in Python.
from own_clock import Stopwatch, compute_in_python, write_truth

import tensorflow as tf
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 60, 3
computing = Stopwatch()


def clean(rows):
    with computing:
        compute_in_python(0.012)
    return rows


def clean_up(index):
    rows = tf.py_function(clean, [tf.zeros((32, 8))], tf.float32)
    return tf.ensure_shape(rows, (32, 8)), tf.zeros((32, 1))


dataset = tf.data.Dataset.range(STEPS).map(clean_up).prefetch(2)

clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(), cleaning_ms=computing.seconds / (STEPS * EPOCHS) * 1e3)
