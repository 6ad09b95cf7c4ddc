"""The sentence of each kind of advice, and what it gave or should give."""

from collections.abc import Sequence

from pipeprof.analysis.findings.advice_kinds import (
    Advice,
    FeedValidation,
    LeaveInput,
    Prediction,
    Remedy,
)
from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    CheaperOwnCode,
    MoreFeeders,
    PredictOnBatch,
    PrepareBeside,
    SaveLessOften,
    ValidateLessOften,
)
from pipeprof.analysis.findings.input_remedies import (
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreHelpers,
    MoreWorkers,
    OwnProcesses,
    Prefetch,
    SmallerBatches,
    WaitLess,
    WorkerThreads,
)
from pipeprof.analysis.findings.tfdata_remedies import (
    BatchFirst,
    Cache,
    CheaperService,
    FilterFirst,
    MoreDataWorkers,
    MoreFiles,
    OneIterator,
    OpenInParallel,
    OwnThreads,
    ParallelCalls,
    ParallelFilter,
    ShuffleFirst,
    SwitchAutotuneOn,
    TensorflowOps,
)
from pipeprof.recording.account import CallbackEvent, FeederKind
from pipeprof.report.many_hosts.service_text import cheaper_service_sentences
from pipeprof.report.numbers import amount, count, duration, duration_range, percent, size, times
from pipeprof.report.plain_text import sentence

# What is not explained is reported from this part of the predicted step on.
_UNEXPLAINED_FROM = 0.05
# A device that works for more of the time than this has no room for more.
_BUSY_FROM = 0.7


def describe_advice(advice: Advice) -> str:
    """What to do, with what it gave or should give; fit for a screen."""
    summary, outcome = sentence(remedy_sentence(advice.remedy)), expected(advice)
    return f"{summary.rstrip('.')} ({outcome})." if outcome else summary


def expected(advice: Advice) -> str:
    """What an advice gave or should give, or nothing."""
    found = advice.prediction
    predicted = "" if found is None else _predicted(found)
    if advice.verified is None:
        return f"predicted {predicted}" if predicted else ""
    measured = (
        f"{duration(advice.verified.step_ms)} per step, {times(advice.verified.speedup)} as fast"
    )
    return f"measured {measured}; predicted {predicted}" if predicted else f"measured {measured}"


def _predicted(found: Prediction) -> str:
    """``9.6 ms per step (9.1 to 10.4 ms), 3.3 times as fast``, and what of today's step has no cause."""
    low, high = duration(found.low_ms), duration(found.high_ms)
    between = "" if low == high else f", {duration_range(found.low_ms, found.high_ms)}"
    predicted = f"{duration(found.step_ms)} per step{between}, {times(found.speedup)} as fast"
    if found.unexplained_ms >= _UNEXPLAINED_FROM * found.step_ms:
        predicted += f"; {duration(found.unexplained_ms)} of it are unexplained"
    return predicted


def remedy_sentence(remedy: Remedy) -> str:  # noqa: C901 - one case a kind
    """What to do, in a sentence; names of the run stand in it as they are."""
    match remedy:
        case LongerEpochs():
            joined = ", joined right behind shuffle" if remedy.behind_shuffle else ""
            return (
                f"Start the input less often: make an epoch several passes over the data{joined}."
            )
        case OneIterator():
            return (
                "Take all epochs from one iterator: let the dataset repeat, and give fit the number "
                "of steps of an epoch."
            )
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
            names = stages_of(remedy)
            each = ", each" if len(names) > 1 else ""
            calls = count(remedy.calls, "call")
            own = _on_own_threads(remedy.threads)
            return f"Let {_listed(names)} make up to {calls} at once{each}{own}."
        case OwnThreads():
            return (
                f"Give the pipeline threads of its own for the calls of {remedy.stage}: TensorFlow has one "
                "a core, so no more of them run at once."
            )
        case ParallelFilter():
            return f"Let {remedy.stage} decide about several elements at once, in a map before the filter."
        case OpenInParallel():
            return _open_in_parallel(remedy)
        case MoreFiles():
            return (
                f"The order changes: write the records that {remedy.reader} reads into several files, "
                f"and read {remedy.calls} of them at once{_on_own_threads(remedy.threads)}."
            )
        case FilterFirst():
            return (
                f"Filter before {remedy.stage}, if {remedy.filter} can decide without what that adds: "
                f"{percent(1 - remedy.kept_ratio)} of its elements are thrown away afterwards."
            )
        case BatchFirst(parses=True):
            return f"Batch before {remedy.stage}: parse_example parses a whole batch in one call."
        case BatchFirst():
            return (
                f"Batch before {remedy.stage}, if its function works on a whole batch as well: "
                "one call per batch costs far less."
            )
        case ShuffleFirst():
            return (
                f"Shuffle before {remedy.stage}: the shuffle then fills with what is not loaded yet, "
                "such as file names."
            )
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
            why = (
                "no core is free" if remedy.no_core_free else "it uses all the CPU that it may use"
            )
            return f"{less}: {why}, so more workers or threads do not help."
        case MoreHelpers():
            why = "they mostly wait" if remedy.waits else "cores are free"
            return f"Let {remedy.processes} processes work for {remedy.stage} at once: {why}."
        case WaitLess():
            return (
                f"Let {remedy.stage} wait less (faster or nearer storage, fewer and larger files): "
                "no core is free for more calls at once."
            )
        case MoreDataWorkers():
            today = count(remedy.today, "worker")
            return (
                f"Run {remedy.workers} workers of the tf.data service, with cores of their own, instead "
                f"of {today}."
            )
        case CheaperService():
            return cheaper_service_sentences(remedy)
        case SmallerBatches():
            return _smaller_batches(remedy)
        case TensorflowOps():
            return f"Write {remedy.stage} with TensorFlow operations, which run without the GIL."
        case SaveLessOften():
            when = (
                "once an epoch and not after batches" if remedy.each_batch else "every few epochs"
            )
            return f"Let {remedy.callback.value} save {when}."
        case CheaperCallback():
            return _cheaper_callback(remedy)
        case ValidateLessOften():
            return (
                "Validate less often: validation takes "
                f"{percent(remedy.ratio)} of the training's time."
            )
        case FeedValidation():
            fed = remedy_sentence(remedy.remedy)
            return f"In the validation, which waits for data: {fed[:1].lower()}{fed[1:]}"
        case LeaveInput():
            return _leave_input(remedy)
        case PrepareBeside():
            return (
                f"Do the work of {remedy.function} before the training, or in a thread beside it: "
                "the training waits for it between epochs."
            )
        case PredictOnBatch():
            return (
                "Predict single batches with predict_on_batch: predict makes an input pipeline in each "
                f"call, and its {remedy.calls:,} calls took {duration(remedy.call_ms)} each."
            )
        case MoreFeeders():
            several = "processes" if remedy.by is FeederKind.PROCESS else "threads"
            return (
                f"Batches may come in another order: let several {several} run {remedy.function}, or make "
                "it cheaper. The training waits for it."
            )
        case CheaperOwnCode():
            return (
                f"Make {remedy.function} cheaper, or run it beside the training: "
                "the training waits for it."
            )


