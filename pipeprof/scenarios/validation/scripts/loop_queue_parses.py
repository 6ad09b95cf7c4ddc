# Three threads parse in Python and fill a queue: they share the GIL with a light model.
from own_clock import LoopClock, write_truth
import queue
import threading
import time

import keras
import numpy as np

STEPS, THREADS = 180, 3
clock, ready = LoopClock(), queue.Queue(maxsize=6)
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(1)])
model.compile("sgd", "mse")


def parse_record():
    until, fields = time.thread_time() + 0.015, 0
    while time.thread_time() < until:
        fields += len(["17", "0.25", "spruce", "north", "4"])
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
