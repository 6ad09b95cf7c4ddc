# A generator whose thread pool waits for a store.
from own_clock import write_truth
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 60, 2


def fetch(index):
    time.sleep(0.060)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def fetched():
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(fetch, n) for n in range(4)]
        while True:
            waiting.append(pool.submit(fetch, len(waiting)))
            yield waiting.pop(0).result()


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(
        fetched(), steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0, callbacks=[clock.callback]
    )
write_truth(**clock.truth())
