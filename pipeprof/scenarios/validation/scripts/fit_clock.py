"""What the steps of `fit` wait for and how long they compute, clocked in the training itself.

The clock is the model's first layer, which notes in the graph when a batch has arrived, and a callback,
which also measures how long TensorFlow takes to begin a call: that is no waiting for a batch.
"""

import time

import keras
import tensorflow as tf
from own_clock import mean, summary

ROOM = 20_000  # steps
EVERY, PROBED = (
    10,
    100,
)  # of so many steps one measures how long a call begins; of an epoch's first ones


class FitClock:
    """Of all calls of `fit` that its layer and its callback take part in."""

    def __init__(self):
        self.arrived = tf.Variable(tf.zeros([ROOM], tf.float64), trainable=False)
        self.arrivals = tf.Variable(0, trainable=False)
        self.begun, self.ended, self.first, self.epochs_begun = [], [], [], []
        self.after_last, self.fit_s = [], 0.0
        self.between, self.dispatches, self.probes_s = [], [], 0.0
        self.layer, self.callback = Arrival(self), Steps(self)

    def __enter__(self):
        """Around a call of `fit`."""
        self._entered = time.perf_counter()

    def __exit__(self, *raised):
        self.fit_s += time.perf_counter() - self._entered
        self.callback.fit_returned()

    @property
    def after_last_batches_s(self):
        """From each epoch's last batch to its end: validation, where there is one."""
        return sum(self.after_last)

    def truth(self, in_step_s=0.0, at_epoch_ends_s=0.0, from_epoch=0, passed=2):
        """What a report should have.

        ``in_step_s`` and ``at_epoch_ends_s`` are what other callbacks did within steps and at epochs' ends;
        steps of epochs before ``from_epoch`` are left out. A batch is ``passed`` from thread to thread so
        often: a Python function that nothing runs ahead of, such as that of a sequence, adds a third time.
        """
        arrived = self.arrived.numpy()[: len(self.begun)]
        epochs, waits, steps = -1, [], []
        for i, is_first in enumerate(self.first):
            epochs += is_first
            begin = self.epochs_begun[epochs] if is_first else self.begun[i]
            waits.append(float(arrived[i] - begin))
            last = i + 1 == len(self.first) or self.first[i + 1]
            steps.append((self.ended[i] if last else self.begun[i + 1]) - begin)
        dispatch = mean(self.dispatches)
        waits = [wait - dispatch for wait in waits]
        compute = [step - wait for step, wait in zip(steps, waits)]
        begins = [i for i, is_first in enumerate(self.first) if is_first][from_epoch]
        return summary(waits[begins:], steps[begins:], self.first[begins:]) | {
            "loop_s": self.fit_s,
            "epochs": len(self.epochs_begun),
            "compute_s": sum(compute) - in_step_s - self.probes_s,
            "after_last_s": self.after_last_batches_s,
            "between_epochs_most_s": sum(self.between) - at_epoch_ends_s,
            # The measured call passes from thread to thread once.
            "clock_ms": passed * 1e3 * mean(self.dispatches),
        }


class Arrival(keras.layers.Layer):
    """Passes batches on unchanged."""

    def __init__(self, clock):
        super().__init__(name="arrival")
        self._clock = clock

    def call(self, x, training=False):
        if training:
            with tf.control_dependencies(
                [x]
            ):  # also the count: a step without a batch does not count
                now = tf.reshape(tf.timestamp(), [1])
                at = tf.reshape(self._clock.arrivals.assign_add(1) - 1, [1, 1])
            self._clock.arrived.scatter_nd_update(at, now)
        return x


class Steps(keras.callbacks.Callback):
    """Belongs first in the list of callbacks."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock
        self._epoch_ended = None
        self._now = tf.function(tf.timestamp)
        self._now()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_over()
        self._clock.epochs_begun.append(time.time())
        self._is_first = True

    def on_train_batch_begin(self, batch, logs=None):
        asked = self._begin = time.time()
        if batch < PROBED and batch % EVERY == EVERY - 1:
            self._clock.dispatches.append(float(self._now()) - asked)
            self._begin = time.time()
            self._clock.probes_s += self._begin - asked

    def on_train_batch_end(self, batch, logs=None):
        # Where Keras does not know how many batches there are, it begins one more.
        self._clock.begun.append(self._begin)
        self._clock.ended.append(time.time())
        self._clock.first.append(self._is_first)
        self._is_first = False

    def on_epoch_end(self, epoch, logs=None):
        self._epoch_ended = time.time()
        self._clock.after_last.append(self._epoch_ended - self._clock.ended[-1])

    def fit_returned(self):
        """The call of `fit` around it is over."""
        self._epoch_over()

    def _epoch_over(self):
        if self._epoch_ended is not None:
            self._clock.between.append(time.time() - self._epoch_ended)
        self._epoch_ended = None


def light_model(clock, features=8, **compile_with):
    """A model whose step takes a few ms at the most."""
    model = keras.Sequential([keras.Input((features,)), clock.layer, keras.layers.Dense(1)])
    model.compile(**({"optimizer": "sgd", "loss": "mse"} | compile_with))
    return model


def heavy_model(clock, features=8, width=1024, depth=4, **compile_with):
    """A model whose step takes some 20 to 60 ms for a batch of 32 on two cores."""
    hidden = [keras.layers.Dense(width, activation="relu") for _ in range(depth)]
    model = keras.Sequential(
        [keras.Input((features,)), clock.layer, *hidden, keras.layers.Dense(1)]
    )
    model.compile(**({"optimizer": "sgd", "loss": "mse"} | compile_with))
    return model
