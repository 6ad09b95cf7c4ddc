"""A run's flat numbers, and that the loggers of experiments take them as they are."""

import json
import math
import os
import re
import subprocess
import sys
from importlib.util import find_spec
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


MLFLOW = """
import json, sys, mlflow, pipeprof
mlflow.set_tracking_uri(f"file:{sys.argv[2]}/mlruns")
with mlflow.start_run() as logged:
    mlflow.log_metrics(pipeprof.load(sys.argv[1]).summary())
print(json.dumps(mlflow.get_run(logged.info.run_id).data.metrics))
"""
WANDB = """
import json, sys, wandb, pipeprof
numbers = pipeprof.load(sys.argv[1]).summary()
with wandb.init(mode="offline", dir=sys.argv[2], project="test") as logged:
    logged.log(numbers)
    kept = {name: logged.summary.get(name) for name in numbers}
print(json.dumps(kept))
"""


@pytest.mark.parametrize(("package", "program"), [("mlflow", MLFLOW), ("wandb", WANDB)])
def test_the_real_loggers_take_them_as_they_are(package: str, program: str, tmp_path: Path) -> None:
    """In a process of their own: they start threads and servers. `tools/test_newest` installs them."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not in this environment; it is in that of tools/test_newest")
    done = subprocess.run(
        [sys.executable, "-c", program, str(GENERATOR), str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "PYTHONPATH": str(GENERATOR.parents[1]),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    kept = json.loads(done.stdout.splitlines()[-1])
    assert kept == pytest.approx(pipeprof.load(GENERATOR).summary())
