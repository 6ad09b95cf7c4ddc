# A generator whose thread pool unpacks compressed rows, without the GIL.
from own_clock import write_truth
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 50, 2
packed = zlib.compress(np.random.default_rng(1).integers(0, 9, 6_000_000).astype("uint8").tobytes())


def unpack(index):
    rows = np.frombuffer(zlib.decompress(packed), "uint8")
    return rows[: 32 * 8].reshape(32, 8).astype("float32"), np.zeros((32, 1), "float32")


def unpacked():
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(unpack, n) for n in range(4)]
        while True:
            waiting.append(pool.submit(unpack, len(waiting)))
            yield waiting.pop(0).result()


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(
        unpacked(), steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0, callbacks=[clock.callback]
    )
write_truth(**clock.truth())
