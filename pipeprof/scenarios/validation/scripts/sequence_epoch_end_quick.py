# The rare class is drawn anew after every epoch, which is quick.
from own_clock import write_truth
import time

import keras
import numpy as np
from fit_clock import FitClock, heavy_model

BATCH, STEPS, EPOCHS = 32, 80, 3  # long epochs: Keras takes 0.1 s to end the workers
draws = []  # when each began, and how long it took


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
        began = time.time()
        time.sleep(0.004)
        self.draw()
        draws.append((began, time.time() - began))


clock = FitClock()
model = heavy_model(clock, width=2048)
with clock:
    model.fit(Oversampled(workers=2), epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
# Keras calls it once before the first epoch, which is start-up.
drawn_s = sum(took for began, took in draws if began > clock.epochs_begun[0])
write_truth(**clock.truth(passed=3), between_epochs_s=drawn_s, host_s=drawn_s)
