# A shuffle of loaded pictures fills at the start of every epoch; later ones come while the model computes.
from own_clock import Stopwatch, write_truth
import time

import numpy as np
import tensorflow as tf
from fit_clock import FitClock, heavy_model

PICTURES, BUFFER, BATCH, EPOCHS = 320, 250, 16, 5
loading = Stopwatch()


def crop(index):
    with loading:
        time.sleep(0.0015)
    return np.zeros(8, "float32"), np.zeros(1, "float32")


def load_crop(index):
    x, y = tf.numpy_function(crop, [index], [tf.float32, tf.float32])
    return tf.ensure_shape(x, (8,)), tf.ensure_shape(y, (1,))


dataset = tf.data.Dataset.range(PICTURES).map(load_crop).shuffle(BUFFER).batch(BATCH).prefetch(2)

clock = FitClock()
model = heavy_model(clock, width=1536)
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(
    **clock.truth(),
    input_starts_s=loading.seconds * BUFFER / PICTURES,
    loading_ms=loading.seconds / (PICTURES // BATCH * EPOCHS) * 1e3,
)
