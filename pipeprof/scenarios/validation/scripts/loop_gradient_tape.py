# A loop of one's own with a GradientTape, over a dataset whose map waits for a store.
from own_clock import LoopClock, Stopwatch, input_is_free, write_truth
import time

import keras
import numpy as np
import tensorflow as tf

STEPS, EPOCHS = 60, 3
reading, clock = Stopwatch(), LoopClock()
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.01)


def read_shard(index):
    if not input_is_free():
        with reading:
            time.sleep(0.018)
    return np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def load(index):
    x, y = tf.numpy_function(read_shard, [index], [tf.float32, tf.float32])
    return tf.ensure_shape(x, (32, 8)), tf.ensure_shape(y, (32, 1))


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True) - y))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


dataset = tf.data.Dataset.range(STEPS).map(load).prefetch(2)
for epoch in range(EPOCHS):
    clock.wait()
    for x, y in dataset:
        clock.got()
        loss = float(train_step(x, y))
        clock.done()
write_truth(**clock.truth(), loading_ms=reading.seconds / (STEPS * EPOCHS) * 1e3)
