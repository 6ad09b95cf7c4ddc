# Arrays in memory and a large model.
from own_clock import write_truth
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 40, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")

clock = FitClock()
model = heavy_model(clock, width=1536)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
