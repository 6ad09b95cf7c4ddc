# Before the training: a server is waited for, and names are made in Python; nothing keeps the GIL for long.
from own_clock import Stopwatch, compute_in_python, write_truth
import time

import numpy as np
from fit_clock import FitClock, light_model

ROUNDS, STEPS, EPOCHS = 10, 100, 3
naming, connecting = Stopwatch(), Stopwatch()


def make_names():
    compute_in_python(0.3)


def connect():
    time.sleep(0.4)


for _ in range(ROUNDS):
    with naming:
        make_names()
    with connecting:
        connect()
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
truth = clock.truth()
write_truth(
    **{key: truth[key] for key in ("steps", "epochs", "loop_s")},
    naming_s=naming.seconds,
    connecting_s=connecting.seconds,
)
