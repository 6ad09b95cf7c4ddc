"""Runs planted trainings, under `pipeprof run` or alone, each in a temporary folder of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeprof.errors import PipeprofError
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.scenarios.validation.expected import Planted

TIMEOUT_S = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledTraining:
    """A training that ran under `pipeprof run`.

    Attributes:
        report: as `--json` writes it.
        truth: what the training clocked itself.
    """

    report: dict[str, Any]
    truth: dict[str, Any]


def run_watched(planted: Planted) -> ProfiledTraining:
    """Trains under `pipeprof run`.

    Raises:
        PipeprofError: if the training or the report failed.
    """
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        report = folder / "report.json"
        _run(
            planted,
            folder,
            ["-m", "pipeprof", "run", "--logdir", str(folder / "runs"), "--json", str(report)],
        )
        return ProfiledTraining(report=json.loads(report.read_text()), truth=_truth_in(folder))


def run_alone(planted: Planted, *arguments: str) -> dict[str, Any]:
    """Trains without pipeprof.

    Args:
        planted: the training.
        arguments: of the script, after its own; `--free-input` measures the ceiling.

    Returns:
        what it clocked.

    Raises:
        PipeprofError: if it failed.
    """
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        _run(planted, Path(name), [], *arguments)
        return _truth_in(Path(name))


def _run(planted: Planted, folder: Path, watch: list[str], *arguments: str) -> None:
    command = [sys.executable, *watch, str(planted.script), *planted.arguments, *arguments]
    (folder / "tmp").mkdir()
    environment = os.environ | dict(planted.environment)
    environment |= {"PLANTED_TRUTH": str(folder / "truth.json"), "TMPDIR": str(folder / "tmp")}
    environment |= {"PYTHONFAULTHANDLER": "1"}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.splitlines()[-5 if done.returncode > 0 else -60 :])
        raise PipeprofError(f"{planted.name} ended with exit code {done.returncode}: {last}")


def _truth_in(folder: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    return truth
