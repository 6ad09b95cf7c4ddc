# A post to a dashboard after every batch.
from own_clock import Stopwatch, write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 100, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")

posting = Stopwatch()


class Dashboard(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        with posting:
            self.post({"batch": batch, "loss": float(logs["loss"])})

    def post(self, row):
        time.sleep(0.020)


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback, Dashboard()])
write_truth(
    **clock.truth(in_step_s=posting.seconds),
    callbacks_s=posting.seconds,
    host_s=posting.seconds,
    callback_ms=posting.seconds / posting.count * 1e3,
)
