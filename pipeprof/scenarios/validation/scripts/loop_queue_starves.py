# A thread fills a queue, more slowly than the model takes from it.
from own_clock import LoopClock, write_truth
import queue
import threading
import time

import keras
import numpy as np

STEPS = 200
clock, ready = LoopClock(), queue.Queue(maxsize=4)
layers = [keras.layers.Dense(16, activation="relu") for _ in range(4)]
model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
model.compile("sgd", "mse")


def load_clip():
    time.sleep(0.022)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def fill():
    for _ in range(STEPS):
        ready.put(load_clip())


feeder = threading.Thread(target=fill, name="feeder", daemon=True)
feeder.start()
clock.wait()
for step in range(STEPS):
    x, y = ready.get()
    clock.got()
    model.train_on_batch(x, y)
    clock.done()
feeder.join()
write_truth(**clock.truth())
