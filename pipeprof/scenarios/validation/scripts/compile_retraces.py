# Sequences grow as the training goes on, and each new length traces the step anew.
from own_clock import LoopClock, Stopwatch, write_truth
import time

import keras
import numpy as np
import tensorflow as tf

LENGTHS, STEPS = 6, 25
clock, tracing = LoopClock(), Stopwatch()
hidden = [keras.layers.Dense(256, activation="relu") for _ in range(16)]
model = keras.Sequential([*hidden, keras.layers.Dense(1)])
model.build((None, None, 8))
optimizer = keras.optimizers.SGD(0.001)


def growing():
    for length in range(LENGTHS):
        for _ in range(STEPS):
            yield np.zeros((24, 8 + 4 * length, 8), "float32")


@tf.function
def train_step(x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


spec = tf.TensorSpec((24, None, 8), tf.float32)
dataset = tf.data.Dataset.from_generator(growing, output_signature=spec).prefetch(2)
slow, usual = [], []
clock.wait()
for step, x in enumerate(dataset):
    clock.got()
    begin = time.perf_counter()
    float(train_step(x))
    (slow if step % STEPS == 0 else usual).append(time.perf_counter() - begin)
    clock.done()
truth = clock.truth()
compile_s = sum(slow) - len(slow) * sum(usual) / len(usual)
write_truth(
    steps=truth["steps"], wait_ms=truth["wait_ms"], loop_s=truth["loop_s"], compile_s=compile_s
)
