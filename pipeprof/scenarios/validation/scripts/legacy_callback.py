# Keras 2 (tf_keras): a callback posts to a dashboard after every batch.
from own_clock import Stopwatch, write_truth
import time

import numpy as np
import tf_keras

STEPS, EPOCHS = 80, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
posting = Stopwatch()


class Dashboard(tf_keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        with posting:
            time.sleep(0.020)


model = tf_keras.Sequential([tf_keras.Input((8,)), tf_keras.layers.Dense(1)])
model.compile("sgd", "mse")
begin = time.perf_counter()
model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[Dashboard()])
write_truth(
    steps=STEPS * EPOCHS,
    loop_s=time.perf_counter() - begin,
    callbacks_s=posting.seconds,
    callback_ms=posting.seconds / posting.count * 1e3,
)
