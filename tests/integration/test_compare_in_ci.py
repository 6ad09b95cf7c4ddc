"""The example for GitHub Actions in the README, run as it stands there."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TRAIN = """
import time
import keras, numpy as np

X, Y = np.zeros((16, 4), np.float32), np.zeros((16, 1), np.float32)

def batches():
    while True:
        time.sleep({seconds})
        yield X, Y

model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(batches(), steps_per_epoch=60, epochs=2, verbose=0)
"""


def steps_of_the_example() -> list[str]:
    """The shell commands of the workflow, without the one that installs."""
    readme = (ROOT / "README.md").read_text()
    [workflow] = re.findall(r"```yaml\n(name: training speed.*?)```", readme, re.DOTALL)
    blocks = re.findall(r"^ +run: \|\n((?: {10}.*\n)+)", workflow, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_example_for_github_actions_fails_a_slower_branch(tmp_path: Path) -> None:
    train, compare = steps_of_the_example()
    origin, work = tmp_path / "origin", tmp_path / "work"
    origin.mkdir()
    git(origin, "init")
    (origin / "train.py").write_text(TRAIN.format(seconds=0.010))
    git(origin, "add", ".")
    git(origin, "commit", "-m", "base")
    git(tmp_path, "clone", str(origin), str(work))
    (work / "train.py").write_text(TRAIN.format(seconds=0.015))
    summary = tmp_path / "summary.md"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_BASE_REF": "main",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(summary),
    }

    def run(step: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-e", "-c", step]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)

    trained = run(train)
    assert trained.returncode == 0, trained.stderr
    compared = run(compare)
    assert compared.returncode == 1, compared.stderr
    text = summary.read_text()
    assert "FAIL step\\_ms\\>+5%" in text
    assert "FAIL stage:batches.cost\\_ms\\>+20%" in text
