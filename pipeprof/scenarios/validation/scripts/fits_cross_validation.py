# Cross validation: four folds, a new model each, trained at one line.
from own_clock import write_truth
import time

import keras
import numpy as np

FOLDS, STEPS, EPOCHS = 4, 40, 2
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


def new_model():
    hidden = [keras.layers.Dense(1024, activation="relu") for _ in range(4)]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


ends = []
note = keras.callbacks.LambdaCallback(
    on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
)
for fold in range(FOLDS):
    new_model().fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[note])
step_ms = (ends[STEPS - 1] - ends[5]) / (STEPS - 6) * 1e3
# The arrays lie in memory; what TensorFlow takes to hand a batch over is some hundredths of a step.
write_truth(steps=STEPS * EPOCHS, wait_ms=0.0, clock_ms=0.03 * step_ms)
