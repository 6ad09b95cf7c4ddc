# In the middle of an epoch a callback holds the training for 12 s, once.
from own_clock import Stopwatch, write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 60, 2
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")

pausing = Stopwatch()


class Snapshot(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 30 and not pausing.count:
            with pausing:
                time.sleep(12.0)


clock = FitClock()
model = heavy_model(clock, width=1024)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback, Snapshot()])
write_truth(
    **clock.truth(in_step_s=pausing.seconds), callbacks_s=pausing.seconds, host_s=pausing.seconds
)
