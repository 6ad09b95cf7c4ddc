# Worker threads that sleep and multiply without the GIL, beside a heavy model: nothing holds it up.
from own_clock import write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 100, 2  # long epochs: at the end of each, Keras takes 0.1 s to end the workers
matrix = np.random.rand(64, 64).astype("float32")


class Spectra(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        time.sleep(0.015)
        return (matrix @ matrix)[:32, :8], np.zeros((32, 1), "float32")


clock = FitClock()
model = heavy_model(clock, width=2048)
with clock:
    model.fit(Spectra(workers=3), epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
