# Keras's own windows of a time series: four maps that compute on the cores on which the model trains.
from own_clock import input_is_free, write_truth
import keras
import numpy as np
from fit_clock import FitClock

ROWS, EPOCHS = 13000, 3
rows = np.random.rand(ROWS, 7).astype("float32")
target = np.random.rand(ROWS, 1).astype("float32")
windows = keras.utils.timeseries_dataset_from_array(
    rows, target, 120, sampling_rate=6, batch_size=256
)
if input_is_free():
    windows = windows.cache()
clock = FitClock()
model = keras.Sequential(
    [keras.Input((20, 7)), clock.layer, keras.layers.LSTM(16), keras.layers.Dense(1)]
)
model.compile("adam", "mse")
if input_is_free():
    for _ in windows:
        pass
with clock:
    model.fit(windows, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
truth = clock.truth()  # what stands in the queue for a core looks like waiting to this clock
write_truth(**{key: truth[key] for key in ("steps", "epochs", "step_ms", "loop_s")})
