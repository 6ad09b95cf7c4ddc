"""The sentence of each kind of advice, and what it gave or should give."""

from pipeprof.analysis.advice_kinds import (
    Advice,
    Cache,
    CheaperCallback,
    CheaperOwnCode,
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreWorkers,
    OwnProcesses,
    ParallelCalls,
    Prefetch,
    PrepareBeside,
    Remedy,
    SaveLessOften,
    SmallerBatches,
    SwitchAutotuneOn,
    TensorflowOps,
    WaitLess,
    WorkerThreads,
)
from pipeprof.report.numbers import count, duration, times
from pipeprof.report.plain_text import sentence


def describe_advice(advice: Advice) -> str:
    """What to do, with what it gave or should give; fit for a screen."""
    summary, outcome = sentence(remedy_sentence(advice.remedy)), expected(advice)
    return f"{summary.rstrip('.')} ({outcome})." if outcome else summary


def expected(advice: Advice) -> str:
    """What an advice gave or should give, or nothing."""
    predicted = describe_gain(advice.predicted_step_ms, advice.predicted_speedup)
    if advice.verified is None:
        return f"predicted {predicted}" if predicted else ""
    measured = describe_gain(advice.verified.step_ms, advice.verified.speedup)
    return f"measured {measured}; predicted {predicted}" if predicted else f"measured {measured}"


def describe_gain(step_ms: float | None, speedup: float | None) -> str:
    """``9.6 ms per step, 3.3 times as fast``.

    Args:
        step_ms: the step time, or None.
        speedup: today's step time over that one, or None.
    """
    return ", ".join(
        (
            *(() if step_ms is None else (f"{duration(step_ms)} per step",)),
            *(() if speedup is None else (f"{times(speedup)} as fast",)),
        )
    )


def remedy_sentence(remedy: Remedy) -> str:  # noqa: C901 - one case a kind
    """What to do, in a sentence; names of the run stand in it as they are."""
    match remedy:
        case LongerEpochs():
            return "Start the input less often: let one epoch be several passes over the data."
        case Prefetch():
            return "Load the next batch while this one trains."
        case MoreWorkers():
            kind = "worker process" if remedy.processes else "worker thread"
            extra = "; the transport between processes costs extra" if remedy.processes else ""
            return f"Run {remedy.stage} in {count(remedy.workers, kind)}{extra}."
        case LongerQueue():
            return "Use a longer queue, so that one slow batch does not stop the workers."
        case OwnProcesses():
            return "Load in worker processes, which have a GIL of their own."
        case ParallelCalls():
            return f"Let {remedy.stage} make up to {count(remedy.calls, 'call')} at once."
        case WorkerThreads():
            return "Use worker threads instead of processes: their batches need no transport."
        case Cache():
            return _cache(remedy)
        case SwitchAutotuneOn():
            return (
                "Switch AUTOTUNE on: it tunes the pipeline, and tf.data then measures what each "
                "stage costs."
            )
        case LessWork():
            less = (
                f"Make {remedy.stage} cheaper, or do its work once before the training"
                if remedy.by_user
                else "Give the training more CPU"
            )
            return f"{less}: no core is free, so more workers or threads do not help."
        case WaitLess():
            return (
                f"Let {remedy.stage} wait less (faster or nearer storage, fewer and larger files): "
                "no core is free for more calls at once."
            )
        case SmallerBatches():
            return "Send less data: send small types and convert them in the model."
        case TensorflowOps():
            return f"Write {remedy.stage} with TensorFlow operations, which run without the GIL."
        case SaveLessOften():
            return f"Let {remedy.callback} save once an epoch and not after batches."
        case CheaperCallback():
            often = "every few batches" if remedy.each_batch else "every few epochs"
            return (
                f"Let {remedy.method} do less, or run it {often} only: the training waits for it."
            )
        case PrepareBeside():
            return (
                f"Do the work of {remedy.function} before the training, or in a thread beside it: "
                "the training waits for it between epochs."
            )
        case CheaperOwnCode():
            return (
                f"Make {remedy.function} cheaper, or run it beside the training: "
                "the training waits for it."
            )


def _cache(remedy: Cache) -> str:
    shuffle = (
        ", and shuffle after the cache: a cache after shuffle keeps one order"
        if remedy.before_shuffle
        else ""
    )
    return (
        f"Cache the output of {remedy.stage}, if it is the same in each epoch and fits into "
        f"memory{shuffle}. It helps from the second epoch on."
    )
