"""Batches of every kind that Keras takes reach it through its workers as they were made."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
import contextlib, multiprocessing, sys
import keras, numpy as np, tensorflow as tf
import pipeprof

class Batches(keras.utils.PyDataset):
    colour = "green"

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        self.ended = 0

    @property
    def num_batches(self):
        return 6

    def on_epoch_end(self):
        self.ended += 1

    def __getitem__(self, index):
        numbers = np.random.default_rng(index)
        a, b = numbers.random((8, 4), np.float32), numbers.random((8, 4), np.float32)
        y, weight = numbers.random((8, 1), np.float32), numbers.random(8, np.float32)
        if self.kind == "weighted":
            return a, y, weight
        if self.kind == "named":
            return {"a": a, "b": b}, {"sum": y}
        if self.kind == "nested":
            return (a, (b,)), y, weight
        if self.kind == "tensors":
            return tf.constant(a), tf.constant(y)
        if self.kind == "sparse":
            return tf.sparse.from_dense(np.where(a > 0.5, a, 0)), y
        return a, y

def make_model(kind):
    keras.utils.set_random_seed(0)
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    if kind in ("named", "nested"):
        inputs = {"a": a, "b": b} if kind == "named" else (a, (b,))
        total = keras.layers.Dense(1, name="sum")(keras.layers.add([a, b]))
        made = keras.Model(inputs, {"sum": total} if kind == "named" else total)
    else:
        made = keras.Sequential([keras.Input((4,), sparse=kind == "sparse"), keras.layers.Dense(1)])
    made.compile("sgd", "mse", weighted_metrics=[])
    return made

# Each epoch has workers of its own, and those that are spawned take seconds to begin.
EPOCHS = 1 if sys.argv[1] == "spawn" else 2

def train(kind, workers, processes, logdir):
    data = Batches(kind, workers=workers, use_multiprocessing=processes)
    made = make_model(kind)
    profile = pipeprof.profile(data, logdir=logdir) if logdir else contextlib.nullcontext()
    with profile as prof:
        fed = prof.dataset if logdir else data
        assert isinstance(fed, Batches) and fed.colour == "green" and fed.num_batches == 6
        made.fit(fed, epochs=EPOCHS, verbose=0, shuffle=False)
    if logdir:
        assert (prof.result.check(), prof.result.run.warnings) == ((), ()), prof.result.run.warnings
        assert prof.result.main_loop.step_count == 6 * EPOCHS
    return made.get_weights(), data.ended

if __name__ == "__main__":
    method, logdir, *kinds = sys.argv[1:]
    if method != "threads":
        multiprocessing.set_start_method(method)
    for kind in kinds:
        bare, ended = train(kind, 2, method != "threads", None)
        watched, same_ended = train(kind, 2, method != "threads", logdir)
        same = all(np.array_equal(one, other) for one, other in zip(bare, watched))
        print(kind, same, ended == same_ended)
"""


NUMPY = ("pair", "weighted", "named", "nested")
KINDS = {
    "threads": (*NUMPY, "tensors", "sparse"),
    "fork": NUMPY,  # TensorFlow's tensors do not survive it
    "spawn": ("nested",),
}


@pytest.mark.parametrize("method", KINDS)
def test_training_on_any_kind_of_batch_is_the_same_to_the_last_bit(
    method: str, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), method, str(tmp_path / "logs"), *KINDS[method]],
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{kind} True True" for kind in KINDS[method]]
