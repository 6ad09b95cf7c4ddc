# A checkpoint after each batch: Keras writes the weights of a large layer to a file.
from own_clock import Stopwatch, write_truth
import os
import tempfile

import keras
import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 100, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")

saving = Stopwatch()


class Begin(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        saving.__enter__()


class End(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        saving.__exit__()


checkpoint = keras.callbacks.ModelCheckpoint(
    os.path.join(tempfile.mkdtemp(), "last.weights.h5"), save_weights_only=True, save_freq=1
)

clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(
        x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback, Begin(), checkpoint, End()]
    )
write_truth(
    **clock.truth(in_step_s=saving.seconds),
    callbacks_s=saving.seconds,
    host_s=saving.seconds,
    callback_ms=saving.seconds / saving.count * 1e3,
)
