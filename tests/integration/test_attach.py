"""``pipeprof attach`` to real trainings that know nothing of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeprof.cli.machine_checks import ask_py_spy

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(ask_py_spy() is not None, reason="py-spy may not look into processes here"),
]

SCRIPT = """
import sys
import time

import keras
import numpy as np

FEATURES = 512
BATCH = np.zeros((256, FEATURES), np.float32), np.zeros((256, 1), np.float32)
SLEEP_S, WIDTH = (0.03, 1) if sys.argv[2] == "slow" else (0.0, 2048)


def load():
    if SLEEP_S:
        time.sleep(SLEEP_S)  # the slow line
    return BATCH


def batches():
    while True:
        yield load()


class Items(keras.utils.PyDataset):
    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        return load()


class Counts(keras.callbacks.Callback):
    async_safe = True

    def on_train_batch_end(self, batch, logs=None):
        print(batch, flush=True)


if __name__ == "__main__":
    model = keras.Sequential([keras.layers.Dense(WIDTH), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    if sys.argv[1] == "generator":
        model.fit(batches(), steps_per_epoch=10**9, verbose=0, callbacks=[Counts()])
    else:
        items = Items(workers=2, use_multiprocessing=True)
        model.fit(items, verbose=0, callbacks=[Counts()])
"""

Training = Callable[[str, str], "subprocess.Popen[str]"]


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    started: list[subprocess.Popen[str]] = []

    def start(kind: str, speed: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, str(script), kind, speed],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        while int(process.stdout.readline()) < 10:
            pass
        return process

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.communicate()


def attach(pid: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipeprof", "attach", str(pid), "--duration", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def attach_until_known(pid: int) -> dict[str, Any]:
    """On a crowded machine the verdict may be that none can be given: then one looks again."""
    looks = (attach(pid) for _ in range(3))
    known = (said for said in looks if said["diagnosis"]["bound"] != "unknown")
    return next(known)


@pytest.mark.quick
def test_a_slow_generator_is_seen_from_outside(training: Training) -> None:
    process = training("generator", "slow")
    said = attach_until_known(process.pid)
    assert said["diagnosis"]["bound"] == "input"
    assert process.poll() is None
    assert "# the slow line" in said["hot_lines"][0]["text"]
    assert said["threads"][1]["role"] == "input"


def test_a_generator_that_keeps_up_is_seen_from_outside(training: Training) -> None:
    process = training("generator", "fast")
    assert attach_until_known(process.pid)["diagnosis"]["bound"] == "compute"
    assert process.poll() is None


def test_worker_processes_are_seen_and_training_goes_on(training: Training) -> None:
    process = training("sequence", "slow")
    said = attach(process.pid)
    (workers,) = [row for row in said["threads"] if row["role"] == "worker"]
    assert workers["count"] == 2
    assert workers["doing"]["making batches"] > 0.5
    assert "# the slow line" in said["hot_lines"][0]["text"]
    assert len(said["processes"]) == 3
    assert psutil.Process(process.pid).status() in (psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
