# A short validation after each long epoch.
from own_clock import write_truth
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 50, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


clock = FitClock()
model = heavy_model(clock, width=1536)
with clock:
    model.fit(
        x, y, epochs=EPOCHS, validation_data=(x[:64], y[:64]), verbose=0, callbacks=[clock.callback]
    )
write_truth(**clock.truth(), validation_s=clock.after_last_batches_s)
