"""The sentence of each kind of evidence. Names of the run stand in it as they are."""

from pipeprof.analysis.findings.caveat_kinds import Caveat
from pipeprof.analysis.findings.evidence_kinds import (
    ComputeEvidence,
    Evidence,
    GilBesideTraining,
    InputKeepsUp,
    NoStepTime,
    NoVerdictEvidence,
    SpareCapacity,
    WaitsNotMeasured,
    WarmupCosts,
)
from pipeprof.analysis.findings.wait_evidence_kinds import WaitEvidence
from pipeprof.analysis.findings.wall_evidence_kinds import WallEvidence
from pipeprof.report.names.stage_labels import label_of
from pipeprof.report.numbers import duration, percent, rate
from pipeprof.report.one_run.caveat_text import caveat_sentence
from pipeprof.report.one_run.wait_text import wait_sentence
from pipeprof.report.one_run.wall_text import wall_sentence


def evidence_sentence(found: Evidence) -> str:
    """A piece of evidence in one sentence or a few short ones."""
    if isinstance(found, WaitEvidence):
        return wait_sentence(found)
    if isinstance(found, WallEvidence):
        return wall_sentence(found)
    if isinstance(found, Caveat):
        return caveat_sentence(found)
    if isinstance(found, ComputeEvidence):
        return _compute_sentence(found)
    return _no_verdict_sentence(found)


def _no_verdict_sentence(found: NoVerdictEvidence) -> str:
    match found:
        case WaitsNotMeasured():
            return "pipeprof could not measure how long the steps waited for data."
        case NoStepTime(finished=True):
            return "The steps took no time that could be measured."
        case NoStepTime():
            return "The loop ended before its first step was finished."
        case WarmupCosts():
            return "The costs of the stages are those of the warm-up."


def _compute_sentence(found: ComputeEvidence) -> str:
    match found:
        case InputKeepsUp():
            return (
                f"A step takes {duration(found.step_ms)} and waits {duration(found.wait_ms)} of it: "
                "the input keeps up."
            )
        case SpareCapacity():
            return (
                f"The slowest input stage, {label_of(found.stage)}, could feed "
                f"{rate(found.capacity_per_s)} steps/s; the training took "
                f"{rate(found.steps_per_s)} steps/s."
            )
        case GilBesideTraining():
            return (
                f"Input threads in the training's process compute {percent(found.busy_ratio)} of the "
                "time. While they hold the GIL, the training waits for it; that counts as compute."
            )
