# The generator waits for a pool of processes of its own, which render the batches.
from own_clock import compute_in_python, write_truth
import multiprocessing

import numpy as np
from fit_clock import FitClock, light_model

STEPS, EPOCHS = 50, 2


def render(index):
    compute_in_python(0.050)
    return np.full((32, 8), index, "float32"), np.zeros((32, 1), "float32")


def rendered(pool):
    yield from pool.imap(render, range(STEPS * EPOCHS + 4))


pool = multiprocessing.get_context("fork").Pool(2)
clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(
        rendered(pool),
        steps_per_epoch=STEPS,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[clock.callback],
    )
write_truth(**clock.truth())
pool.close()  # and not terminated: TensorFlow may still wait for a batch
pool.join()
