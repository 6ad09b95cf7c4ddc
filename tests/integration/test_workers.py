"""Keras's workers for real: what they do, what is waited for, and what is said of it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import pytest

import pipeprof
from pipeprof.analysis.findings.input_findings import StartCause
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.measures.epoch_starts import usual_start
from pipeprof.capture.session import Session
from pipeprof.recording.lane import Role
from pipeprof.recording.stage import Stage, StageKind
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import find_run

BATCHES = 24


class Batches(keras.utils.PyDataset):
    """Batches that take as long to make as their indices say."""

    def __init__(self, slow_s: float, slow_every: int = 1, fast_s: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self._slow_s, self._slow_every, self._fast_s = slow_s, slow_every, fast_s

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> Any:
        time.sleep(self._fast_s if index % self._slow_every else self._slow_s)
        return np.zeros((8, 4), np.float32), np.zeros((8, 1), np.float32)


def train(data: Any, logdir: Path, *, epochs: int = 2, **arguments: Any) -> Session:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pipeprof.profile(data, logdir=logdir) as prof:
        model.fit(prof.dataset, epochs=epochs, verbose=0, **arguments)
    assert prof.result.check() == ()
    return prof


def only(prof: Session, kind: StageKind) -> Stage:
    (stage,) = [stage for stage in prof.result.stages if stage.kind is kind]
    return stage


def test_one_slow_batch_that_holds_up_those_behind_it(tmp_path: Path) -> None:
    data = Batches(0.2, slow_every=6, fast_s=0.002, workers=4, max_queue_size=2)
    prof = train(data, tmp_path)
    assert prof.findings.main is not None
    said = prof.findings.main.diagnosis

    assert (said.bound, said.cause) == (Bound.INPUT, Cause.HEAD_OF_LINE)
    assert prof.findings.main.input.head_of_line_ratio is not None
    assert prof.findings.main.input.head_of_line_ratio > 0.5


@pytest.mark.quick
def test_workers_that_are_all_busy_are_another_matter(tmp_path: Path) -> None:
    prof = train(Batches(0.05, workers=2), tmp_path)
    assert prof.findings.main is not None
    said, fed = prof.findings.main.diagnosis, prof.findings.main.input

    assert (said.bound, said.cause) == (Bound.INPUT, Cause.BLOCKING)
    assert fed.head_of_line_ratio is not None
    assert fed.head_of_line_ratio < 0.5
    assert fed.queue_empty_ratio is not None
    assert fed.queue_empty_ratio > 0.25  # both are done at about the same time


def burn(cpu_s: float) -> None:
    """Pure Python, which holds the GIL."""
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        sum(range(2000))


class Burning(Batches):
    """Batches that take as much CPU time as they are to take."""

    def __getitem__(self, index: int) -> Any:
        burn(self._slow_s)
        return np.zeros((8, 4), np.float32), np.zeros((8, 1), np.float32)


def test_threads_that_compute_in_python_are_not_taken_to_wait(tmp_path: Path) -> None:
    prof = train(Burning(0.03, workers=2), tmp_path)
    assert prof.findings.main is not None
    (load,) = [each for each in prof.findings.stages if each.stage.kind is StageKind.SEQUENCE]

    # Two threads share the GIL, and the tests share the machine; asleep they would use next to nothing.
    assert load.cpu_ratio is not None
    assert load.cpu_ratio > 0.1
    assert prof.findings.main.diagnosis.cause is not Cause.BLOCKING


def test_processes_that_compute_on_all_cores_get_no_more_of_them(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    data = Burning(0.05, workers=cores, use_multiprocessing=True)
    prof = train(data, tmp_path)
    assert prof.findings.main is not None
    said = prof.findings.main.diagnosis

    assert said.bound is Bound.INPUT
    assert said.cause in (Cause.CPU_SATURATED, Cause.CPU)
    assert not any(advice.action == "workers" for advice in said.advice)


def test_batches_that_are_made_in_time_lie_ready(tmp_path: Path) -> None:
    class Slow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            time.sleep(0.03)

    prof = train(Batches(0.001, workers=2), tmp_path, callbacks=[Slow()])
    assert prof.findings.main is not None
    fed = prof.findings.main.input

    assert prof.findings.main.diagnosis.bound is Bound.HOST
    assert fed.queue_mean is not None
    assert fed.queue_mean > 3
    assert fed.queue_empty_ratio == 0


@pytest.mark.quick
@pytest.mark.parametrize("processes", [False, True])
def test_the_restart_of_the_workers_is_a_stage(processes: bool, tmp_path: Path) -> None:
    # Batches that cost nothing: all that is waited for where epochs begin is the restart.
    prof = train(Batches(0.0, workers=2, use_multiprocessing=processes), tmp_path, epochs=6)
    restarts = only(prof, StageKind.EPOCH_START)
    calls, work_ns = restarts.work.total()[:2].tolist()

    assert (calls, restarts.workers) == (6, 2)
    assert work_ns > 0
    assert prof.findings.main is not None
    usual = usual_start(prof.findings.main.input.epoch_starts)
    assert usual is not None
    assert usual.cause is StartCause.WORKERS
    made = [lane.batches for lane in prof.findings.lanes if lane.role is Role.WORKER]
    assert sum(filter(None, made)) == 6 * BATCHES


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_are_lanes_with_their_stages(
    method: str, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), method, str(tmp_path / "logs")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    recorded = read_run(find_run(tmp_path / "logs"))

    stages = {stage.name: int(stage.work.total()[0]) for stage in recorded.stages}
    assert stages["Batches.__getitem__"] >= 2 * BATCHES
    assert stages["read"] == stages["Batches.__getitem__"]
    assert stages["transport"] == 2 * BATCHES
    # One that is up first may make all batches of the others, too.
    workers = {lane.pid for lane in recorded.lanes if lane.role is Role.WORKER}
    assert workers
    assert workers.isdisjoint(lane.pid for lane in recorded.lanes if lane.role is Role.MAIN)
    assert recorded.run.warnings == ()


SCRIPT = f"""
import multiprocessing, sys
import keras, numpy as np
import pipeprof

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return {BATCHES}

    def __getitem__(self, index):
        with pipeprof.stage("read"):
            return np.zeros((8, 4), np.float32), np.zeros((8, 1), np.float32)

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = Batches(workers=2, use_multiprocessing=True)
    with pipeprof.profile(data, logdir=sys.argv[2]) as prof:
        model.fit(prof.dataset, epochs=2, verbose=0)
