# A look at one batch and a layer that adapts, then fit on a dataset of text.
from own_clock import write_truth
import keras
import numpy as np
import tensorflow as tf
from fit_clock import FitClock

BATCHES, EPOCHS = 100, 3
words = np.random.choice(["red", "green", "blue", "black"], (32 * BATCHES, 6))
lines, targets = [" ".join(row) for row in words], np.zeros((32 * BATCHES, 1), "float32")
text = tf.data.Dataset.from_tensor_slices((lines, targets)).batch(32)
for line, target in text.take(1):
    print(line[0].numpy())
vectorize = keras.layers.TextVectorization(max_tokens=50, output_sequence_length=8)
vectorize.adapt(text.map(lambda line, target: line))

dataset = text.map(lambda line, target: (vectorize(line), target)).cache().prefetch(2)
hidden = [keras.layers.Dense(1024, activation="relu") for _ in range(4)]
clock = FitClock()
model = keras.Sequential(
    [
        keras.Input((8,), dtype="int64"),
        keras.layers.Embedding(50, 8),
        keras.layers.GlobalAveragePooling1D(),
        clock.layer,
        *hidden,
        keras.layers.Dense(1),
    ]
)
model.compile("sgd", "mse")
with clock:
    model.fit(dataset, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
write_truth(**clock.truth())
