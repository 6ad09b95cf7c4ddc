"""What tuning a training's input found, kept beside the run of that training."""

import math
from pathlib import Path

from pipeprof.recording.tuning_outcome import TuningOutcome
from pipeprof.runs.beside_run import read_beside, write_beside

_NAME = "tuning"


def keep_tuning(folder: Path, outcome: TuningOutcome) -> None:
    """Writes what was found into a run's folder, in place of what was found before.

    Raises:
        OSError: it cannot be written.
    """
    write_beside(folder, _NAME, outcome)


def read_tuning(folder: Path) -> TuningOutcome | None:
    """What was found for a run, or None where there is nothing that can be read."""
    outcome = read_beside(folder, _NAME, TuningOutcome)
    return outcome if outcome is not None and _is_sound(outcome) else None


def _is_sound(outcome: TuningOutcome) -> bool:
    """Whether times are times: a file may come from anywhere."""
    measured = [outcome.ceiling_ns, outcome.last_ceiling_ns]
    for trial in outcome.trials:
        measured += [trial.against_ns, trial.step_ns, trial.predicted_ns]
        measured += [trial.speedup, trial.low, trial.high]
    times = [time for time in measured if time is not None]
    return all(0 < time < math.inf for time in (outcome.today_ns, outcome.best_ns, *times))
