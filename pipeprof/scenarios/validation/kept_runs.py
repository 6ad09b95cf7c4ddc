"""Runs of planted trainings in a file, a line of JSON each: what a validation can go on from.

A run is kept with its report and its truth, not with what the comparison found: that is made anew.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeprof.errors import PipeprofError
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """One run of a planted training.

    Attributes:
        name: of the training.
        round: in which it ran, from 1.
        conditions: the machine and the versions.
        with_load: whether another program had one of the cores by turns.
        report: as `--json` writes it; None if the run failed.
        truth: what the training clocked itself; None if the run failed.
        ceiling_ms: its step with input for free, where that was measured.
        failure: why there is no report, if there is none.
    """

    name: str
    round: int
    conditions: str
    with_load: bool = False
    report: Mapping[str, Any] | None = None
    truth: Mapping[str, Any] | None = None
    ceiling_ms: float | None = None
    failure: str | None = None


def keep_runs(runs: Iterable[KeptRun], path: Path) -> None:
    """Writes a file of runs; whoever stops that finds the file as it was."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text("".join(f"{json.dumps(asdict(run))}\n" for run in runs))
    beside.replace(path)


def read_runs(path: Path) -> tuple[KeptRun, ...]:
    """The runs in a file; none if there is no such file.

    Raises:
        PipeprofError: if a line of it is no run.
    """
    lines = path.read_text().splitlines() if path.exists() else ()
    return tuple(_run(line, f"line {number} of {path}") for number, line in enumerate(lines, 1))


def _run(line: str, where: str) -> KeptRun:
    try:
        return KeptRun(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise PipeprofError(
            f"Expected a run of a planted training in {where}: {error}. "
            "Give a file that tools/validate --json has written."
        ) from error
