# Items that are ready in memory, two worker threads, a heavy model.
from own_clock import write_truth
import keras
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 100, 2  # long epochs: at the end of each, Keras takes 0.1 s to end the workers
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


class InMemory(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        part = slice(32 * index, 32 * (index + 1))
        return x[part], y[part]


clock = FitClock()
model = heavy_model(clock, width=2048)
with clock:
    model.fit(InMemory(workers=2), epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(passed=3))
