"""What speaks for a verdict or weakens it, the most important first: values without words."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.account_findings import EpochAccount
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
from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    EpochStartWait,
    HeldUpByInput,
    MadeInOwnThread,
    NoStageSeen,
    OneBatchAtATime,
    RestartCost,
    StagesNotCounted,
    Traffic,
    WaitEvidence,
    WorkersAndTransport,
    WorkOfFeeder,
)
from pipeprof.analysis.findings.wall_evidence_kinds import WaitBesideHost
from pipeprof.analysis.measures.epoch_starts import usual_start
from pipeprof.analysis.measures.lane_use import resource_finding
from pipeprof.analysis.verdicts.bottleneck import find_bottleneck
from pipeprof.analysis.verdicts.bottleneck_evidence import (
    how_it_works,
    native_threads,
    thrown_away,
    where_it_ran,
)
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW
from pipeprof.analysis.verdicts.own_feeders import find_feeder, made_ratio
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.analysis.verdicts.verdict_caveats import find_caveats
from pipeprof.analysis.verdicts.wall_evidence import host_time, of_wall_time
from pipeprof.recording.account import HostState
from pipeprof.recording.stage import StageKind

# Less than this is what any process reads beside its work.
_NOTABLE_BYTES_PER_S = 1e6


def find_evidence(
    verdict: Verdict, validations: Sequence[Verdict], epochs: Sequence[EpochAccount]
) -> tuple[Evidence, ...]:
    """All that speaks for a verdict, then what weakens it.

    Args:
        verdict: that of a loop.
        validations: those of the evaluations inside it.
        epochs: the accounts of its epochs.
    """
    found: Iterator[Evidence]
    match verdict.bound:
        case Bound.UNKNOWN:
            found = _why_unknown(verdict)
        case Bound.COMPUTE:
            found = _why_compute(verdict)
        case Bound.HOST | Bound.INPUT | Bound.BALANCED:
            found = _why_standing(verdict)
    more = of_wall_time(verdict, validations, epochs)
    return (*found, *more, *_warmup_costs(verdict), *find_caveats(verdict))


def _why_unknown(verdict: Verdict) -> Iterator[NoVerdictEvidence]:
    measured = verdict.measured
    timed = verdict.walls is not None and measured.loop.step_count > 0
    yield WaitsNotMeasured() if timed else NoStepTime(finished=measured.loop.step_count > 0)


def _warmup_costs(verdict: Verdict) -> Iterator[WarmupCosts]:
    if verdict.measured.costs and not verdict.measured.counted_time.past_warmup:
        yield WarmupCosts()


def _why_compute(verdict: Verdict) -> Iterator[ComputeEvidence]:
    times = verdict.measured.times
    if times.mean_wait_ms is None or times.step is None:
        return
    yield InputKeepsUp(wait_ms=times.mean_wait_ms, step_ms=times.step.mean)
    slowest = find_bottleneck(verdict.measured.costs)
    if slowest is not None and slowest.capacity_per_s and times.step.mean:
        yield SpareCapacity(
            stage=StageReference.of(slowest.stage),
            capacity_per_s=slowest.capacity_per_s,
            steps_per_s=1e3 / times.step.mean,
        )
    if verdict.crowds_gil:
        yield GilBesideTraining(busy_ratio=min(verdict.beside, 1.0))


def _why_standing(verdict: Verdict) -> Iterator[Evidence]:
    """What the training stands still for, the dearest first: its host, its input."""
    if verdict.host_leads:
        yield from host_time(verdict)
        if verdict.wall_wait >= COMPUTE_BELOW:
            yield WaitBesideHost(ratio=verdict.wall_wait)
    if verdict.waits_for_input:
        yield from _why_waiting(verdict)
    if not verdict.host_leads:
        yield from host_time(verdict)


def _why_waiting(verdict: Verdict) -> Iterator[WaitEvidence]:
    yield from _held_up(verdict)
    epochs = verdict.cause is Cause.EPOCH_START
    if epochs:
        yield from _restart_cost(verdict)
        yield from _epoch_starts(verdict)
    yield from _of_bottleneck(verdict)
    if not epochs:
        yield from _epoch_starts(verdict)


def _made_beside(verdict: Verdict, feeder: Feeder) -> Iterator[MadeInOwnThread]:
    """What the training's own thread does for its batches, where it waits for another most of the time."""
    loop = verdict.measured.loop
    ratio = made_ratio(loop)
    maker = find_feeder(loop, HostState.MAKING)
    if not feeder.own_thread and maker is not None and ratio >= COMPUTE_BELOW:
        yield MadeInOwnThread(feeder=maker, ratio=ratio)


