# A call of fit for every epoch, with a new generator each, so as to save in between.
# (After public captioning projects.)
from own_clock import Stopwatch, input_is_free, write_truth
import time

import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 14, 8
reading = Stopwatch()


def read_features():
    if not input_is_free():
        with reading:
            time.sleep(0.030)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def caption_batches():
    while True:
        yield read_features()


clock = FitClock()
model = light_model(clock)
for epoch in range(EPOCHS):
    batches = caption_batches()
    with clock:
        model.fit(batches, steps_per_epoch=STEPS, verbose=0, callbacks=[clock.callback])
truth = clock.truth() | {"epochs": EPOCHS}
write_truth(**truth, reading_ms=reading.seconds / max(1, reading.count) * 1e3)
