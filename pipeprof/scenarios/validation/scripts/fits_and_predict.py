# The classic loop: one epoch of fit, a look at some predictions, again.
from own_clock import write_truth
import numpy as np
from fit_clock import FitClock, heavy_model

STEPS, EPOCHS = 20, 8
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
clock = FitClock()
model = heavy_model(clock)
for epoch in range(EPOCHS):
    with clock:
        model.fit(x, y, epochs=1, verbose=0, callbacks=[clock.callback])
    for i in range(3):
        model.predict(x[i : i + 1], verbose=0)
truth = clock.truth()
write_truth(**{key: truth[key] for key in ("steps", "epochs", "wait_ms", "step_ms", "clock_ms")})
