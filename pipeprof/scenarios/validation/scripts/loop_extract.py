# A loop with train_on_batch over from_generator, whose generator sends each batch through a frozen network.
from own_clock import LoopClock, Stopwatch, write_truth

import keras
import numpy as np
import tensorflow as tf
from frozen_network import extract, images

STEPS = 120
extracting, clock = Stopwatch(), LoopClock()
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(16), keras.layers.Dense(1)])
model.compile("sgd", "mse")


def features():
    for _ in range(STEPS):
        with extracting:
            rows = extract(images).numpy()
        yield rows, np.zeros((len(rows), 1), "float32")


extract(images)
specs = (tf.TensorSpec((None, 64), tf.float32), tf.TensorSpec((None, 1), tf.float32))
dataset = tf.data.Dataset.from_generator(features, output_signature=specs).prefetch(1)
clock.wait()
for x, y in dataset:
    clock.got()
    model.train_on_batch(x, y)
    clock.done()
write_truth(**clock.truth(), extracting_ms=extracting.seconds / STEPS * 1e3)
