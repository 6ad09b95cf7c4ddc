# Between the steps a function of the user's own takes one or two hundredths of the time.
from own_clock import LoopClock, Stopwatch, compute_in_python, write_truth
import keras
import numpy as np

STEPS = 120
noting, clock = Stopwatch(), LoopClock()
layers = [keras.layers.Dense(1536, activation="relu") for _ in range(4)]
model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = np.zeros((32, 8), "float32"), np.zeros((32, 1), "float32")


def note_progress(step):
    with noting:
        compute_in_python(0.0005)


clock.wait()
for step in range(STEPS):
    clock.got()
    model.train_on_batch(x, y)
    note_progress(step)
    clock.done()
write_truth(**clock.truth(), own_code_s=noting.seconds)