"""


def test_arguments_that_keras_3_takes_elsewhere_are_pointed_out(tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match="workers"),
        pipeprof.profile(Batches(0.0), logdir=tmp_path) as prof,
    ):
        keras.Sequential([keras.layers.Dense(1)]).fit(prof.dataset, workers=4)

    assert prof.result.run.error is not None
    assert prof.result.run.warnings == (
        "Keras 3 takes workers on the dataset and not here: hand them to the dataset's "
        "super().__init__(...).",
    )


def start(folder: Path, item: str) -> subprocess.Popen[str]:
    """A training in a process of its own, whose batch number 5 does something bad."""
    script = folder / "train.py"
    script.write_text(BAD_SCRIPT.format(item=item))
    return subprocess.Popen(
        [sys.executable, str(script), str(folder / "logs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


BAD_SCRIPT = """
import os, signal, sys, time
import keras, numpy as np
import pipeprof
from pipeprof.capture.probes.loaders import worker_failures

worker_failures.PATIENCE_NS = 1_000_000_000

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        if index == 5:
            {item}
        return np.zeros((8, 4), np.float32), np.zeros((8, 1), np.float32)

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
data = Batches(workers=2, use_multiprocessing=True)
with pipeprof.profile(data, logdir=sys.argv[1]) as prof:
    model.fit(prof.dataset, verbose=0)
print("trained")
"""


def test_a_worker_that_is_killed_is_reported_at_once(tmp_path: Path) -> None:
    # Keras waits for its batch without end, with pipeprof and without.
    training = start(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    try:
        assert training.stderr is not None
        printed = next((line for line in training.stderr if line.startswith("pipeprof: ")), "")
        assert "ended while it made batch 5: it was killed" in printed
    finally:
        children = psutil.Process(training.pid).children(recursive=True)
        for process in (training, *children):
            process.kill()
        training.communicate()
        psutil.wait_procs(children, timeout=30)
    recovered = read_run(find_run(tmp_path / "logs"))
    assert any("while it made batch 5" in warning for warning in recovered.run.warnings)


def test_a_worker_that_hangs_is_reported_with_its_stack_and_the_training_goes_on(
    tmp_path: Path,
) -> None:
    training = start(tmp_path, "time.sleep(4)")
    out, err = training.communicate(timeout=120)

    assert (training.returncode, out) == (0, "trained\n"), err
    (warning,) = read_run(find_run(tmp_path / "logs")).run.warnings
    assert "has been at batch 5 for " in warning
    assert "__getitem__ (" in warning
    assert "train.py:" in warning
    assert f"pipeprof: {warning}" in err


@pytest.mark.quick
def test_a_worker_that_raises_is_reported_with_its_batch(tmp_path: Path) -> None:
    training = start(tmp_path, "raise OSError('no such photo')")
    _, err = training.communicate(timeout=120)

    assert training.returncode == 1
    assert "no such photo" in err
    run = read_run(find_run(tmp_path / "logs")).run
    assert run.error is not None
    assert "no such photo" in run.error
    assert any(
        "Batch 5 failed in worker process" in warning and "OSError: no such photo" in warning
        for warning in run.warnings
    )
