# Keras 2 (tf_keras): a Sequence that reads, with the workers of `fit`.
from own_clock import Stopwatch, write_truth
import time

import numpy as np
import tf_keras

STEPS, EPOCHS = 50, 3
reading = Stopwatch()
ends = []


class Scans(tf_keras.utils.Sequence):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        with reading:
            time.sleep(0.040)
        return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


model = tf_keras.Sequential([tf_keras.Input((8,)), tf_keras.layers.Dense(1)])
model.compile("sgd", "mse")
note = tf_keras.callbacks.LambdaCallback(
    on_batch_end=lambda batch, logs: ends.append(time.perf_counter())
)
model.fit(Scans(), epochs=EPOCHS, workers=2, verbose=0, callbacks=[note])
epochs = [ends[first : first + STEPS] for first in range(0, STEPS * EPOCHS, STEPS)]
epochs[0] = epochs[0][5:]
write_truth(
    steps=STEPS * EPOCHS,
    step_ms=1e3 * float(np.mean(np.concatenate([np.diff(epoch) for epoch in epochs]))),
    reading_ms=reading.seconds / reading.count * 1e3,
)
