# Callbacks that note a number and are done.
from own_clock import write_truth
import keras
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 40, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


class Notes(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


class Count(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.batch = batch


clock = FitClock()
model = heavy_model(clock, width=1536)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback, Notes(), Count()])
write_truth(**clock.truth(), host_s=0.0)
