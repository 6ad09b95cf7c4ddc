"""Why a training waits for its input, in sentences: its bottleneck, and where its epochs begin."""

from collections.abc import Iterator

from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.references import LaneReference
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    BottleneckAtWork,
    EpochStartWait,
    HeldUpByInput,
    MadeInOwnThread,
    NativeThreads,
    NoStageSeen,
    OneBatchAtATime,
    RemoteWait,
    RestartCost,
    StagesNotCounted,
    ThrownAway,
    Traffic,
    WaitEvidence,
    WhereItRan,
    WorkersAndTransport,
    WorkInWorkers,
    WorkOfFeeder,
)
from pipeprof.analysis.findings.work_reasons import (
    BlockingWork,
    CallKind,
    ComputingWork,
    CoreFreeWork,
    GilWork,
    HelperWork,
    OutOfOrderWork,
    QueuedWork,
    SaturatedWork,
    SerialWork,
    SlowestInsideEpochs,
    ThrottledWork,
    TransportWork,
    WorkReason,
)
from pipeprof.recording.lane import Role
from pipeprof.report.many_hosts.service_text import idle_workers, service_sentence
from pipeprof.report.names.part_names import feeder_name
from pipeprof.report.names.stage_labels import label_of
from pipeprof.report.numbers import amount, count, duration, few_digits, percent, size
from pipeprof.report.one_run.epoch_start_text import start_cause
from pipeprof.report.plain_text import shown

# A place that works this much of the time works without a pause.
# Cores that are used for less than this part of the time are not all taken all the time.
_ALL_FROM = 0.8
_NO_PAUSE_FROM = 0.9

# Holding up for less than this is not worth a word.
_SOME_HELD_FROM = 0.01

# An overlap below this is none.
_SOME_OVERLAP_FROM = 0.005

_CPU_UNKNOWN = " Its own CPU time was not measured."


def wait_sentence(found: WaitEvidence) -> str:  # noqa: C901 - one case a kind
    """The sentence of a piece of evidence for waiting."""
    match found:
        case HeldUpByInput():
            return _held_up(found)
        case WorkOfFeeder():
            return _work_of_feeder(found)
        case MadeInOwnThread():
            maker = found.feeder
            return (
                f"{percent(found.ratio)} of the waiting is for {shown(maker.function)} "
                f"({shown(maker.location.short)}), which the training's own thread runs for its next batch."
            )
        case StagesNotCounted():
            return (
                "AUTOTUNE is switched off, so tf.data does not measure the work of its stages and "
                "none can be named."
            )
        case NoStageSeen():
            return (
                "No stage of the input was seen at work, so none can be named. "
                "Mark the functions that load data with pipeprof.stage."
            )
        case EpochStartWait():
            return _epoch_start(found)
        case RestartCost():
            return (
                f"Each epoch starts the input again: {duration(found.cost_ms)} per step, "
                f"{percent(found.share)} of its work."
            )
        case RemoteWait():
            return _remote_wait(found)
        case WorkInWorkers():
            return service_sentence(found)
        case BottleneckAtWork():
            return _at_work(found)
        case NativeThreads():
            return _native_threads(found)
        case ThrownAway():
            return _thrown_away(found)
        case WhereItRan():
            return " ".join(_where_it_ran(found))
        case Traffic():
            return _traffic(found)
        case OneBatchAtATime():
            return f"With workers={found.workers} and no processes, batches are loaded one by one."
        case WorkersAndTransport():
            return (
                f"Worker processes take {duration(found.work_ms)} of work per step off the training's "
                f"process; the transport of their batches takes {duration(found.transport_ms)}."
            )


def _remote_wait(found: RemoteWait) -> str:
    waits = f"The training waits {duration(found.cost_ms)} per step for {label_of(found.stage)}"
    if found.workers is None:
        return f"{waits}: its stages run in another process, which pipeprof does not measure."
    return f"{waits}. {idle_workers(found.workers)}"


def _work_of_feeder(found: WorkOfFeeder) -> str:
    feeder = found.feeder
    place = f"{shown(feeder.function)} ({shown(feeder.location.short)})"
    share = percent(feeder.share)
    if feeder.own_thread:
        return (
            f"The training makes its batches in its own thread, between the steps. {share} of the samples "
            f"taken there were in {place}. {_how_it_makes(found)}"
        ).strip()
    where = _lane_of(feeder)
    runs = (
        f"The training waits for {place}, which runs in {where}."
        if found.waits
        else f"{place} runs in {where} while the training computes."
    )
    taken = f"{share} of the samples of what feeds the training were taken there."
    how = _how_it_makes(found) if found.waits else ""
    return " ".join(filter(None, (runs, how, taken, _turns(found))))


