# train_on_batch, fed from a generator on the main thread.
from own_clock import LoopClock, Stopwatch, input_is_free, write_truth
import time

import keras
import numpy as np

STEPS = 200
reading, clock = Stopwatch(), LoopClock()
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(1)])
model.compile("sgd", "mse")


def read_scans():
    for _ in range(STEPS):
        if not input_is_free():
            with reading:
                time.sleep(0.015)
        yield np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


clock.wait()
for x, y in read_scans():
    clock.got()
    model.train_on_batch(x, y)
    clock.done()
write_truth(**clock.truth(), reading_ms=reading.seconds / STEPS * 1e3)
