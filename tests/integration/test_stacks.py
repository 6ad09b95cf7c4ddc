"""`profile(stacks=True)` on real trainings: the hot line of a stage, and who holds the GIL."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.cli.machine_checks import ask_py_spy
from pipeprof.recording.lane import Role
from pipeprof.recording.stage import StageKind

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(ask_py_spy() is not None, reason="py-spy may not look into processes here"),
]

STEPS = 60
MEGABYTES = np.zeros(4 << 20, np.uint8)
HERE = Path(__file__).name


def make_batch() -> tuple[Any, Any]:
    return np.zeros((8, 4), np.float32), np.zeros((8, 1), np.float32)


def add_up() -> int:
    total = 0
    for number in range(400_000):
        total += number * number % 7  # HOT: in Python, under the GIL
    return total


def digest() -> str:
    return hashlib.sha256(MEGABYTES).hexdigest()  # HOT: in C, which releases the GIL


class Items(keras.utils.PyDataset):
    """Items made by one of two functions, by two worker threads or processes."""

    def __init__(self, work: Any, *, processes: bool = False) -> None:
        super().__init__(workers=2, use_multiprocessing=processes)
        self.work = work

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        for _ in range(4 if self.work is add_up else 48):
            self.work()
        return make_batch()


def findings_of(dataset: Any, tmp_path: Path) -> Findings:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pipeprof.profile(dataset, logdir=tmp_path, stacks=True) as prof:
        model.fit(prof.dataset, shuffle=False, verbose=0)
    assert prof.result.check() == ()
    assert prof.result.run.warnings == ()
    return prof.findings


def hot_texts(found: Findings) -> dict[str, float]:
    (stage,) = [each for each in found.stages if each.stage.kind is StageKind.SEQUENCE]
    assert all(line.location.short.startswith(HERE) for line in stage.hot_lines)
    return {line.text: line.share for line in stage.hot_lines}


def held_by(found: Findings, *roles: Role) -> float:
    return sum(lane.gil_ratio or 0.0 for lane in found.lanes if lane.role in roles)


@pytest.mark.quick
def test_threads_in_python_hold_the_gil_at_the_hot_line(tmp_path: Path) -> None:
    found = findings_of(Items(add_up), tmp_path)
    hottest, *_ = hot_texts(found)
    assert "HOT: in Python" in hottest or hottest.startswith("for number in")
    others = [role for role in Role if role is not Role.WORKER]
    assert held_by(found, Role.WORKER) > 2 * held_by(found, *others)
    assert found.main is not None
    assert found.main.diagnosis.cause in (Cause.GIL, Cause.CPU_SATURATED)


def test_threads_in_c_release_the_gil_at_the_hot_line(tmp_path: Path) -> None:
    found = findings_of(Items(digest), tmp_path)
    hottest, *_ = hot_texts(found)
    assert "HOT: in C" in hottest
    assert held_by(found, Role.WORKER) < 0.4
    assert found.main is not None
    assert found.main.diagnosis.cause in (Cause.CPU, Cause.CPU_SATURATED)


def test_lines_of_a_function_that_tf_data_calls_are_seen(tmp_path: Path) -> None:
    def python_work(number: Any) -> Any:
        add_up()
        return np.float32(number)

    def sample(number: Any) -> Any:
        made = tf.ensure_shape(tf.numpy_function(python_work, [number], tf.float32), ())
        return tf.fill((4,), made), tf.fill((1,), made)

    data = tf.data.Dataset.range(4 * STEPS).map(sample).batch(4)
    found = findings_of(data, tmp_path)
    (stage,) = [each for each in found.stages if each.stage.kind is StageKind.TF_DATA_PYTHON]
    assert stage.stage.function is not None
    assert stage.stage.function.endswith("sample")
    assert any("HOT: in Python" in line.text for line in stage.hot_lines)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="worker processes are not forked there")
def test_lines_of_worker_processes_are_seen(tmp_path: Path) -> None:
    found = findings_of(Items(add_up, processes=True), tmp_path)
    texts = hot_texts(found)
    assert any("HOT: in Python" in text for text in texts)
    workers = [lane for lane in found.lanes if lane.role is Role.WORKER]
    assert [lane.gil_ratio is not None for lane in workers] == [True, True]
