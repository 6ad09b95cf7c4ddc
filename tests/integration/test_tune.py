"""Tuning real inputs: what is kept, and what happens to trials that go wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pipeprof
from pipeprof.errors import TuningRefused, UsageError
from pipeprof.recording.pipeline_edits import AddCache, SetCalls, Workers
from pipeprof.tuning.bench_process import ProcessBench, of_function
from pipeprof.tuning.consuming import Limits

INPUTS = """
import os, signal, time
import keras
import numpy as np
import tensorflow as tf

def model():
    made = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made

def read(index):
    def load(number):
        time.sleep(0.02)
        return np.full(8, number, np.float32)
    row = tf.numpy_function(load, [index], tf.float32)
    row.set_shape([8])
    return row, tf.cast(index, tf.float32)

def photos():
    return model(), tf.data.Dataset.range(48).map(read).batch(4)

def well_made():
    x = np.ones((256, 8), np.float32)
    return model(), tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(32).prefetch(2)

class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 60
    def __getitem__(self, index):
        time.sleep(0.08)
        return np.full((4, 8), index, np.float32), np.zeros(4, np.float32)

def rows():
    return model(), Rows()

class Deadly(Rows):
    def __getitem__(self, index):
        if self.workers > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)

def deadly():
    return model(), Deadly()

class Hanging(Rows):
    def __getitem__(self, index):
        if self.workers > 1:
            time.sleep(1000)
        return super().__getitem__(index)

def hanging():
    return model(), Hanging()

class Raising(Rows):
    def __getitem__(self, index):
        if self.workers > 1:
            raise ValueError("one at a time")
        return super().__getitem__(index)

def raising():
    return model(), Raising()

def number():
    return 42

def broken():
    raise KeyError("no data")

calls = []

def changing():
    calls.append(1)
    return tf.data.Dataset.from_tensors(np.zeros(len(calls))).batch(1)

def short():
    return tf.data.Dataset.range(2).take(0).batch(1)
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "feeds_to_tune.py").write_text(INPUTS)
    return folder


SCRIPT = """
import sys
from feeds_to_tune import model, read
import tensorflow as tf

assert sys.argv[1:] == ["--epochs", "3"]
ds = tf.data.Dataset.range(48).shuffle(8).map(read)
ds = ds.batch(4)
model().fit(ds, epochs=3, verbose=0)
open("after.txt", "w").close()
"""


@pytest.fixture(autouse=True)
def _among_them(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inputs)
    monkeypatch.syspath_prepend(str(inputs))


def function(name: str) -> Any:
    import feeds_to_tune

    return getattr(feeds_to_tune, name)


@pytest.mark.quick
def test_a_slow_map_becomes_many_times_as_fast(inputs: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "pipeprof", "tune", "feeds_to_tune:photos", "--budget", "14"],
        cwd=inputs,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    assert "times as fast" in ran.stdout
    assert "kept" in ran.stdout
    assert ".map(read, num_parallel_calls=" in ran.stdout or ".cache()" in ran.stdout
    assert "feeds_to_tune.py" in ran.stdout or ".cache()" in ran.stdout


def test_an_unchanged_script_gets_a_diff_of_its_own_lines(inputs: Path) -> None:
    (inputs / "train.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "pipeprof", "tune", "--budget", "14", "--json", "found.json"]
    ran = subprocess.run(
        [*command, "--script", "train.py", "--", "--epochs", "3"],
        cwd=inputs,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads((inputs / "found.json").read_text())
    assert found["speedup"] > 1.5
    assert found["ceiling_step_ms"] < found["today_step_ms"]
    assert "-ds = tf.data.Dataset.range(48).shuffle(8).map(read)\n+ds = " in ran.stdout
    assert not (inputs / "after.txt").exists()


def test_the_best_dataset_comes_back_and_delivers_the_same(inputs: Path) -> None:
    make = function("photos")
    tuned = pipeprof.tune(make, budget=14)
    _, dataset = make()
    kept = tuned.outcome.best
    assert any(isinstance(edit, (SetCalls, AddCache)) for edit in kept), tuned.trials
    assert tuned.outcome.speedup > 1.5
    assert [x.numpy().tolist() for x, _ in tuned.best] == [x.numpy().tolist() for x, _ in dataset]
    assert tuned.code


def test_a_well_made_pipeline_is_not_made_slower(inputs: Path) -> None:
    tuned = pipeprof.tune(function("well_made"), budget=4)
    assert all(trial.low is None or trial.low > 1.0 for trial in tuned.trials if trial.kept)
    assert [x.shape for x, _ in tuned.best] == [(32, 8)] * 8


def test_a_sequence_gets_workers(inputs: Path) -> None:
    tuned = pipeprof.tune(function("rows"), budget=16)
    assert len(tuned.outcome.best) == 1, tuned.trials
    [workers] = tuned.outcome.best
    assert isinstance(workers, Workers)
    assert tuned.best.workers == workers.workers > 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("deadly", "killed: most often for want of memory"),
        ("hanging", "it hung: its process was ended after"),
        ("raising", "one at a time"),
    ],
)
def test_a_trial_that_goes_wrong_says_why_and_the_next_one_runs(
    inputs: Path, name: str, reason: str
) -> None:
    limits = Limits(measured_ns=200_000_000, warmup_ns=0, latest_ns=4_000_000_000)
    serves = of_function(f"feeds_to_tune:{name}")
    with ProcessBench(serves, most_s=4.0, beside_s=6.0) as bench:
        bench.describe()
        with pytest.raises(TuningRefused, match=reason):
            bench.trial([Workers(workers=2, processes=False)], limits)
        assert bench.trial([], limits).step_ns


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("number", UsageError, "expected a function that returns a dataset"),
        ("broken", UsageError, "the function raised KeyError: 'no data'"),
        ("changing", TuningRefused, "expected the same elements from each call"),
        ("short", TuningRefused, "expected steps enough to measure, received 0"),
    ],
)
def test_a_function_that_cannot_be_tuned_gets_one_sentence(
    inputs: Path, name: str, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        pipeprof.tune(function(name), budget=6)
