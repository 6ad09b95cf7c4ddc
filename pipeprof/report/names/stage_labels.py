"""What a stage is called in tables, pictures and sentences: its name, place and kernel."""

import re
from collections import Counter
from collections.abc import Sequence

from pipeprof.analysis.findings.findings import Bottleneck, StageFinding
from pipeprof.analysis.findings.input_findings import InputFinding
from pipeprof.analysis.findings.references import StageReference
from pipeprof.recording.stage import Stage, StageOwner
from pipeprof.report.numbers import count, duration

# Stages that nobody wrote and that work less than this in a step are one line.
_MINOR_MS = 0.01

_VERSION = re.compile(r"V\d+$")


def label_of(stage: StageReference) -> str:
    """``decode (train.py:41)``: a stage's name with its line, where it has one.

    If a library made the stage for that line, the label has the library's function too: ``map of
    image_dataset_from_directory (train.py:5)``.
    """
    name = f"{stage.name} of {stage.made_by}" if stage.made_by else stage.name
    return f"{name} ({stage.location.short})" if stage.location else name


def ran_on(lanes: tuple[str, ...]) -> str | None:
    """The lane that did most of some work and how many others did any, or None without any."""
    if not lanes:
        return None
    return f"{lanes[0]} +{len(lanes) - 1}" if len(lanes) > 1 else lanes[0]


def input_place(found: InputFinding) -> str | None:
    """Where an input did its work, or None where that is not known."""
    if found.on_main_thread:
        return "main thread"
    if found.workers and found.multiprocessing is not None:
        return count(found.workers, "process" if found.multiprocessing else "thread")
    return ran_on(found.threads)


def where(stage: Stage) -> str | None:
    """The user's line that a stage stands for, else what is to be known of it, or None."""
    if stage.location:
        return stage.location.short
    remark = remark_of(stage)
    return f"({remark})" if remark else None


def remark_of(stage: Stage) -> str | None:
    """``added by Keras; runs fused with batch``: what is to be known of a stage, or None."""
    added = None if stage.owner is StageOwner.USER else f"added by {stage.owner.value}"
    return "; ".join(part for part in (added, stage.remark) if part) or None


def distinct_names(stages: Sequence[StageFinding]) -> tuple[str, ...]:
    """Names of stages in their order, with a number where name and place are alike: ``map (2)``."""
    alike = Counter((found.stage.name, where(found.stage)) for found in stages)
    numbers: Counter[tuple[str, str | None]] = Counter()
    names = []
    for found in stages:
        label = found.stage.name, where(found.stage)
        numbers[label] += 1
        name = name_with_copies(found)
        names.append(f"{name} ({numbers[label]})" if alike[label] > 1 else name)
    return tuple(names)


def name_with_copies(found: StageFinding) -> str:
    """``decode``; where copies of it work in branches of the pipeline, with their number."""
    return (
        f"{found.stage.name} \N{MULTIPLICATION SIGN}{found.copies}"
        if found.copies > 1
        else found.stage.name
    )


# From this part of a stage's cost on the report states that it was estimated.
ESTIMATED_FROM = 0.1


def stage_cost(found: StageFinding) -> str:
    """``15.2 ms``, a stage's work per step; ``about 15.2 ms`` where much of it was estimated."""
    about = "about " if found.estimated_ratio >= ESTIMATED_FROM else ""
    return f"{about}{duration(found.cost_ms)}"


def worth_a_row(
    stages: Sequence[StageFinding], slowest: Bottleneck | None
) -> tuple[Sequence[StageFinding], Sequence[StageFinding]]:
    """The stages to list each by itself, and those that the user did not write and that cost nothing.

    What the training takes from is listed: how full its buffer is matters more than its cost.
    """
    minor = [
        found
        for found in stages
        if found.cost_ms < _MINOR_MS
        and found.stage.owner is not StageOwner.USER
        and found.stage.location is None
        and found.stage.parent is not None
        and (slowest is None or found.index != slowest.index)
    ]
    if len(minor) < 2:
        return stages, ()
    folded = {found.index for found in minor}
    return [found for found in stages if found.index not in folded], minor


def added_by(stages: Sequence[StageFinding]) -> str:
    """``added by Keras and tf.data``: whose these stages are, none of them the user's."""
    return f"added by {' and '.join(sorted({found.stage.owner.value for found in stages}))}"


def as_it_runs(stage: Stage) -> str | None:
    """``decode (map → batch) as MapAndBatch``: what tf.data runs several transformations as, or None."""
    if not stage.fused or not stage.written or not stage.runs_as:
        return None
    written = "" if stage.written == stage.name else f" ({stage.written})"
    return f"{stage.name}{written} as {runs_as(stage)}"


def runs_as(stage: Stage) -> str | None:
    """``MapAndBatch``: what tf.data runs for a stage, without the version of its kernel; or None."""
    return _VERSION.sub("", stage.runs_as) if stage.runs_as else None
