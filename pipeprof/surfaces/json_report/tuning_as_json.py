"""What tuning found, as plain values for programs."""

from typing import Any

from pipeprof.recording.pipeline_edits import edit_to_dict
from pipeprof.recording.tuning_outcome import Change, Trial, TuningOutcome
from pipeprof.report.tuning.tuning_code import code_of


def tuning_dict(outcome: TuningOutcome) -> dict[str, Any]:
    """The result of tuning; times in milliseconds, None where something was not measured."""
    return {
        "input": outcome.described.kind.value,
        "today_step_ms": outcome.today_ns / 1e6,
        "best_step_ms": outcome.best_ns / 1e6,
        "speedup": outcome.speedup,
        "ceiling_step_ms": _ms(outcome.ceiling_ns),
        "last_ceiling_step_ms": _ms(outcome.last_ceiling_ns),
        "best": _changes(outcome.best),
        "code": code_of(outcome.described, outcome.best),
        "stopped": outcome.stopped,
        "interrupted": outcome.interrupted,
        "trials": [_trial(trial) for trial in outcome.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "changes": _changes(trial.change),
        "predicted_step_ms": _ms(trial.predicted_ns),
        "step_ms": _ms(trial.step_ns),
        "against_step_ms": _ms(trial.against_ns),
        "speedup": trial.speedup,
        "speedup_interval": None if trial.low is None else [trial.low, trial.high],
        "kept": trial.kept,
        "refused": trial.refused,
    }


def _changes(change: Change) -> list[dict[str, Any]]:
    return [edit_to_dict(edit) for edit in change]


def _ms(step_ns: float | None) -> float | None:
    return None if step_ns is None else step_ns / 1e6
