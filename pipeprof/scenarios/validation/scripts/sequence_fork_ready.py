# Two worker processes whose items are ready, and a heavy model.
from own_clock import write_truth
import multiprocessing

import keras
import numpy as np

STEPS, EPOCHS = 120, 2


class Ready(keras.utils.PyDataset):
    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def train():
    from fit_clock import FitClock, heavy_model  # not in the workers

    clock = FitClock()
    model = heavy_model(clock, width=2048)
    with clock:
        model.fit(
            Ready(workers=2, use_multiprocessing=True),
            epochs=EPOCHS,
            verbose=0,
            callbacks=[clock.callback],
        )
    write_truth(**clock.truth(passed=3))


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    train()
