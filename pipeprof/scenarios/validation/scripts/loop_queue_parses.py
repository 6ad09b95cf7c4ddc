# Three threads parse in Python and fill a queue: they share the GIL with a light model.
from own_clock import LoopClock, compute_in_python, write_truth
import queue
import threading

import keras
import numpy as np

STEPS, THREADS = 180, 3
clock, ready = LoopClock(), queue.Queue(maxsize=6)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(1)])
model.compile("sgd", "mse")


def parse_record():
    compute_in_python(0.015)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def fill():
    for _ in range(STEPS // THREADS):
        ready.put(parse_record())


feeders = [threading.Thread(target=fill, daemon=True) for _ in range(THREADS)]
for feeder in feeders:
    feeder.start()
clock.wait()
for step in range(STEPS):
    x, y = ready.get()
    clock.got()
    model.train_on_batch(x, y)
    clock.done()
truth = clock.truth()
write_truth(**{key: truth[key] for key in ("steps", "epochs", "step_ms", "wait_ms", "loop_s")})
