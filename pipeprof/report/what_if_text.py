"""What is predicted if something were otherwise, in words."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.what_if_kinds import (
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
from pipeprof.report.numbers import count, duration, percent, size, times


def describe_prediction(
    suppositions: Sequence[Supposition], prediction: SupposedStep
) -> Iterator[str]:
    """The prediction in sentences."""
    supposed = " and ".join(describe_supposition(one) for one in suppositions)
    low, high = duration(prediction.interval.low), duration(prediction.interval.high)
    step = duration(prediction.step_ms)
    yield (
        f"With {supposed} a step would take {step} ({low} to {high}), "
        f"{times(prediction.speedup)} as fast as today's {duration(prediction.today_ms)}."
    )
    yield f"The whole training would take {duration(prediction.wall_s * 1e3)}."
    missed = abs(prediction.unexplained_ms) / prediction.today_ms
    if missed >= 0.05:
        yield f"The model misses today's step by {percent(missed)}; that part is carried along."
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
