# Keras on JAX: a generator whose batches are ready, and a heavy model.
from own_clock import write_truth
import time

import keras
import numpy as np

STEPS, EPOCHS = 40, 3
ends = []


def batches():
    x, y = np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")
    while True:
        yield x, y


class Ends(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        ends.append(time.perf_counter())


model = keras.Sequential(
    [
        keras.Input((8,)),
        *[keras.layers.Dense(1536, activation="relu") for _ in range(4)],
        keras.layers.Dense(1),
    ]
)
model.compile("sgd", "mse")
begin = time.perf_counter()
model.fit(batches(), steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0, callbacks=[Ends()])
loop_s = time.perf_counter() - begin
epochs = [ends[first : first + STEPS] for first in range(0, STEPS * EPOCHS, STEPS)]
epochs[0] = epochs[0][5:]
step_ms = float(np.mean(np.concatenate([np.diff(epoch) for epoch in epochs]))) * 1e3
write_truth(steps=STEPS * EPOCHS, loop_s=loop_s, step_ms=step_ms, wait_ms=0.0)
