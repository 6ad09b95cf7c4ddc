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
from pipeprof.surfaces.timelines.chrome import to_chrome

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


# A step returns as soon as its work is queued: what the device still has to do hides in the waits for the
# generator, and at the ends of epochs. The second run has a simulated GPU, which its driver calls busy.
AHEAD_SCRIPT = """
import json, sys, time, types
import keras, numpy as np, pipeprof
from pipeprof.analysis.findings.caveat_kinds import SharedCores

X, Y = np.ones((128, 512), np.float32), np.zeros((128, 1), np.float32)

def batches():
    while True:
        time.sleep(0.005)
        yield X, Y

class Nvml(types.ModuleType):
    class NVMLError(Exception):
        pass
    class NVMLError_NotSupported(NVMLError):
        pass
    NVMLError_NoPermission = NVMLError_GpuIsLost = NVMLError_ResetRequired = NVMLError_NotSupported
    NVMLError_NotFound = NVMLError_NotSupported
    answers = {"Init": None, "Shutdown": None, "DeviceGetCount": 1, "DeviceGetHandleByIndex": 0,
        "DeviceGetUUID": "GPU-1", "DeviceGetName": "Simulated",
        "DeviceGetUtilizationRates": types.SimpleNamespace(gpu=97)}
    def __getattr__(self, name):
        def answer(*args):
            if name[4:] not in self.answers:
                raise self.NVMLError_NotSupported
            return self.answers[name[4:]]
        return answer

hidden = [keras.layers.Dense(1536, activation="relu") for _ in range(4)]
model = keras.Sequential([keras.layers.Input((512,)), *hidden, keras.layers.Dense(1)])
model.compile("sgd", "mse")
found = {}
for name in ("unmeasured", "gpu"):
    if name == "gpu":
        sys.modules["pynvml"] = Nvml("pynvml")
    with pipeprof.profile(batches(), logdir=sys.argv[1], name=name) as prof:
        model.fit(prof.dataset, steps_per_epoch=40, epochs=2, verbose=0)
    said = prof.findings.main.diagnosis
    found[name] = {
        "warnings": prof.result.run.warnings,
        "step_ms": said.step_ms.mean,
        "whole_step_ms": prof.findings.main.account.training_ns / 1e6 / 80,
        "between": said.wall.host_ratio,
        "ideal_step_ms": said.ideal_step_ms,
        "known": said.free_input.known.value,
        "bound": said.bound.value,
        "accelerator": not any(isinstance(each, SharedCores) for each in said.evidence),
    }
found["ceiling_ms"] = pipeprof.ceiling(model, batches(), steps=20, batches=2).median_ns / 1e6
json.dump(found, open(sys.argv[2], "w"))
"""


def test_what_a_device_does_after_its_steps_have_returned_is_computing(tmp_path: Path) -> None:
    script, answer = tmp_path / "train.py", tmp_path / "found.json"
    script.write_text(AHEAD_SCRIPT)
    subprocess.run(
        [sys.executable, script, tmp_path, answer],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONWARNINGS": "ignore"},
        check=True,
        timeout=200,
    )
    found = json.loads(answer.read_text())
    alone, gpu = found["unmeasured"], found["gpu"]
    assert alone["warnings"] == gpu["warnings"] == []
    # The steps that were seen are far shorter than what the device has to do for each.
    assert alone["step_ms"] < alone["whole_step_ms"] / 2
    assert alone["between"] < 0.1
    assert alone["known"] == "upper_bound"
    assert gpu["known"] == "estimated"
    assert gpu["ideal_step_ms"] >= 0.95 * gpu["whole_step_ms"]
    assert gpu["bound"] == "compute"
    assert gpu["accelerator"]
    # The ceiling waits for the device in each step.
    assert found["ceiling_ms"] > alone["step_ms"]


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