def _held_up(verdict: Verdict) -> Iterator[HeldUpByInput]:
    step = verdict.measured.times.step
    if verdict.held_by is not Cause.NONE and step is not None:
        yield HeldUpByInput(
            held_ms=verdict.held_up.ratio * step.mean,
            step_ms=step.mean,
            gil_ratio=verdict.held_up.gil_ratio,
            cpu_queue_ratio=verdict.held_up.cpu_queue_ratio,
        )


def _of_bottleneck(verdict: Verdict) -> Iterator[WaitEvidence]:
    worst = verdict.worst
    if worst is None and verdict.feeder is not None:
        yield WorkOfFeeder(
            feeder=verdict.feeder, waits=verdict.held_by is Cause.NONE, cause=verdict.cause
        )
        yield from _made_beside(verdict, verdict.feeder)
    elif worst is None and verdict.measured.loop.input.autotune is False:
        yield StagesNotCounted()
    elif worst is None:
        if not verdict.measured.costs:
            yield NoStageSeen()
    elif worst.stage.kind is not StageKind.EPOCH_START:
        yield how_it_works(verdict, worst)
        yield from native_threads(verdict, worst)
        yield from thrown_away(verdict, worst)
        yield from where_it_ran(verdict, worst)
        if verdict.cause is Cause.BLOCKING:
            yield from _traffic(verdict)
        yield from _of_workers(verdict)


def _restart_cost(verdict: Verdict) -> Iterator[RestartCost]:
    worst = verdict.worst
    if worst is not None and worst.stage.kind is StageKind.EPOCH_START:
        yield RestartCost(
            stage=StageReference.of(worst.stage),
            cost_ms=worst.cost_ms,
            share=verdict.share_of_input(worst),
        )


def _epoch_starts(verdict: Verdict) -> Iterator[EpochStartWait]:
    starts, inside = verdict.measured.times.epoch_starts, verdict.measured.times.wait
    if not starts.count or starts.median_ms is None or inside is None:
        return
    decide = verdict.cause is Cause.EPOCH_START
    if decide or starts.wait_ms > 2 * inside.mean * starts.count:
        yield EpochStartWait(
            epochs=starts.epochs,
            median_ms=starts.median_ms,
            usual=usual_start(verdict.measured.fed.epoch_starts),
            others_ms=inside.mean * verdict.measured.times.counted if decide else None,
        )


def _of_workers(verdict: Verdict) -> Iterator[WaitEvidence]:
    """What the choice of workers does for a sequence, and what it costs."""
    fed_by, worst = verdict.measured.loop.input, verdict.worst
    by_kind = {cost.stage.kind: cost for cost in reversed(verdict.measured.costs)}
    sequence, transport = by_kind.get(StageKind.SEQUENCE), by_kind.get(StageKind.TRANSPORT)
    by_one = fed_by.workers is not None and fed_by.workers <= 1 and not fed_by.multiprocessing
    if by_one and worst is not None and worst.stage.kind is StageKind.SEQUENCE:
        yield OneBatchAtATime(workers=fed_by.workers or 0)
    if sequence is not None and transport is not None:
        yield WorkersAndTransport(work_ms=sequence.cost_ms, transport_ms=transport.cost_ms)


def _traffic(verdict: Verdict) -> Iterator[Traffic]:
    """What the training read from disk and network, where a stage may have waited for that."""
    resources = resource_finding(verdict.measured.profile, verdict.measured.counted_time)
    disk = _if_notable(resources.disk_read_bytes_per_s)
    network = _if_notable(resources.received_bytes_per_s)
    if disk is not None or network is not None:
        yield Traffic(disk_bytes_per_s=disk, network_bytes_per_s=network)


def _if_notable(bytes_per_s: float | None) -> float | None:
    notable = bytes_per_s is not None and bytes_per_s >= _NOTABLE_BYTES_PER_S
    return bytes_per_s if notable else None
