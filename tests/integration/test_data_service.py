"""The workers of a tf.data service, as real processes, are looked into from the training."""

import inspect
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.data.experimental.ops.testing import sleep

import pipeprof
from pipeprof.analysis.findings.tfdata_remedies import CheaperService, MoreDataWorkers
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.recording.stage import Stage, StageKind
from tests.integration.service_processes import Service, free_port, service

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(tensorflow|keras|google|numpy)"),
]

HERE = "test_data_service.py"
BATCH, SLEEP_US = 4, 3000
LARGE = 4_000_000


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Service]:
    with service(2) as running:
        yield running


def made(number: Any) -> Any:
    return tf.fill((8,), tf.cast(number, tf.float32)), tf.zeros((1,))


def slow(dispatcher: str) -> Any:
    dataset = tf.data.Dataset.range(10**6).map(made)
    dataset = dataset.apply(sleep(SLEEP_US))
    return distributed(dataset.batch(BATCH), dispatcher)


def cheap(dispatcher: str) -> Any:
    return distributed(tf.data.Dataset.range(10**6).map(made).batch(BATCH), dispatcher)


def large(dispatcher: str) -> Any:
    rows = tf.data.Dataset.from_tensors(np.ones(LARGE, np.float32)).repeat()
    dataset = distributed(rows, dispatcher, compression=None)
    return dataset.map(lambda x: (x[None, :8], x[None, :1]))


def distributed(dataset: Any, dispatcher: str, **options: Any) -> Any:
    apply = tf.data.experimental.service.distribute(
        "parallel_epochs", f"grpc://{dispatcher}", **options
    )
    return dataset.apply(apply).prefetch(2)


class Ends(keras.callbacks.Callback):
    """Ends a training after some time, in which its workers have been looked at."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._until = time.monotonic() + seconds

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = time.monotonic() >= self._until


def fit(
    make: Callable[[], Any], seconds: float, folder: Path, *callbacks: Any, **options: Any
) -> Any:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pipeprof.profile(logdir=folder, **options) as prof:
        model.fit(
            make(),
            steps_per_epoch=10**6,
            verbose=0,
            shuffle=False,
            callbacks=[*callbacks, Ends(seconds)],
        )
    return prof


def stage(prof: Any, name: str) -> Stage:
    (found,) = (one for one in prof.result.stages if one.name == name)
    return found


def line_of(function: Callable[..., Any], text: str) -> str:
    lines, first = inspect.getsourcelines(function)
    (offset,) = (number for number, line in enumerate(lines) if text in line)
    return f"{HERE}:{first + offset}"


def test_a_slow_stage_in_two_workers_is_named(two_workers: Service, tmp_path: Path) -> None:
    prof = fit(lambda: slow(two_workers.dispatcher), 5, tmp_path)
    assert prof.result.check() == ()
    assert prof.result.run.warnings == ()
    diagnosis = prof.findings.main.diagnosis
    assert (diagnosis.bound, diagnosis.cause) == (Bound.INPUT, Cause.BLOCKING)
    assert diagnosis.bottleneck.stage == "sleep"
    assert diagnosis.bottleneck.location.short == line_of(slow, "sleep(")
    found = stage(prof, "sleep")
    assert (found.kind, found.workers) == (StageKind.TF_DATA_WORKER, 2)
    calls, work_ns, *_ = found.work.total().tolist()
    assert calls / BATCH == pytest.approx(prof.findings.main.loop.step_count, rel=0.2)
    assert work_ns > 0.8 * calls * SLEEP_US * 1e3
    seen = {each.worker.address: each for each in prof.findings.data_workers}
    assert set(seen) == set(two_workers.workers)
    for address, each in seen.items():
        assert each.worker.pid == two_workers.workers[address].pid
        assert each.asked_ratio > 0.7
        assert prof.result.stages[each.stages[0].stage].name == "sleep"
    (advised,) = (a for a in diagnosis.advice if isinstance(a.remedy, MoreDataWorkers))
    assert advised.remedy.workers > 2
    text = prof.report(80)
    assert "of the tf.data service" in text
    assert all(address in text for address in two_workers.workers)


def test_cheap_stages_before_a_slow_training_are_no_bottleneck(
    two_workers: Service, tmp_path: Path
) -> None:
    class Pause(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            sum(range(300_000))

    prof = fit(lambda: cheap(two_workers.dispatcher), 5, tmp_path, Pause())
    assert prof.result.check() == ()
    diagnosis = prof.findings.main.diagnosis
    assert diagnosis.bound in (Bound.HOST, Bound.COMPUTE)
    assert diagnosis.cause in (Cause.CALLBACK, Cause.NONE)
    assert stage(prof, "made").location.short == line_of(made, "def ")
    assert all(each.asked_ratio < 0.5 for each in prof.findings.data_workers)


def test_large_elements_are_the_networks_and_the_services(
    two_workers: Service, tmp_path: Path
) -> None:
    prof = fit(lambda: large(two_workers.dispatcher), 5, tmp_path)
    assert prof.result.check() == ()
    diagnosis = prof.findings.main.diagnosis
    assert (diagnosis.bound, diagnosis.cause) == (Bound.INPUT, Cause.TRANSPORT)
    assert diagnosis.bottleneck.stage == "tf.data service"
    assert any(isinstance(advice.remedy, CheaperService) for advice in diagnosis.advice)


def test_a_worker_that_is_gone_is_named_and_the_other_is_seen(
    two_workers: Service, tmp_path: Path
) -> None:
    gone = f"localhost:{free_port()}"
    alive = next(iter(two_workers.workers))
    prof = fit(lambda: slow(two_workers.dispatcher), 5, tmp_path, data_workers=f"{gone},{alive}")
    seen = {each.worker.address: each.worker for each in prof.findings.data_workers}
    assert seen[gone].problem == "it does not answer"
    assert seen[alive].windows
    assert prof.findings.main.diagnosis.bottleneck.stage == "sleep"
    assert f"{gone} was not seen: it does not answer" in prof.report(80)


def test_of_a_dataset_made_before_the_profile_the_names_are_seen(
    two_workers: Service, tmp_path: Path
) -> None:
    before = slow(two_workers.dispatcher)
    prof = fit(lambda: before, 5, tmp_path)
    (warning,) = prof.result.run.warnings
    assert "make it inside the profile" in warning
    bottleneck = prof.findings.main.diagnosis.bottleneck
    assert (bottleneck.stage, bottleneck.location) == ("sleep", None)


def test_addresses_of_other_servers_cost_one_sentence(two_workers: Service, tmp_path: Path) -> None:
    prof = fit(
        lambda: slow(two_workers.dispatcher), 3, tmp_path, data_workers=f"localhost:{free_port()}"
    )
    (warning,) = prof.result.run.warnings
    assert warning.endswith("it does not answer.")
    assert prof.findings.main.diagnosis.bottleneck.stage == "tf.data service"
    assert prof.findings.main.loop.step_count > 100


def test_one_worker_on_one_core_is_too_few(tmp_path: Path) -> None:
    def heavy(x: Any, y: Any) -> Any:
        product = tf.random.normal((160, 160))
        for _ in range(6):
            product = tf.linalg.matmul(product, product) * 0.001
        return x + 0.0 * tf.reduce_sum(product), y

    with service(1, core=0) as running:

        def dataset() -> Any:
            rows = tf.data.Dataset.range(10**6).map(made)
            rows = rows.map(heavy, num_parallel_calls=tf.data.AUTOTUNE).batch(16)
            return distributed(rows, running.dispatcher)

        prof = fit(dataset, 5, tmp_path)
    diagnosis = prof.findings.main.diagnosis
    assert (diagnosis.bound, diagnosis.bottleneck.stage) == (Bound.INPUT, "heavy")
    # Beside other load no core of this machine may be free.
    assert diagnosis.cause in (Cause.TOO_FEW_WORKERS, Cause.CPU_SATURATED)
    (worker,) = prof.findings.data_workers
    assert worker.worker.cores == 1
    assert worker.uses_all_cores


OWN_SERVICE = """
import subprocess, sys, time
import keras, tensorflow as tf
from tensorflow.python.data.experimental.ops.testing import sleep
service = tf.data.experimental.service
dispatcher = service.DispatchServer()
address = dispatcher.target.partition("://")[2]
config = service.WorkerConfig(dispatcher_address=address)
here = service.WorkerServer(config)
program = (
    "import sys; import tensorflow as tf; s = tf.data.experimental.service;"
    "w = s.WorkerServer(s.WorkerConfig(dispatcher_address=sys.argv[1])); print(flush=True); w.join()"
)
there = subprocess.Popen([sys.executable, "-c", program, address], stdout=subprocess.PIPE)
there.stdout.readline()

