# A loop over from_generator with prefetch: the generator works beside the loop and keeps up.
# (After tensorflow's issues on from_generator; its report once laid the generator's time on the loop.)
from own_clock import LoopClock, write_truth
import time

import numpy as np
import tensorflow as tf

ROWS, BATCH, EPOCHS = 240, 4, 2
clock = LoopClock()


def read_rows():
    for _ in range(ROWS):
        time.sleep(0.002)
        yield np.zeros(8, "float32")


spec = tf.TensorSpec((8,), tf.float32)
dataset = tf.data.Dataset.from_generator(read_rows, output_signature=spec).batch(BATCH).prefetch(2)
for epoch in range(EPOCHS):
    clock.wait()
    for x in dataset:
        clock.got()
        time.sleep(0.040)
        clock.done()
write_truth(**clock.truth())
