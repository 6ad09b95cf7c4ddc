# Training has its arrays in memory; validation reads its batches from a slow store.
from own_clock import write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS, CHECKS = 60, 4, 30
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


class Held(keras.utils.PyDataset):
    def __len__(self):
        return CHECKS

    def __getitem__(self, index):
        time.sleep(0.030)
        return x[:32], y[:32]


clock = FitClock()
model = heavy_model(clock)
with clock:
    model.fit(
        x, y, epochs=EPOCHS, validation_data=Held(workers=1), verbose=0, callbacks=[clock.callback]
    )
write_truth(**clock.truth(), validation_s=clock.after_last_batches_s)
