"""Whether the input or the tracing held up a training's first step."""

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.recording.account import COMPILATION_COLUMNS
from pipeprof.recording.profile import Profile

pytestmark = pytest.mark.integration

ELEMENTS, BUFFER, BATCH = 80, 40, 4
LONG_S = 0.5


class Traced(keras.layers.Dense):
    """Takes long to trace, and nothing when it runs."""

    trace_s = 0.0

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if training and not tf.executing_eagerly():
            time.sleep(self.trace_s)
        return super().call(inputs)


def trained(logdir: Path, *, fill_s: float, trace_s: float) -> Profile:
    def read(number: Any) -> Any:
        time.sleep(fill_s / BUFFER)
        return np.float32(number)

    data = tf.data.Dataset.range(ELEMENTS)
    data = data.map(lambda x: tf.ensure_shape(tf.numpy_function(read, [x], tf.float32), []))
    data = data.shuffle(BUFFER).batch(BATCH).map(lambda x: (x[:, None], x[:, None])).prefetch(2)
    layer = Traced(1)
    layer.trace_s = trace_s
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile("sgd", "mse")
    with pipeprof.profile(logdir=logdir) as prof:
        model.fit(data, epochs=2, shuffle=False, verbose=0)
    assert prof.result.check() == ()
    assert prof.result.run.warnings == ()
    return prof.result


def first_step(profile: Profile) -> dict[str, float]:
    """Seconds of the step that traced: until tracing ended, until its batch lay ready, and all of it."""
    (loop,) = profile.loops
    row = dict(zip(COMPILATION_COLUMNS, loop.account.compilations[0].tolist(), strict=True))
    assert (row["epoch"], row["first_of_epoch"]) == (0, 1)
    assert row["ready_ns"] != 0
    return {
        name: (row[f"{name}_ns"] - row["start_ns"]) / 1e9 for name in ("traced", "ready", "end")
    }


@pytest.mark.parametrize(
    ("fill_s", "trace_s", "least", "most"),
    [(4 * LONG_S, 0.0, 0.6, 1.0), (2 * LONG_S, 2 * LONG_S, 0.2, 0.6), (0.0, 2 * LONG_S, 0.0, 0.2)],
)
def test_filling_and_tracing_are_distinguished_in_a_first_step(
    fill_s: float, trace_s: float, least: float, most: float, tmp_path: Path
) -> None:
    found = first_step(trained(tmp_path, fill_s=fill_s, trace_s=trace_s))
    assert 0 < found["traced"] <= found["ready"] <= found["end"]
    # TensorFlow begins to fill only when the traced step asks for its batch.
    assert least <= 1 - found["traced"] / found["ready"] < most
