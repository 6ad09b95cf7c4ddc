"""What is predicted if something were otherwise, in words."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    FreeBatches,
    LoadedAhead,
    LoadedByWorkers,
    NoCallback,
    NoEpochStarts,
    StageCosts,
    StageRuns,
    SupposedStep,
    Supposition,
    WithCores,
)
from pipeprof.analysis.predicting.what_if_choices import Control
from pipeprof.report.numbers import count, duration, duration_range, percent, size, times
from pipeprof.report.plain_text import shown


def describe_prediction(
    suppositions: Sequence[Supposition], prediction: SupposedStep
) -> Iterator[str]:
    """The prediction in sentences."""
    supposed = " and ".join(describe_supposition(one) for one in suppositions)
    between = duration_range(prediction.interval.low, prediction.interval.high)
    step = duration(prediction.step_ms)
    yield (
        f"With {supposed} a step would take {step} ({between}), "
        f"{times(prediction.speedup)} as fast as today's {duration(prediction.today_ms)}."
    )
    yield f"The whole training would take {duration(prediction.wall_s * 1e3)}."
    missed = abs(prediction.unexplained_ms) / prediction.today_ms
    if missed >= 0.05:
        yield (
            f"The model and today's step differ by {percent(missed)} of it: the prediction keeps that part."
        )
    if prediction.memory_bytes is not None:
        fits = {True: ", which fits", False: ", which does not fit", None: ""}[
            prediction.memory_fits
        ]
        yield f"The cache would hold {size(prediction.memory_bytes)}{fits}."


def describe_supposition(supposition: Supposition) -> str:  # noqa: C901 - one case a kind
    """What is supposed, to stand behind 'with'."""
    match supposition:
        case FreeBatches():
            return "input for free"
        case StageCosts(factor=0):
            return f"{supposition.stage} for free"
        case StageCosts():
            return f"{supposition.stage} at {percent(supposition.factor)} of its cost"
        case StageRuns():
            return f"{count(supposition.parallelism, 'call')} of {supposition.stage} at once"
        case LoadedAhead():
            return "prefetch"
        case LoadedByWorkers():
            noun = "worker process" if supposition.processes else "worker thread"
            return count(supposition.workers, noun)
        case CachedBehind():
            return f"a cache behind {supposition.stage}"
        case NoEpochStarts():
            return "no waiting where epochs begin"
        case NoCallback():
            return f"{supposition.callback} for free"
        case WithCores():
            return f"{supposition.cores:g} cores"


def control_name(control: Control) -> str:
    """What a control changes, as a label."""
    if control.stage is not None:
        return f"stage {shown(control.stage)}"
    match control.choices[0]:
        case LoadedAhead():
            return "prefetch"
        case LoadedByWorkers():
            return "worker threads or processes"
        case NoEpochStarts():
            return "waiting where epochs begin"
        case NoCallback(callback=name):
            return f"callback {shown(name)}"
        case WithCores():
            return "CPU cores"
        case _:
            return "input"


def choice_name(supposition: Supposition) -> str:
    """One way in which a control can be set, as an item of a list."""
    match supposition:
        case StageCosts(factor=0) | FreeBatches():
            return "for free"
        case StageCosts(factor=0.5):
            return "half its cost"
        case StageCosts():
            return f"{percent(supposition.factor)} of its cost"
        case StageRuns():
            return f"{count(supposition.parallelism, 'call')} at once"
        case LoadedAhead():
            return "yes"
        case LoadedByWorkers():
            noun = "process" if supposition.processes else "thread"
            return count(supposition.workers, noun)
        case CachedBehind():
            return "with a cache behind it"
        case NoEpochStarts() | NoCallback():
            return "without"
        case WithCores():
            return f"{supposition.cores:g}"
