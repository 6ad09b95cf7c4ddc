# A loop of one's own with a GradientTape and a heavy model, over tensors that lie in memory.
from own_clock import LoopClock, write_truth
import keras
import numpy as np
import tensorflow as tf

STEPS, EPOCHS = 50, 3
clock = LoopClock()
hidden = [keras.layers.Dense(1536, activation="relu") for _ in range(4)]
model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.001)
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


@tf.function
def train_step(rows, targets):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(rows, training=True) - targets))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(32).prefetch(2)
for epoch in range(EPOCHS):
    clock.wait()
    for rows, targets in dataset:
        clock.got()
        loss = float(train_step(rows, targets))
        clock.done()
write_truth(**clock.truth())
