# A long evaluation of the user's own at the end of each epoch.
from own_clock import Stopwatch, write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 60, 5
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")

evaluating = Stopwatch()


class Retrieval(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        with evaluating:
            self.search()

    def search(self):
        time.sleep(0.900)


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback, Retrieval()])
write_truth(
    **clock.truth(at_epoch_ends_s=evaluating.seconds),
    callbacks_s=evaluating.seconds,
    host_s=evaluating.seconds,
)
