"""How the bottleneck works: its calls, how busy it is, why it is too slow, and where it ran."""

from collections.abc import Iterator

from pipeprof.analysis.findings.references import LaneReference, StageReference
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    BottleneckAtWork,
    NativeThreads,
    RemoteWait,
    ThrownAway,
    WhereItRan,
    WorkInWorkers,
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
from pipeprof.analysis.measures.cores import used_ratio
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.lane_use import SATURATED_FROM, THROTTLED_FROM
from pipeprof.analysis.measures.placement import WORKERS_KEY, trains_on, where_most_ran
from pipeprof.analysis.verdicts.bottleneck import needed_ms, sharing_with
from pipeprof.analysis.verdicts.causes import CROWDED_FROM, gil_held, known_cpu_ratio
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.lane import Lane
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import OperatorFamily, StageKind

# A filter that takes this many times what it gives throws away work that is worth a word.
_THROWN_AWAY_FROM = 1.25

# One that works less than this has room left: that it takes one call after the other explains no wait.
RESTS_BELOW = 0.5


def how_it_works(
    verdict: Verdict, worst: StageCost
) -> BottleneckAtWork | RemoteWait | WorkInWorkers:
    """Its calls, how busy they are, and why that is too slow."""
    stage, workers = StageReference.of(worst.stage), verdict.measured.context.workers
    if worst.stage.kind is StageKind.TF_DATA_REMOTE:
        return RemoteWait(stage=stage, cost_ms=worst.cost_ms, workers=workers)
    if worst.stage.kind is StageKind.TF_DATA_WORKER and workers is not None:
        return WorkInWorkers(
            stage=stage,
            cost_ms=worst.cost_ms,
            calls=worst.place.parallelism,
            workers=workers,
            cause=verdict.cause,
            machine_ratio=verdict.measured.cpu.machine_ratio if workers.beside_training else None,
        )
    costs = verdict.measured.costs
    busy = busy_ratio(verdict, worst)
    has_time_left = busy < RESTS_BELOW and verdict.cause in (Cause.SERIAL, Cause.CPU)
    calls, at_once = _calls(worst, verdict.measured.profile.lanes)
    allowed = worst.place.allowed
    if allowed is not None and verdict.cause is not Cause.BLOCKING:
        at_once, allowed = allowed, None  # it is not for threads that it lacks
    return BottleneckAtWork(
        stage=stage,
        cost_ms=worst.cost_ms,
        calls=calls,
        at_once=at_once,
        sharing=len(sharing_with(worst, costs)) - 1,
        busy_ratio=busy,
        ahead=worst.place.ahead,
        reason=None if has_time_left or _is_native(verdict, worst) else _reason(verdict, worst),
        copies=worst.copies,
        allowed=allowed,
    )


def busy_ratio(verdict: Verdict, worst: StageCost) -> float:
    """How much of the steps' time the bottleneck works; time between epochs is evidence of its own."""
    step = verdict.measured.times.step
    return min(_needed_ms(verdict, worst) / step.mean, 1.0) if step and step.mean else 1.0


def _is_native(verdict: Verdict, worst: StageCost) -> bool:
    """Whether its computing is that of native threads, which is evidence of its own."""
    return verdict.cause is Cause.CPU and worst.is_native


def native_threads(verdict: Verdict, worst: StageCost) -> Iterator[NativeThreads]:
    """What native threads compute for it, where that is most of what is computed."""
    computes = verdict.cause in (Cause.CPU, Cause.CPU_SATURATED)
    if computes and worst.is_native and worst.native_cores is not None:
        yield NativeThreads(
            stage=StageReference.of(worst.stage),
            cores=worst.native_cores,
            own_cpu_ratio=worst.cpu_ratio or 0.0,
        )


def thrown_away(verdict: Verdict, worst: StageCost) -> Iterator[ThrownAway]:
    """What the nearest filter behind the bottleneck throws away, where that is worth a word."""
    by_index = {cost.index: cost for cost in verdict.measured.costs}
    asker, seen = by_index.get(_asker(worst)), {worst.index}
    while asker is not None and asker.index not in seen:
        if asker.stage.family is OperatorFamily.FILTER:
            if asker.taken is not None and asker.taken >= _THROWN_AWAY_FROM * max(asker.calls, 1):
                yield ThrownAway(
                    stage=StageReference.of(worst.stage),
                    by=StageReference.of(asker.stage),
                    taken=asker.taken,
                    kept=asker.calls,
                )
            return
        seen.add(asker.index)
        asker = by_index.get(_asker(asker))


def _needed_ms(verdict: Verdict, worst: StageCost) -> float:
    """What its place needs for a step; where no core is free, its calls run on as many as there are."""
    needed = needed_ms(worst, verdict.measured.costs)
    cores = verdict.measured.context.room
    if verdict.cause is not Cause.CPU_SATURATED or worst.place.parallelism <= cores:
        return needed
    return needed * worst.place.parallelism / cores


def _asker(cost: StageCost) -> int:
    return -1 if cost.stage.parent is None else cost.stage.parent


