# Transfer learning by hand: the generator sends every batch through a frozen network, fit trains the head.
from own_clock import Stopwatch, input_is_free, write_truth
import keras
import numpy as np
from fit_clock import FitClock, light_model

BATCH, SIDE, STEPS, EPOCHS = 16, 96, 40, 3
extracting = Stopwatch()


def frozen_network():
    network = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    network.trainable = False
    return network


def features(network, images):
    targets = np.zeros((BATCH, 1), "float32")
    ready = network.predict_on_batch(images)
    while True:
        if not input_is_free():
            with extracting:
                ready = network.predict_on_batch(images)
        yield ready, targets


clock = FitClock()
head = light_model(clock, features=64)
batches = features(frozen_network(), np.random.rand(BATCH, SIDE, SIDE, 3).astype("float32"))
with clock:
    head.fit(batches, steps_per_epoch=STEPS, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth(), extracting_ms=extracting.seconds / max(1, extracting.count) * 1e3)