def stages_of(remedy: ParallelCalls) -> tuple[str, ...]:
    """Names of the stages that are to make several calls at once."""
    return remedy.stage, *(each.stage for each in (*remedy.before, *remedy.behind))


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _open_in_parallel(remedy: OpenInParallel) -> str:
    if remedy.in_order:
        own = _on_own_threads(remedy.threads)
        return f"Let {remedy.stage} read from several inputs at once{own}."
    return (
        f"The order changes: read from {remedy.calls} inputs of {remedy.stage} at once, "
        f"with interleave in place of flat_map{_on_own_threads(remedy.threads)}."
    )


def _on_own_threads(threads: int | None) -> str:
    return ", on threads of its own: TensorFlow has one a core" if threads is not None else ""


def _smaller_batches(remedy: SmallerBatches) -> str:
    if remedy.dtype is None:
        return (
            "Send less data between the processes: smaller types, smaller pictures, shorter texts."
        )
    if remedy.exact:
        return f"Send {remedy.dtype}: half the bytes, and the model reads that anyway."
    if remedy.pictures:
        return (
            "The values change unless they are whole numbers from 0 to 255: send the pictures as "
            f"{remedy.dtype}, a quarter of the bytes, and scale them in the model."
        )
    return f"The values are rounded: send {remedy.dtype}, half the bytes."


def _cheaper_callback(remedy: CheaperCallback) -> str:
    match remedy.method.event if remedy.method else CallbackEvent.OTHER:
        case CallbackEvent.BATCH:
            often = "every few batches"
        case CallbackEvent.EPOCH:
            often = "every few epochs"
        case CallbackEvent.OTHER:
            return f"Let {remedy.name} do less: the training waits for it."
    return f"Let {remedy.name} do less, or run it {often} only: the training waits for it."


def _leave_input(remedy: LeaveInput) -> str:
    leave = "Leave the input as it is:"
    if remedy.device is not None and remedy.device_busy_ratio is not None:
        busy = f"{remedy.device} works {percent(remedy.device_busy_ratio)} of the time"
        if remedy.device_busy_ratio >= _BUSY_FROM:
            return f"{leave} {busy} and is the limit. A cheaper model or a faster device is what helps."
        return (
            f"{leave} {busy} and waits for the host to start its work. Larger batches, "
            "steps_per_execution or jit_compile give it more work at once."
        )
    cores = amount(remedy.cores, "core")
    use = "" if remedy.cpu_busy_ratio is None else f", {percent(remedy.cpu_busy_ratio)} in use"
    return (
        f"{leave} the model's own computing, on {cores}{use}, is the limit. A cheaper model or a "
        "faster device is what helps."
    )


def _cache(remedy: Cache) -> str:
    shuffle = (
        ", and shuffle after the cache: a cache after shuffle keeps one order"
        if remedy.before_shuffle
        else ""
    )
    same = ", if it is the same in each epoch"
    if remedy.size_bytes is None:
        kept = f"{same} and fits into memory"
    elif remedy.on_disk:
        kept = f" in a file ({size(remedy.size_bytes)} is much for the memory){same}"
    else:
        kept = f" (about {size(remedy.size_bytes)}){same}"
    return f"Cache the output of {remedy.stage}{kept}{shuffle}. It helps from the second epoch on."