def _lane_of(feeder: Feeder) -> str:
    name = shown(feeder_name(feeder.lane))
    if feeder.lane is None:
        return name
    return f"a {name}" if feeder.lane.name is None else f"the {name}"


def _how_it_makes(found: WorkOfFeeder) -> str:
    """Whether it computes or waits; nothing where its CPU time was not read."""
    if found.cause is Cause.BLOCKING:
        return "It mostly waits (files, network or sleep)."
    return "It mostly computes." if found.cause is Cause.CPU else ""


def _turns(found: WorkOfFeeder) -> str:
    if found.cause is not Cause.GIL or not found.waits or found.feeder.threads < 2:
        return ""
    return f"{found.feeder.threads} threads run it, and the GIL lets one thread of a process run at a time."


def _held_up(found: HeldUpByInput) -> str:
    causes = [
        f"{percent(ratio)} of the time {cause}"
        for ratio, cause in (
            (found.gil_ratio, "it waits for the GIL, which input threads hold"),
            (found.cpu_queue_ratio, "it is ready to run, but input work has the CPU cores"),
        )
        if ratio is not None and ratio >= _SOME_HELD_FROM
    ]
    return (
        f"The input's own work slows the training's computing down, by about "
        f"{duration(found.held_ms)} of {duration(found.step_ms)} per step: {', and '.join(causes)}."
    )


def _epoch_start(found: EpochStartWait) -> str:
    several = found.epochs > 1
    which = "each" if several else "the"
    median = f" (median of {count(found.epochs, 'epoch')})" if several else ""
    cause = "" if found.usual is None else f": {start_cause(found.usual)}"
    others = (
        ""
        if found.others_ms is None
        else f" All other steps together waited {duration(found.others_ms)}."
    )
    return f"The first step of {which} epoch waited {duration(found.median_ms)}{median}{cause}.{others}"


def _at_work(found: BottleneckAtWork) -> str:
    shared = f" shared with {count(found.sharing, 'other stage')}" if found.sharing else ""
    works = (
        f"{label_of(found.stage)} works {duration(found.cost_ms)} per step "
        f"{_copies(found)}{_calls(found)}{shared}, {_pace(found)}."
    )
    return works if found.reason is None else f"{works} {_reason(found.reason)}"


def _native_threads(found: NativeThreads) -> str:
    cores = amount(round(found.cores, 1), "core")
    return (
        "Other threads of this process (TensorFlow, BLAS, a thread pool) compute for "
        f"{found.stage.name}: {cores} while the training waits. Its own thread is on the CPU for "
        f"{percent(found.own_cpu_ratio)} of its time."
    )


def _copies(found: BottleneckAtWork) -> str:
    return f"in {found.copies} copies, " if found.copies > 1 else ""


def _thrown_away(found: ThrownAway) -> str:
    lost = percent(1.0 - found.kept / found.taken)
    every = "nothing is kept"
    if found.kept:
        every = f"{few_digits(found.taken / found.kept)} are made for 1 that is kept"
    return f"{label_of(found.by)} throws away {lost} of what {found.stage.name} makes: {every}."


def _calls(found: BottleneckAtWork) -> str:
    match found.calls:
        case CallKind.WORKER | CallKind.WORKER_PROCESS:
            return f"in {count(round(found.at_once), found.calls.value)}"
        case CallKind.CALL:
            return "in one call at a time"
        case CallKind.PARALLEL_CALL:
            at_once = f"in up to {few_digits(found.at_once)} calls at once"
            if found.allowed is None:
                return at_once
            return (
                f"{at_once} ({few_digits(found.allowed)} may, but TensorFlow has one thread a core)"
            )
        case CallKind.THREAD:
            threads = few_digits(found.at_once)
            return "on one thread" if found.at_once <= 1 else f"on {threads} threads"


def _pace(found: BottleneckAtWork) -> str:
    if found.busy_ratio >= _NO_PAUSE_FROM:
        return "without a pause"
    rests = "" if found.ahead else " (it rests while the training computes)"
    return f"busy {percent(found.busy_ratio)} of the time{rests}"


