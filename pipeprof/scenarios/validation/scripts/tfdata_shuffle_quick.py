# A shuffle of numbers, which fills at once, in front of a heavy model.
from own_clock import write_truth
import tensorflow as tf
from fit_clock import FitClock, heavy_model

STEPS, BATCH, EPOCHS = 40, 32, 4


def as_row(index):
    return tf.fill([8], tf.cast(index, tf.float32)), tf.zeros([1])


rows = tf.data.Dataset.range(STEPS * BATCH).shuffle(STEPS * BATCH).map(as_row)
dataset = rows.batch(BATCH).prefetch(tf.data.AUTOTUNE)

clock = FitClock()
model = heavy_model(clock, width=1536)
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
