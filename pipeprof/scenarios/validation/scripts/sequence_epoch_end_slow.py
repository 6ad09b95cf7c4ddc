# The rare class is drawn anew after every epoch, which is slow.
from own_clock import Stopwatch, write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, heavy_model

BATCH, STEPS, EPOCHS = 32, 25, 6
drawing = Stopwatch()


class Oversampled(keras.utils.PyDataset):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.draw()

    def draw(self):
        self.x = np.random.rand(STEPS * BATCH, 8).astype("float32")
        self.y = np.zeros((STEPS * BATCH, 1), "float32")

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        part = slice(index * BATCH, (index + 1) * BATCH)
        return self.x[part], self.y[part]

    def on_epoch_end(self):
        with drawing:
            time.sleep(0.900)
            self.draw()


clock = FitClock()
model = heavy_model(clock, width=1024)
with clock:
    model.fit(Oversampled(workers=2), epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(), between_epochs_s=drawing.seconds, host_s=drawing.seconds)