def _reason(found: WorkReason) -> str:  # noqa: C901 - one case a kind
    match found:
        case BlockingWork():
            on_cpu = f"{'at most ' if found.upper_bound else ''}{percent(found.cpu_ratio)}"
            return f"It mostly waits (files, network or sleep): {on_cpu} of its time is on the CPU."
        case TransportWork():
            each = "" if found.batch_bytes is None else f" ({size(found.batch_bytes)} each)"
            return f"It sends batches{each} from the worker processes to the training."
        case ThrottledWork():
            return (
                f"The container's limit of {amount(found.limit, 'core')} stopped it in "
                f"{percent(found.throttled_ratio)} of the scheduling periods."
            )
        case QueuedWork():
            return (
                f"For {percent(found.queued_ratio)} of its time it was ready to run, "
                "but no CPU was free."
            )
        case SaturatedWork():
            return _saturated(found)
        case GilWork():
            return _gil(found)
        case CoreFreeWork():
            return "It computes, and a core is free."
        case OutOfOrderWork():
            return (
                f"In {percent(found.late_ratio)} of the waiting a later batch was ready, "
                "but not the next one in order."
            )
        case HelperWork():
            return _helpers(found)
        case SerialWork():
            unknown = "" if found.cpu_known else _CPU_UNKNOWN
            if found.python and found.cpu_known:
                return "It is Python code under the GIL."
            return f"It makes one call after the other.{unknown}"
        case SlowestInsideEpochs():
            return "It is the slowest stage inside the epochs."
        case ComputingWork():
            unknown = "" if found.cpu_known else _CPU_UNKNOWN
            return f"It computes and already uses all the CPU that it may use.{unknown}"


def _helpers(found: HelperWork) -> str:
    works = f"{percent(found.cpu_ratio)} of {'their' if found.count > 1 else 'its'} time"
    waits = f"It waits for {count(found.count, 'process')} of its own, on the CPU for {works}"
    if found.free_cores is None:
        return f"{waits}."
    free = few_digits(round(found.free_cores, 1))
    return f"{waits}; {'no core is' if found.free_cores < 0.5 else f'{free} cores are'} free."


def _saturated(found: SaturatedWork) -> str:
    unknown = "" if found.cpu_known else _CPU_UNKNOWN
    used = percent(found.process_ratio)
    if found.machine_ratio is None:
        return f"{used} of the CPU is in use: {_free_cores(found.process_ratio)}.{unknown}"
    return (
        f"{percent(found.machine_ratio)} of the machine's CPU is in use, {used} by this training: "
        f"{_free_cores(found.machine_ratio)}.{unknown}"
    )


def _free_cores(used_ratio: float) -> str:
    return "no core is free" if used_ratio >= _ALL_FROM else "at times no core is free"


def _gil(found: GilWork) -> str:
    if found.held_ratio is not None:
        held = percent(found.held_ratio)
        return f"It is Python code: its threads held the GIL for {held} of the time, one by one."
    unknown = "" if found.cpu_known else _CPU_UNKNOWN
    return f"It is Python code, and the GIL lets one thread of a process run at a time.{unknown}"


def _where_it_ran(found: WhereItRan) -> Iterator[str]:
    if found.lane is not None:
        where = "the thread that trains" if found.trains else _thread(found.lane)
        yield f"It ran on {where}."
    if found.overlap_ratio is not None:
        work = "its work" if found.only_stage else "the input's work"
        part = percent(found.overlap_ratio)
        if found.estimated:
            yield f"About {part} of {work} overlapped with training (estimated)."
        elif found.overlap_ratio < _SOME_OVERLAP_FROM:
            yield f"None of {work} overlapped with training."
        else:
            yield f"{part} of {work} overlapped with training."
    if found.first_calls:
        yield f"Its first {count(found.first_calls, 'call')} ran on the thread that trains."


def _thread(lane: LaneReference) -> str:
    if lane.role is Role.MAIN:
        return "the main thread"
    return f"the thread {shown(lane.name)}" if lane.named else f"a {shown(lane.name)}"


def _traffic(found: Traffic) -> str:
    came = [
        f"{size(per_s)}/s came {source}"
        for per_s, source in (
            (found.disk_bytes_per_s, "from disk"),
            (found.network_bytes_per_s, "over the network"),
        )
        if per_s is not None
    ]
    return f"During this time {' and '.join(came)}."
