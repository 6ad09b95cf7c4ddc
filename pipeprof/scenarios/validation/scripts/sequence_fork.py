# Two worker processes, started by fork, that wait for a slow store.
from own_clock import input_is_free, write_truth
import multiprocessing
import time

import keras
import numpy as np

STEPS, EPOCHS = 50, 2


class Scans(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        if not input_is_free():
            time.sleep(0.060)
        return np.zeros((16, 8), "float32"), np.zeros((16, 1), "float32")


def train():
    from fit_clock import FitClock, light_model  # not in the workers

    clock = FitClock()
    model = light_model(clock)
    with clock:
        model.fit(
            Scans(workers=2, use_multiprocessing=True),
            epochs=EPOCHS,
            verbose=0,
            callbacks=[clock.callback],
        )
    write_truth(**clock.truth(), item_ms=60.1)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    train()
