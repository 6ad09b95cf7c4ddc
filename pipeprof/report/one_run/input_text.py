"""How the input of a loop ran, in pieces of sentences: what fed it, where, how far ahead, its tuning."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.analysis.findings.evidence_kinds import Evidence
from pipeprof.analysis.findings.findings import LoopFinding
from pipeprof.analysis.findings.input_findings import (
    AutotuneFinding,
    FixedParallelism,
    InputFinding,
)
from pipeprof.analysis.findings.tfdata_remedies import ParallelCalls
from pipeprof.analysis.findings.wait_evidence_kinds import EpochStartWait, WhereItRan
from pipeprof.report.names.stage_labels import input_place
from pipeprof.report.numbers import duration, level, percent
from pipeprof.report.one_run.advice_text import stages_of
from pipeprof.report.one_run.autotune_text import autotune_warning, describe_tuned
from pipeprof.report.one_run.epoch_start_text import are_short, describe_starts, differ
from pipeprof.report.plain_text import sentence, shown


def input_pieces(main: LoopFinding, *, besides: Sequence[Evidence] = ()) -> Iterator[str]:
    """What fed a loop, where that ran, and how far ahead of the training it was.

    Args:
        main: the loop.
        besides: evidence that is shown as well; what it says already is left out.
    """
    found = main.input
    if found.kind is not None:
        yield f"{found.kind} {shown(main.loop.input.name)}" if main.loop.input.name else found.kind
    place = input_place(found)
    if place is not None and not any(map(_names_lane, besides)):
        yield f"ran on {shown(place)}"
    beside = overlap(found)
    if beside is not None and not any(map(_names_overlap, besides)):
        yield f"{beside} overlapped with training"
    if found.queue_mean is not None and found.queue_size is not None:
        yield f"{level(found.queue_mean)} of {found.queue_size} batches ready"
    if found.queue_empty_ratio is not None:
        yield f"queue empty {percent(found.queue_empty_ratio)} of the time"
    starts = describe_starts(found.epoch_starts)
    if starts is not None:
        known = any(isinstance(each, EpochStartWait) for each in besides)
        step_ms = main.diagnosis.step_ms.mean if main.diagnosis.step_ms else 0.0
        if differ(found.epoch_starts) or not (known or are_short(found.epoch_starts, step_ms)):
            yield starts
    elif found.epoch_start_ms is not None:
        yield f"first batch of an epoch took {duration(found.epoch_start_ms)}"


def _names_lane(evidence: Evidence) -> bool:
    return isinstance(evidence, WhereItRan) and evidence.lane is not None


def _names_overlap(evidence: Evidence) -> bool:
    return isinstance(evidence, WhereItRan) and evidence.overlap_ratio is not None


def tuning(found: AutotuneFinding, *, besides: Sequence[Advice] = ()) -> list[str]:
    """What AUTOTUNE did with the pipeline, and what stands in its way: pieces and sentences.

    Args:
        found: what it did.
        besides: advice that is shown as well; a warning that leads to it is left out.
    """
    parallel = {
        name
        for each in besides
        if isinstance(each.remedy, ParallelCalls)
        for name in stages_of(each.remedy)
    }
    warnings = [
        each
        for each in found.warnings
        if not (isinstance(each, FixedParallelism) and each.stage.name in parallel)
    ]
    return [sentence(text) for text in (*describe_tuned(found), *map(autotune_warning, warnings))]


def overlap(found: InputFinding) -> str | None:
    """How much of the input work ran beside the training, or None where that is not known."""
    if found.overlap_ratio is None:
        return None
    return f"{'about ' if found.overlap_estimated else ''}{percent(found.overlap_ratio)}"
