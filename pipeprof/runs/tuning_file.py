"""What tuning a training's input found, kept beside the run of that training."""

import json
import math
from pathlib import Path

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.recording.tuning_outcome import Outcome
from pipeprof.runs.run_file import FORMAT

_NAME = "tuning.json"
_MOST_BYTES = 1 << 20
_NO_NUMBERS = np.empty(0, np.int64)


def write_tuning(folder: Path, outcome: Outcome) -> None:
    """Writes what was found into a run's folder, in place of what was found before.

    Raises:
        OSError: it cannot be written.
    """
    document = {"format": FORMAT, "tuning": Encoder().encode(outcome)}
    (folder / _NAME).write_text(json.dumps(document) + "\n")


def read_tuning(folder: Path) -> Outcome | None:
    """What was found for a run, or None where there is nothing that can be read."""
    path = folder / _NAME
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return None
        outcome: Outcome = Decoder(_NO_NUMBERS).decode(Outcome, document.get("tuning"))
        return outcome if _is_sound(outcome) else None
    except (OSError, ValueError, RecursionError, RunDamaged):
        return None


def _is_sound(outcome: Outcome) -> bool:
    """Whether times are times: a file may come from anywhere."""
    measured = [outcome.ceiling_ns, outcome.last_ceiling_ns]
    for trial in outcome.trials:
        measured += [trial.against_ns, trial.step_ns, trial.predicted_ns]
        measured += [trial.speedup, trial.low, trial.high]
    times = [time for time in measured if time is not None]
    return all(0 < time < math.inf for time in (outcome.today_ns, outcome.best_ns, *times))
