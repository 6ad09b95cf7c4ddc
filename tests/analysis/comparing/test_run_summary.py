"""A run's flat numbers, and that the loggers of experiments take them as they are."""

import math
import re
from pathlib import Path

import pytest

import pipeprof
from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.comparing.run_summary import flat_summary
from tests import builders

GENERATOR = Path(__file__).parents[3] / "profiles" / "generator"


def test_numbers_are_flat_and_finite() -> None:
    run = pipeprof.load(GENERATOR)
    numbers = run.summary()
    assert all(type(value) is float and math.isfinite(value) for value in numbers.values())
    assert all(re.fullmatch(r"[A-Za-z0-9_./ -]+", name) for name in numbers)
    assert {"step_ms", "wait_ms", "samples_per_s", "wall_wait_ratio"} <= numbers.keys()
    [decode] = [found for found in run.findings.stages if found.stage.name == "decode"]
    assert numbers["stage/decode/cost_ms"] == decode.cost_ms
    assert "account/compute/ratio" in numbers


def test_names_of_stages_become_names_that_loggers_allow() -> None:
    loop = builders.loop()
    stages = (builders.stage("a/b <lambda>:c", during=loop),)
    numbers = flat_summary(analyse(builders.profile(loops=(loop,), stages=stages)))
    assert [name for name in numbers if name.startswith("stage/")] == [
        "stage/a_b _lambda_c/cost_ms"
    ]


def test_a_run_without_a_training_has_its_duration() -> None:
    assert set(flat_summary(analyse(builders.profile(loops=())))) == {"duration_s"}


def test_mlflow_takes_them(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    run = pipeprof.load(GENERATOR)
    numbers = run.summary()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with mlflow.start_run() as run:
        mlflow.log_metrics(numbers)
    kept = mlflow.get_run(run.info.run_id).data.metrics
    assert kept == pytest.approx(numbers)


def test_weights_and_biases_takes_them(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is not installed")
    run = pipeprof.load(GENERATOR)
    numbers = run.summary()
    run = wandb.init(mode="offline", dir=str(tmp_path), project="test")
    run.log(numbers)
    kept = {name: run.summary.get(name) for name in numbers}
    run.finish()
    assert kept == pytest.approx(numbers)
