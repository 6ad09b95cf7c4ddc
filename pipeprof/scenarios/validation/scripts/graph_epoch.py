# A whole epoch, its loop over the dataset included, is one tf.function.
# (After tensorflow's issues 35165 and 26687.)
from own_clock import Stopwatch, write_truth
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
begun, ended = [], []
for epoch in range(EPOCHS):
    begun.append(time.time())
    train_epoch(dataset)
    ended.append(time.time())

# A pass over the dataset is a step: it is one call. Its first batch takes as long to make as the others;
# what TensorFlow takes to begin the pass is no waiting for it.
got, done = times.numpy().reshape(-1, STEPS, 2).transpose(2, 0, 1)[:, :EPOCHS]
waits = (got[:, 1:] - done[:, :-1]).sum(axis=1) + reading.seconds / reading.count
steps = np.array(ended) - begun
write_truth(
    steps=EPOCHS,
    loop_s=ended[-1] - begun[0],
    wait_s=float(waits.sum()),
    first_batches_s=0.0,
    wait_ms=1e3 * float(waits[1:].mean()),
    step_ms=1e3 * float(steps[1:].mean()),
    fetching_ms=reading.seconds / EPOCHS * 1e3,
)
