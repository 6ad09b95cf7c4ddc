"""The stages of a dataset that a distribution strategy hands to its devices are those of any other."""

import inspect
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import Stage, StageKind

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(tensorflow|keras|google|numpy)"),
]

HERE = "test_distributed_stages.py"
STEPS, SLEEP_S = 40, 0.01


def rows() -> Iterator[Any]:
    for _ in range(4 * STEPS + 40):
        yield np.zeros(8, np.float32), np.zeros(1, np.float32)


def fetched(x: Any) -> Any:
    time.sleep(SLEEP_S)
    return x


def looked_up(x: Any, y: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(fetched, [x], tf.float32), (8,)), y


def dataset() -> Any:
    signature = (tf.TensorSpec((8,)), tf.TensorSpec((1,)))
    made = tf.data.Dataset.from_generator(rows, output_signature=signature)
    return made.map(looked_up, name="slow_lookup").batch(4).prefetch(2)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    with pipeprof.profile(logdir=tmp_path_factory.mktemp("logs")) as prof:
        model.fit(dataset(), steps_per_epoch=STEPS, verbose=0, shuffle=False)
    return prof


def stage(result: Profile, name: str) -> Stage:
    (found,) = (one for one in result.stages if one.name == name)
    return found


def line_of(function: Callable[..., Any], text: str) -> str:
    lines, first = inspect.getsourcelines(function)
    (offset,) = (number for number, line in enumerate(lines) if text in line)
    return f"{HERE}:{first + offset}"


def test_stages_are_at_the_users_lines(fitted: Any) -> None:
    result = fitted.result
    assert (result.check(), result.run.warnings) == ((), ())
    slow, source = stage(result, "slow_lookup"), stage(result, "rows")
    assert slow.kind is StageKind.TF_DATA_PYTHON
    assert slow.location is not None
    assert slow.location.short == line_of(looked_up, "def ")
    assert slow.made_at is not None
    assert slow.made_at.short == line_of(dataset, "slow_lookup")
    assert source.kind is StageKind.GENERATOR
    assert not [one for one in result.stages if one.kind is StageKind.TF_DATA_REMOTE]


def test_the_slow_stage_is_the_bottleneck(fitted: Any) -> None:
    result = fitted.result
    found = fitted.findings.main.diagnosis.bottleneck
    assert found is not None
    assert found.stage == "slow_lookup"
    work_ns = stage(result, "slow_lookup").work.total()[1]
    others = [one.work.total()[1] for one in result.stages if one.name != "slow_lookup"]
    assert work_ns > 5 * max(others)


@pytest.mark.parametrize("by_function", [False, True])
def test_a_hand_written_loop_names_its_stages(by_function: bool, tmp_path: Path) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    weights = tf.Variable(tf.zeros((8, 1)))

    @tf.function
    def step(x: Any, y: Any) -> Any:
        return strategy.run(lambda a, b: tf.linalg.matmul(a, weights) - b, (x, y))

    with pipeprof.profile(logdir=tmp_path) as prof:
        if by_function:
            data = strategy.distribute_datasets_from_function(lambda context: dataset())
        else:
            data = strategy.experimental_distribute_dataset(dataset())
        for x, y in data:
            step(x, y)
    assert prof.result.check() == ()
    slow = stage(prof.result, "slow_lookup")
    assert slow.made_at is not None
    assert slow.made_at.short == line_of(dataset, "slow_lookup")
    others = [one.work.total()[1] for one in prof.result.stages if one.name != "slow_lookup"]
    assert slow.work.total()[1] > 5 * max(others)


def test_a_training_too_short_for_a_trace_has_one_warning(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    with pipeprof.profile(logdir=tmp_path) as prof:
        model.fit(dataset(), steps_per_epoch=1, verbose=0, shuffle=False)
    assert prof.result.check() == ()
    (warning,) = prof.result.run.warnings
    assert "train for more than" in warning
    assert stage(prof.result, "distributed pipeline").kind is StageKind.TF_DATA_REMOTE


def test_a_training_that_is_over_before_its_warm_up_has_its_stages(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    with pipeprof.profile(logdir=tmp_path) as prof:
        model.fit(dataset(), steps_per_epoch=4, verbose=0, shuffle=False)
    found = stage(prof.result, "slow_lookup")
    assert found.location is not None
    assert found.location.file.endswith(HERE)
    bottleneck = prof.findings.main.diagnosis.bottleneck
    assert bottleneck is not None
    assert bottleneck.stage == "slow_lookup"
