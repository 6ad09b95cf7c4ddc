# Every 50th batch waits for the next file to open.
from own_clock import write_truth
import time

import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS, EVERY = 150, 2, 50


def open_file():
    time.sleep(1.0)


def rows():
    count = 0
    while True:
        count += 1
        if count % EVERY == 0:
            open_file()
        yield np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(rows(), steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
