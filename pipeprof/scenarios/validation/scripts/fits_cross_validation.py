# Cross validation: four folds, a new model each, trained at one line.
from own_clock import write_truth
import keras
import numpy as np

FOLDS, STEPS, EPOCHS = 4, 40, 2
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")


def new_model():
    hidden = [keras.layers.Dense(1024, activation="relu") for _ in range(4)]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


for fold in range(FOLDS):
    new_model().fit(x, y, epochs=EPOCHS, verbose=0)
write_truth(steps=STEPS * EPOCHS, wait_ms=0.0)  # the arrays lie in memory
