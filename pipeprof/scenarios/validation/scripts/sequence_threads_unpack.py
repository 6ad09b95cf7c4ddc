# Worker threads that each have a pool of threads unpack compressed pictures, without the GIL.
from own_clock import Stopwatch, write_truth
import zlib
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 30, 3
pixels = np.random.default_rng(1).integers(0, 9, 3_000_000).astype("uint8").tobytes()
packed, pool, unpacking = zlib.compress(pixels), ThreadPoolExecutor(2), Stopwatch()


class Pictures(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        with unpacking:
            rows = [
                np.frombuffer(part, "uint8") for part in pool.map(zlib.decompress, [packed] * 4)
            ]
        return rows[0][: 32 * 8].reshape(32, 8).astype("float32"), np.zeros((32, 1), "float32")


clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(Pictures(workers=2), epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(), unpacking_ms=unpacking.seconds / unpacking.count * 1e3)
