# As many batches are validated as trained, each epoch, by a heavy model.
from own_clock import write_truth
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 30, 4
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
more = np.random.rand(32 * 3 * STEPS, 8).astype("float32"), np.zeros((32 * 3 * STEPS, 1), "float32")

clock = FitClock()
model = heavy_model(clock)
with clock:
    model.fit(x, y, epochs=EPOCHS, validation_data=more, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(), validation_s=clock.after_last_batches_s)
