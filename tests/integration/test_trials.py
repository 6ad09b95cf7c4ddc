"""Trials of inputs that end early or never, of workers, and of other Keras versions and backends."""

import importlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import AddCache, BackgroundThread, Workers
from pipeprof.tuning.candidates import candidates
from pipeprof.tuning.consuming import Limits
from pipeprof.tuning.subject import make_subject
from pipeprof.tuning.workbench import Workbench

SHORT = Limits(warmup_ns=0, measured_ns=50_000_000, latest_ns=20_000_000_000)
THREADS = Workers(workers=2, processes=False)


def model_of(package: Any) -> Any:
    model = package.Sequential([package.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def endless() -> Any:
    rows = tf.data.Dataset.range(40).map(lambda index: (tf.fill([8], index), index))
    return rows.repeat().batch(4)


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_dataset_that_repeats_forever_is_measured_with_a_cache_too(package: str) -> None:
    model = model_of(importlib.import_module(package))
    bench = Workbench(make_subject(lambda: (model, endless())))
    changes = candidates(bench.describe())
    [cached, *_] = [change for change in changes if isinstance(change[-1], AddCache)]
    assert bench.trial(cached, Limits(**{**_values(SHORT), "epochs": 1})).step_ns
    assert bench.trial((), SHORT).step_ns
    ceiling = bench.ceiling(SHORT)
    assert ceiling is not None
    assert ceiling.step_ns


def _values(limits: Limits) -> dict[str, int]:
    return {name: getattr(limits, name) for name in Limits.__dataclass_fields__}


def few() -> Iterator[Any]:
    for _ in range(3):
        yield np.zeros((4, 8), np.float32), np.zeros(4, np.float32)


@pytest.mark.filterwarnings("ignore:.*ran out of data")
def test_a_generator_that_ends_is_not_trained_on_forever() -> None:
    bench = Workbench(make_subject(lambda: (model_of(keras), few())))
    with pytest.raises(TuningRefused, match="expected steps enough to measure, received 3"):
        bench.trial((), SHORT)


def slow() -> Iterator[Any]:
    for batch in itertools.islice(itertools.cycle(few()), 100):
        time.sleep(0.01)
        yield batch


def _slept(index: Any) -> Any:
    time.sleep(0.002)
    return index


def mapped_and_batched() -> Any:
    rows = tf.data.Dataset.range(400)
    return rows.map(lambda index: tf.numpy_function(_slept, [index], tf.int64)).batch(4)


@pytest.mark.parametrize(
    ("make", "kind"), [(slow, BackgroundThread), (mapped_and_batched, AddCache)]
)
def test_what_is_only_taken_has_predictions_too(make: Any, kind: type[Any]) -> None:
    bench = Workbench(make_subject(make))
    offered = [edits for edits in candidates(bench.describe()) if isinstance(edits[-1], kind)]
    assert offered
    assert None not in [bench.predict(edits) for edits in offered]


class Rows(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        return np.full((4, 8), index, np.float32), np.zeros(4, np.float32)


class OtherInWorkers(Rows):
    def __getitem__(self, index: int) -> Any:
        rows, labels = super().__getitem__(index)
        return rows + (self.workers > 1), labels


class DrawnInPython(Rows):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        return np.random.random((4, 8)), np.zeros(4, np.float32)


def test_what_workers_deliver_is_compared() -> None:
    assert Workbench(make_subject(Rows)).compare([THREADS]) is None
    found = Workbench(make_subject(OtherInWorkers)).compare([THREADS])
    assert found == "it has other samples"


def test_worker_processes_that_draw_the_same_numbers_are_thrown_out() -> None:
    bench = Workbench(make_subject(DrawnInPython))
    assert bench.compare([THREADS]) is None
    found = bench.compare([Workers(workers=4, processes=True)])
    assert found == "its random samples are the same again and again"


def test_a_sequence_of_keras_2_needs_no_model() -> None:
    tf_keras = importlib.import_module("tf_keras")

    class Old(tf_keras.utils.Sequence):  # type: ignore[name-defined,misc]
        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> Any:
            return np.full((4, 8), index, np.float32), np.zeros(4, np.float32)

    bench = Workbench(make_subject(Old))
    assert bench.trial([THREADS], SHORT).step_ns
    assert bench.compare([THREADS]) is None


ON_JAX = """
import keras
import numpy as np
from pipeprof.recording.pipeline_edits import Workers
from pipeprof.tuning.consuming import Limits
from pipeprof.tuning.subject import make_subject
from pipeprof.tuning.workbench import Workbench

class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 12
    def __getitem__(self, index):
        return np.full((4, 8), index, np.float32), np.zeros((4, 1), np.float32)

class OtherInWorkers(Rows):
    def __getitem__(self, index):
        rows, labels = super().__getitem__(index)
        return rows + (self.workers > 1), labels

def trained():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model, Rows()

assert keras.backend.backend() == "jax"
short = Limits(warmup_ns=0, measured_ns=50_000_000, latest_ns=20_000_000_000)
threads = [Workers(workers=2, processes=False)]
assert Workbench(make_subject(Rows)).trial(threads, short).step_ns
assert Workbench(make_subject(Rows)).compare(threads) is None
assert Workbench(make_subject(OtherInWorkers)).compare(threads) == "it has other samples"
bench = Workbench(make_subject(trained))
assert bench.trial(threads, short).step_ns
assert bench.ceiling(short).step_ns
"""


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_sequences_are_tuned_on_jax_too() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ON_JAX],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