class Ends(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = time.monotonic() >= until

def made(number):
    return tf.zeros((8,)), tf.zeros((1,))

data = tf.data.Dataset.range(10**7).map(made).apply(sleep(3000)).batch(4)
data = data.apply(service.distribute("parallel_epochs", dispatcher.target)).prefetch(2)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
until = time.monotonic() + 6
model.fit(data, steps_per_epoch=10**6, verbose=0, callbacks=[Ends()])
there.kill()
there.wait()
"""


def test_workers_that_a_script_starts_itself_are_lanes(tmp_path: Path) -> None:
    script, written = tmp_path / "train.py", tmp_path / "report.json"
    script.write_text(OWN_SERVICE)
    command = [sys.executable, "-m", "pipeprof", "run", "--logdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "--json", str(written), str(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(written.read_text())
    assert report["run"]["warnings"] == []
    assert report["diagnosis"]["bottleneck"]["stage"] == "sleep"
    (line,) = (n for n, text in enumerate(OWN_SERVICE.splitlines(), 1) if "apply(sleep" in text)
    assert report["diagnosis"]["bottleneck"]["location"].endswith(f"train.py:{line}")
    pids = {worker["pid"] for worker in report["data_workers"]}
    (main,) = (lane for lane in report["lanes"] if lane["name"] == "main")
    (there,) = pids - {main["pid"]}
    lanes = {
        lane["pid"]: lane for lane in report["lanes"] if lane["name"].startswith("data worker")
    }
    assert main["pid"] in pids  # its threads are lanes
    assert (lanes[there]["role"], lanes[there]["stages"][0]) == ("input", "sleep")
    assert lanes[there]["cpu_ratio"] > 0.0
