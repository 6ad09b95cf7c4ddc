# XLA compiles the step at first; then it computes.
from own_clock import mean, write_truth
import keras
import numpy as np
from fit_clock import FitClock

STEPS, EPOCHS = 60, 3
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
clock = FitClock()
hidden = [keras.layers.Dense(1024, activation="relu") for _ in range(4)]
model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])
model.compile("sgd", "mse", jit_compile=True)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
first_s = clock.ended[0] - clock.epochs_begun[0]  # of which one step computes
step_s = (clock.ended[STEPS - 1] - clock.ended[0]) / (STEPS - 1)
# Of all epochs: in a later one Python's garbage collector walks over all that TensorFlow keeps.
later = [i for i in range(5, STEPS * EPOCHS) if i % STEPS]
write_truth(
    steps=STEPS * EPOCHS,
    step_ms=mean([clock.ended[i] - clock.ended[i - 1] for i in later]) * 1e3,
    wait_ms=0.0,  # the arrays lie in memory
    loop_s=clock.fit_s,
    compile_and_start_s=first_s - step_s,
)
