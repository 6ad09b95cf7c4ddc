# A function in a LambdaCallback writes a line after each batch to a slow disk.
from own_clock import Stopwatch, write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 100, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")

writing = Stopwatch()


def write_line(batch, logs):
    with writing:
        time.sleep(0.012)


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(
        x,
        y,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[clock.callback, keras.callbacks.LambdaCallback(on_train_batch_end=write_line)],
    )
write_truth(
    **clock.truth(in_step_s=writing.seconds),
    callbacks_s=writing.seconds,
    host_s=writing.seconds,
    callback_ms=writing.seconds / writing.count * 1e3,
)
