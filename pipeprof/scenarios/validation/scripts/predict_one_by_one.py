# After the training each picture is predicted by a call of its own.
from own_clock import write_truth
import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS, PICTURES = 100, 3, 150
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
found = [float(model.predict(x[i : i + 1], verbose=0)[0, 0]) for i in range(PICTURES)]
truth = clock.truth()
write_truth(**{key: truth[key] for key in ("steps", "epochs", "loop_s")})
