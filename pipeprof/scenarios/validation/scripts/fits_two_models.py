# Two models in turns, as a GAN trains: a critic on slowly read batches, then its opponent.
from own_clock import LoopClock, Stopwatch, write_truth
import time

import keras
import numpy as np

STEPS = 120
reading, clock = Stopwatch(), LoopClock()


def dense(inputs, outputs):
    layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(outputs)]
    model = keras.Sequential([keras.Input((inputs,)), *layers])
    model.compile("sgd", "mse")
    return model


def read_patches():
    for _ in range(STEPS):
        with reading:
            time.sleep(0.025)
        yield np.zeros((32, 8), "float32")


critic, forger = dense(8, 1), dense(4, 8)
clock.wait()
for real in read_patches():
    clock.got()
    critic.train_on_batch(real, np.ones((32, 1), "float32"))
    forger.train_on_batch(np.zeros((32, 4), "float32"), real)
    clock.done()
write_truth(reading_ms=reading.seconds / STEPS * 1e3)
