# A whole epoch, its loop over the dataset included, is one tf.function.
# (After tensorflow's issues 35165 and 26687.)
from own_clock import Stopwatch, summary, write_truth
import time

import keras
import numpy as np
import tensorflow as tf

STEPS, EPOCHS = 40, 5
reading = Stopwatch()
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.01)
optimizer.build(model.trainable_variables)
times, count = tf.Variable(tf.zeros([2 * STEPS * EPOCHS], tf.float64)), tf.Variable(0)


def read_patches(index):
    with reading:
        time.sleep(0.030)
    return np.zeros((32, 8), "float32")


def fetch(index):
    return tf.ensure_shape(tf.numpy_function(read_patches, [index], tf.float32), (32, 8))


def note_time(after):
    with tf.control_dependencies([after]):
        now = tf.reshape(tf.timestamp(), [1])
    times.scatter_nd_update(tf.reshape(count, [1, 1]), now)
    count.assign_add(1)


@tf.function
def train_epoch(batches):
    for x in batches:
        note_time(x)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        note_time(loss)


dataset = tf.data.Dataset.range(STEPS).map(fetch).prefetch(2)
began = time.perf_counter()
for epoch in range(EPOCHS):
    train_epoch(dataset)
loop_s = time.perf_counter() - began

got, done = times.numpy()[::2], times.numpy()[1::2]
first = [i % STEPS == 0 for i in range(len(got))]
waits = [0.0 if first[i] else float(got[i] - done[i - 1]) for i in range(len(got))]
steps = [wait + float(done[i] - got[i]) for i, wait in enumerate(waits)]
truth = summary(waits, steps, first)
write_truth(
    loop_s=loop_s,
    wait_s=truth["wait_s"],
    first_batches_s=loop_s - sum(steps),
    wait_ms=truth["wait_ms"],
    fetching_ms=reading.seconds / (STEPS * EPOCHS) * 1e3,
)
