"""Datasets that a ``tf.function`` iterates: each call is a step, with its wait and the stages by name."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.recording.loop import InputKind, Loop, LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import Stage

pytestmark = pytest.mark.integration

BATCHES, CALLS = 30, 5
READ_S = 0.03
HERE = "test_tfdata_graph_loops.py"
weights = tf.Variable(tf.zeros((450, 450)))


def slowly(seconds: float) -> Callable[[Any], Any]:
    def read(number: Any) -> Any:
        time.sleep(seconds)
        return np.float32(number)

    def fetch(number: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(read, [number], tf.float32), [])

    return fetch


def pipeline(seconds: float, batches: int = BATCHES) -> Any:
    return tf.data.Dataset.range(batches).map(slowly(seconds)).prefetch(2)


def train(batch: Any) -> None:
    weights.assign(tf.linalg.matmul(weights + batch, weights) * 0.0)


def profiled(logdir: Path, train_it: Callable[[], Any]) -> Profile:
    with pipeprof.profile(logdir=logdir) as prof:
        train_it()
    assert prof.result.check() == ()
    return prof.result


def by_argument(seconds: float) -> None:
    @tf.function
    def train_epoch(data: Any) -> None:
        for batch in data:
            train(batch)

    data = pipeline(seconds)
    for _ in range(CALLS):
        train_epoch(data)


def by_closure(seconds: float) -> None:
    data = pipeline(seconds)

    @tf.function
    def train_epoch() -> None:
        for batch in data:
            train(batch)

    for _ in range(CALLS):
        train_epoch()


def by_next(seconds: float) -> None:
    @tf.function
    def train_epoch(iterator: Any) -> None:
        for _ in tf.range(BATCHES):
            train(next(iterator))

    iterator = iter(pipeline(seconds, batches=BATCHES * CALLS))
    for _ in range(CALLS):
        train_epoch(iterator)


def waited_ratio(loop: Loop) -> float:
    """The part of the calls that was waited in, those left out that traced or were not measured."""
    steps = loop.steps
    known = steps.measured & (steps.ordinal > 0)
    assert known.sum() >= CALLS - 2
    return float(steps.wait_ns[known].sum() / (steps.end_ns - steps.start_ns)[known].sum())


def stage_named(profile: Profile, name: str) -> Stage:
    (found,) = (stage for stage in profile.stages if stage.name == name)
    return found


WAYS = [
    (by_argument, WaitSource.TRACE),
    (by_closure, WaitSource.TRACE),
    (by_next, WaitSource.GAP_TIMES),
]


@pytest.mark.parametrize(("way", "waits_by"), WAYS)
def test_each_call_is_a_pass_that_waits_for_a_named_stage(
    way: Callable[[float], None], waits_by: WaitSource, tmp_path: Path
) -> None:
    profile = profiled(tmp_path, lambda: way(READ_S))
    (loop,) = profile.loops
    assert (loop.kind, loop.input.kind, loop.waits_by) == (
        LoopKind.CUSTOM,
        InputKind.TF_DATA,
        waits_by,
    )
    assert (loop.step_count, loop.account.pass_count, loop.account.compile_steps) == (
        CALLS,
        CALLS,
        1,
    )
    assert loop.location is not None
    assert loop.location.short.startswith(HERE)
    assert loop.steps.batches[1:].tolist() == pytest.approx([BATCHES] * (CALLS - 1), abs=2)
    assert waited_ratio(loop) > 0.5
    fetch = stage_named(profile, "fetch")
    calls, work_ns = fetch.work.total()[:2].tolist()
    assert fetch.location is not None
    assert fetch.location.short.startswith(HERE)
    assert work_ns / calls / 1e9 == pytest.approx(READ_S, rel=0.5)
    (warning,) = profile.run.warnings
    assert "inside a tf.function" in warning


@pytest.mark.parametrize(("way", "waits_by"), WAYS[1:])
def test_a_pipeline_that_keeps_up_is_not_waited_for(
    way: Callable[[float], None], waits_by: WaitSource, tmp_path: Path
) -> None:
    (loop,) = profiled(tmp_path, lambda: way(0.0)).loops
    assert loop.step_count == CALLS
    assert waited_ratio(loop) < 0.3


def test_marked_steps_count_and_not_calls(tmp_path: Path) -> None:
    data = pipeline(0.0, batches=3)

    @tf.function
    def train_epoch() -> None:
        for batch in data:
            train(batch)

    with pipeprof.profile(logdir=tmp_path) as prof:
        for _ in range(CALLS):
            with prof.step():
                train_epoch()
    (loop,) = prof.result.loops
    assert prof.result.check() == ()
    assert prof.result.run.warnings == ()
    assert (loop.step_count, loop.account.pass_count) == (CALLS, 1)


def test_keras_loops_stay_its_own(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=4)

    rows = tf.zeros((32, 1))
    data = tf.data.Dataset.from_tensor_slices((rows, rows)).batch(2)
    (loop,) = profiled(tmp_path, lambda: model.fit(data, epochs=2, shuffle=False, verbose=0)).loops
    assert (loop.kind, loop.batch_count) == (LoopKind.FIT, 32)


def test_an_exception_inside_is_the_users_own(tmp_path: Path) -> None:
    def failing(number: Any) -> Any:
        if number > 3:
            raise ValueError("no such number")
        return np.float32(number)

    data = tf.data.Dataset.range(9).map(lambda x: tf.numpy_function(failing, [x], tf.float32))

    @tf.function
    def train_epoch() -> None:
        for batch in data:
            train(tf.ensure_shape(batch, []))

    with pytest.raises(tf.errors.InvalidArgumentError, match="no such number"):
        profiled(tmp_path, train_epoch)
