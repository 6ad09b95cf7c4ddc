"""Keras on JAX: waits are those of the training thread, wherever the batches are made."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integration.test_batch_paths import arrows_in

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed"),
]

# The backend is chosen once for a process.
SCRIPT = """
import json, sys, time
import keras, numpy as np, pipeprof

X, Y = np.zeros((16, 4), np.float32), np.zeros((16, 1), np.float32)

class Slow(keras.utils.PyDataset):
    def __len__(self):
        return 20
    def __getitem__(self, index):
        time.sleep(0.03)
        return X, Y

def slow():
    while True:
        time.sleep(0.03)
        yield X, Y

model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
many = np.repeat(X, 20, axis=0), np.repeat(Y, 20, axis=0)
found = {}
for name, data in {"generator": slow(), "workers": Slow(workers=2), "arrays": many}.items():
    with pipeprof.profile(data, logdir=sys.argv[1], name=name) as prof:
        given = prof.dataset if name == "arrays" else (prof.dataset,)
        model.fit(*given, batch_size=16 if name == "arrays" else None, epochs=2, verbose=0,
                  steps_per_epoch=20 if name == "generator" else None)
    [loop] = prof.result.loops
    said = prof.findings.main.diagnosis
    found[name] = [prof.result.run.backend, loop.step_count, loop.sample_count,
        prof.result.run.warnings, prof.result.check(), loop.waits_by.value,
        bool(loop.steps.measured.all()), said.bound.value,
        said.bottleneck.stage if said.bottleneck else None]
json.dump(found, open(sys.argv[2], "w"))
"""


ITEMS_SCRIPT = """
import json, sys, time
import keras, numpy as np, pipeprof
from pipeprof.surfaces.chrome import to_chrome

seen = []

class Items(keras.utils.PyDataset):
    def __len__(self):
        return 12
    def __getitem__(self, item):
        with pipeprof.stage(f"item {item}"):
            time.sleep(0.002)
        return np.full((4, 3), item, np.float32), np.zeros((4, 1), np.float32)

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
    def call(self, x):
        if isinstance(x, np.ndarray):
            seen.append(int(x[0, 0]))
        return self.dense(x)

model = Model()
model.compile("sgd", "mse", run_eagerly=True)
with pipeprof.profile(Items(workers=2), logdir=sys.argv[1]) as prof:
    model.fit(prof.dataset, epochs=2, shuffle=True, verbose=0)
json.dump([to_chrome(prof.findings), seen], open(sys.argv[2], "w"))
"""


def test_arrows_lead_from_each_batch_to_its_step(tmp_path: Path) -> None:
    script, answer = tmp_path / "train.py", tmp_path / "found.json"
    script.write_text(ITEMS_SCRIPT)
    subprocess.run(
        [sys.executable, script, tmp_path, answer],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONWARNINGS": "ignore"},
        check=True,
        timeout=200,
    )
    trace, seen = json.loads(answer.read_text())
    found = arrows_in(json.loads(trace)["traceEvents"])
    trained_on = seen[-24:]  # what comes before was only to build the model
    assert trained_on != sorted(trained_on)
    assert found == list(zip(trained_on, range(24), strict=True))


@pytest.mark.quick
def test_every_kind_of_input_gets_its_verdict(tmp_path: Path) -> None:
    script, answer = tmp_path / "train.py", tmp_path / "found.json"
    script.write_text(SCRIPT)
    subprocess.run(
        [sys.executable, script, tmp_path, answer],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONWARNINGS": "ignore"},
        check=True,
        timeout=200,
    )
    found = json.loads(answer.read_text())
    seen = ["jax", 40, 640, [], [], "iterator", True]
    assert found["generator"] == [*seen, "input", "slow"]
    assert found["workers"] == [*seen, "input", "Slow.__getitem__"]
    assert found["arrays"][:7] == seen
    assert found["arrays"][8] is None  # no stage of it could be one
