"""Gives advice the proof of it: what the change gave when tuning tried it."""

from collections.abc import Iterable
from dataclasses import replace

from pipeprof.analysis.findings.advice_kinds import Advice, Remedy, Verified
from pipeprof.analysis.findings.input_remedies import MoreWorkers, Prefetch, WorkerThreads
from pipeprof.analysis.findings.tfdata_remedies import Cache, ParallelCalls
from pipeprof.recording import pipeline_edits
from pipeprof.recording.pipeline_edits import Edit
from pipeprof.recording.source_code import own_name
from pipeprof.recording.tuning_outcome import Trial, TunedTransformation, TuningOutcome


def with_proof(advice: Iterable[Advice], outcome: TuningOutcome | None) -> tuple[Advice, ...]:
    """The advice, with what tuning measured of each.

    A trial proves an advice if it changed just that, on top of the input as it was.
    """
    if outcome is None:
        return tuple(advice)
    places = {place.node: place for place in outcome.described.places}
    return tuple(_with_trial(one, outcome, places) for one in advice)


def _with_trial(
    advice: Advice, outcome: TuningOutcome, places: dict[str, TunedTransformation]
) -> Advice:
    kept_before = False
    for trial in outcome.trials:
        alone = len(trial.change) == 1 and not kept_before
        if alone and _is_that(advice.remedy, trial.change[0], places):
            return _verified(advice, trial)
        kept_before = kept_before or trial.kept
    return advice


def _verified(advice: Advice, trial: Trial) -> Advice:
    if trial.step_ns is None or trial.speedup is None:
        return advice
    return replace(advice, verified=Verified(step_ms=trial.step_ns / 1e6, speedup=trial.speedup))


def _is_that(remedy: Remedy, edit: Edit, places: dict[str, TunedTransformation]) -> bool:
    match remedy, edit:
        case Prefetch(), pipeline_edits.AddPrefetch() | pipeline_edits.BackgroundThread():
            return True
        case ParallelCalls(), pipeline_edits.SetCalls():
            return _named(edit.node, places) == remedy.stage
        case Cache(), pipeline_edits.AddCache():
            return _named(edit.node, places) == remedy.stage
        case MoreWorkers(), pipeline_edits.Workers():
            return edit.processes is remedy.processes and edit.workers == remedy.workers
        case WorkerThreads(), pipeline_edits.Workers():
            return not edit.processes and edit.workers == remedy.workers
    return False


def _named(node: str, places: dict[str, TunedTransformation]) -> str | None:
    """The name that a recording gives the stage of a transformation."""
    place = places.get(node)
    return own_name(place.function) if place else None
