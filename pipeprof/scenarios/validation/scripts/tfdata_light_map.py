# A map that hardly computes, beside a model that fills the cores: nothing holds it up.
from own_clock import write_truth
import keras
import numpy as np
import tensorflow as tf
from fit_clock import FitClock

STEPS, EPOCHS = 60, 3
images = np.random.rand(32, 32, 32, 3).astype("float32")
labels = np.zeros((32, 1), "float32")


def brighten(x, y):
    return tf.minimum(x * 1.2, 1.0), y


dataset = tf.data.Dataset.from_tensors((images, labels)).repeat(STEPS)
dataset = dataset.map(brighten, num_parallel_calls=2).prefetch(2)
clock = FitClock()
convolutions = [keras.layers.Conv2D(32, 3, padding="same", activation="relu") for _ in range(3)]
model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        clock.layer,
        *convolutions,
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(1),
    ]
)
model.compile("sgd", "mse")
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