def _calls(cost: StageCost, lanes: tuple[Lane, ...]) -> tuple[CallKind, float]:
    parallelism = cost.place.parallelism
    if cost.place.key == WORKERS_KEY:
        pids = {lanes[number].pid for number in cost.stage.lanes}
        kind = CallKind.WORKER_PROCESS if len(pids) > 1 else CallKind.WORKER
        return kind, round(parallelism)
    if parallelism <= 1:
        return (CallKind.THREAD if cost.place.parallelism_known else CallKind.CALL), 1.0
    if cost.stage.parallelism is not None:
        return CallKind.PARALLEL_CALL, parallelism
    return CallKind.THREAD, parallelism


def _reason(verdict: Verdict, worst: StageCost) -> WorkReason:  # noqa: C901 - one case a cause
    ratio = known_cpu_ratio(worst, verdict.measured.context)
    match verdict.cause:
        case Cause.TRANSPORT:
            size = worst.size_bytes
            return TransportWork(batch_bytes=size / max(worst.calls, 1) if size else None)
        case Cause.BLOCKING:
            return BlockingWork(cpu_ratio=ratio or 0.0, upper_bound=worst.cpu_ratio is None)
        case Cause.CPU_SATURATED:
            return _saturated(verdict, worst, cpu_known=ratio is not None)
        case Cause.GIL:
            held = gil_held(worst, verdict.measured.context)
            return GilWork(held_ratio=held, cpu_known=ratio is not None)
        case Cause.TOO_FEW_WORKERS:
            return CoreFreeWork()
        case Cause.HEAD_OF_LINE:
            return OutOfOrderWork(late_ratio=verdict.measured.fed.head_of_line_ratio or 0.0)
        case Cause.HELPERS:
            return _helpers(verdict)
        case Cause.SERIAL:
            return SerialWork(python=worst.stage.kind.python, cpu_known=ratio is not None)
        case Cause.EPOCH_START:
            return SlowestInsideEpochs()
        case Cause.CPU | Cause.CALLBACK | Cause.OWN_CODE | Cause.NONE:
            return ComputingWork(cpu_known=ratio is not None)


def _saturated(verdict: Verdict, worst: StageCost, *, cpu_known: bool) -> WorkReason:
    cpu = verdict.measured.cpu
    if cpu.throttled_ratio is not None and cpu.throttled_ratio >= THROTTLED_FROM:
        return ThrottledWork(limit=cpu.limit or 0.0, throttled_ratio=cpu.throttled_ratio)
    if worst.queued_ratio >= CROWDED_FROM:
        return QueuedWork(queued_ratio=worst.queued_ratio)
    used = cpu.process_ratio or 0.0
    return SaturatedWork(
        process_ratio=used,
        machine_ratio=None if used >= SATURATED_FROM else cpu.machine_ratio or 0.0,
        cpu_known=cpu_known,
    )


def _helpers(verdict: Verdict) -> HelperWork:
    context = verdict.measured.context
    ratio = context.cpu.process_ratio
    if ratio is not None and context.cpu.machine_ratio is not None:
        ratio = max(ratio, context.cpu.machine_ratio)
    helpers = context.helpers
    return HelperWork(
        count=helpers.count if helpers else 0,
        cpu_ratio=helpers.cpu_ratio if helpers else 0.0,
        free_cores=None
        if ratio is None
        else context.worth * (1.0 - used_ratio(ratio, context.cpu)),
    )


def where_it_ran(verdict: Verdict, worst: StageCost) -> Iterator[WhereItRan]:
    """On which thread the bottleneck ran and how much overlapped; nothing where neither is known."""
    lanes, fed = verdict.measured.profile.lanes, verdict.measured.fed
    lane, trains, first_calls = None, False, 0
    if worst.stage.lanes and worst.place.key != WORKERS_KEY:
        worked = {lane: max(work_ns, 1) for lane, work_ns in worst.stage.lanes.items()}
        busiest = where_most_ran(worked, verdict.measured.loop, lanes)[0]
        trains = trains_on(busiest, verdict.measured.loop, lanes)
        lane = LaneReference.of(lanes[busiest])
        first_calls = 0 if trains else _first_calls(verdict, worst)
    if lane is not None or fed.overlap_ratio is not None:
        yield WhereItRan(
            lane=lane,
            trains=trains,
            first_calls=first_calls,
            overlap_ratio=fed.overlap_ratio,
            estimated=fed.overlap_estimated,
            only_stage=len(verdict.measured.costs) == 1,
        )


def _first_calls(verdict: Verdict, worst: StageCost) -> int:
    """How many calls at the very begin ran on the training's thread, when later ones do not."""
    spans, lanes = verdict.measured.profile.spans, verdict.measured.profile.lanes
    calls = (spans.kind == SpanKind.WORK) & (spans.subject == worst.index)
    here = [trains_on(lane, verdict.measured.loop, lanes) for lane in spans.lane[calls].tolist()]
    return here.index(False) if False in here else 0
