"""AUTOTUNE in real runs: what it chose is reported, and each warning comes where it is planted."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.findings.input_findings import (
    AutotuneFinding,
    AutotuneOff,
    AutotuneWarning,
    BudgetBeyondCores,
    FixedParallelism,
    FullBuffers,
    TunedKind,
)
from pipeprof.host.cgroups import ControlGroups
from tests.builders import those
from tests.integration.feeds import batch, model, train

pytestmark = pytest.mark.integration

BATCHES = 40


def slow(image: Any, label: Any) -> Any:
    def sleep(array: Any) -> Any:
        time.sleep(0.01)
        return array

    return tf.ensure_shape(tf.numpy_function(sleep, [image], tf.float32), image.shape), label


def batches() -> Any:
    return tf.data.Dataset.from_tensors(batch(0)).repeat(BATCHES)


def left_alone() -> Any:
    return batches().map(slow, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def computing(image: Any, label: Any) -> Any:
    """TensorFlow's own operations, which no GIL keeps from running at once."""
    matrix = tf.ones((400, 400)) + image[0, 0, 0, 0]
    for _ in range(20):
        matrix = tf.linalg.matmul(matrix, matrix) / 400
    return image + 0 * matrix[0, 0], label


def pinned() -> Any:
    return batches().map(computing, num_parallel_calls=1).prefetch(tf.data.AUTOTUNE)


def large_budget() -> Any:
    options = tf.data.Options()
    options.autotune.cpu_budget = 1000
    return left_alone().with_options(options)


def large_buffer() -> Any:
    images = tf.zeros((BATCHES, 32, 8, 8, 1)), tf.zeros((BATCHES, 32), tf.int64)
    return tf.data.Dataset.from_tensor_slices(images).repeat(2).shuffle(2 * BATCHES)


def switched_off() -> Any:
    options = tf.data.Options()
    options.autotune.enabled = False
    return left_alone().with_options(options)


def run(data: Any, folder: Path, sample_hz: float = 0) -> AutotuneFinding:
    # Without the CPU time, which is that of whatever else runs on the machine that tests.
    with pipeprof.profile(data, logdir=folder, sample_hz=sample_hz) as prof:
        train(model(), prof.dataset, epochs=2)
    assert prof.result.check() == ()
    found = prof.findings.autotune
    assert found is not None
    return found


@pytest.mark.quick
def test_what_autotune_chose_is_reported_with_nothing_to_warn_of(tmp_path: Path) -> None:
    found = run(left_alone(), tmp_path)
    assert found.enabled
    assert found.cpu_budget
    assert found.ram_budget_bytes
    assert {tuned.kind for tuned in found.tuned} == set(TunedKind)
    calls = next(tuned for tuned in found.tuned if tuned.kind is TunedKind.PARALLELISM)
    assert calls.stage.name == "slow"
    assert 1 <= (calls.value or 0) <= (calls.limit or 0)
    steps = [step for step, _ in calls.series]
    assert steps == sorted(steps)
    assert found.warnings == ()


PLANTED: dict[str, tuple[Callable[[], Any], type[AutotuneWarning], dict[str, int]]] = {
    "a fixed parallelism": (pinned, FixedParallelism, {"fixed": 1}),
    "a large budget": (large_budget, BudgetBeyondCores, {"planned": 1000}),
    "switched off": (switched_off, AutotuneOff, {}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_setting_that_stands_in_the_way_is_reported(name: str, tmp_path: Path) -> None:
    make, kind, facts = PLANTED[name]
    [warning] = run(make(), tmp_path).warnings
    assert isinstance(warning, kind)
    assert {fact: getattr(warning, fact) for fact in facts} == facts


def test_large_buffers_are_reported_against_the_memory_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(large_buffer(), tmp_path / "roomy", sample_hz=10).warnings == ()
    held = int(np.prod((BATCHES, 32, 8, 8, 1))) * 4
    monkeypatch.setattr(ControlGroups, "memory_limit", lambda _: 3 * held)
    [warning] = run(large_buffer(), tmp_path / "tight", sample_hz=10).warnings
    assert isinstance(warning, FullBuffers)
    assert warning.largest is not None
    assert warning.largest.name == "shuffle"


def test_a_budget_beyond_the_containers_limit_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AUTOTUNE counts processors; that fewer may be used is what it does not see."""
    monkeypatch.setattr(ControlGroups, "cpu_limit", lambda _: 0.5)
    warnings = run(left_alone(), tmp_path).warnings
    [warning] = those(BudgetBeyondCores, warnings)
    assert (warning.cores, warning.by_container) == (0.5, True)
