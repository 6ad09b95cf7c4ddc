# Photographs in folders, through Keras's own dataset function, and a light model: both cores decode.
from own_clock import write_truth
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from fit_clock import FitClock

PHOTOS, SIDE, BATCH, EPOCHS = 160, 600, 8, 8  # so many, for readings of its CPU time

folder = tempfile.mkdtemp()
coarse = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
photo = tf.io.encode_jpeg(tf.cast(tf.image.resize(coarse, (SIDE, SIDE)), tf.uint8)).numpy()
for kind in ("daisy", "rose"):
    os.makedirs(os.path.join(folder, kind))
    for i in range(PHOTOS // 2):
        with open(os.path.join(folder, kind, f"{i}.jpg"), "wb") as file:
            file.write(photo)

dataset = keras.utils.image_dataset_from_directory(
    folder, batch_size=BATCH, image_size=(64, 64), shuffle=False, verbose=False
)
clock = FitClock()
model = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        clock.layer,
        keras.layers.AveragePooling2D(16),
        keras.layers.Flatten(),
        keras.layers.Dense(1),
    ]
)
model.compile("sgd", "mse")
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
