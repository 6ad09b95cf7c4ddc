"""Whether a loop waits for its data, which stage makes it wait, and why: the verdict."""

from collections.abc import Sequence
from dataclasses import replace

from pipeprof.analysis.advising.advice import give_advice
from pipeprof.analysis.advising.advice_proof import with_proof
from pipeprof.analysis.findings.account_findings import EpochAccount, FrameworkWork
from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.findings import (
    Bottleneck,
    Diagnosis,
    Interval,
    LimitSource,
    LoopOnFreeInput,
)
from pipeprof.analysis.findings.machine_findings import HeldUp
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.analysis.verdicts.bottleneck import dearest_on_cpu, find_bottleneck, needed_ms
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW, INPUT_FROM
from pipeprof.analysis.verdicts.causes import find_cause
from pipeprof.analysis.verdicts.evidence import find_evidence
from pipeprof.analysis.verdicts.held_up import find_held_up
from pipeprof.analysis.verdicts.ideal_step import find_ideal_step, hidden_wait, rest_of
from pipeprof.analysis.verdicts.own_feeders import (
    cause_of_feeder,
    cause_of_maker,
    find_feeder,
    made_ratio,
)
from pipeprof.analysis.verdicts.verdict import Measurements, Verdict
from pipeprof.analysis.verdicts.wall_shares import (
    STEP_PARTS,
    WAIT_PARTS,
    WallResamples,
    host_places,
    measured_ratio,
    waits_known,
    wall_resamples,
)
from pipeprof.recording.account import HostState, Part
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.loop import Loop, WaitSource
from pipeprof.recording.stage import StageKind

# A stage whose pace accounts for this much of all waiting is to blame for it.
_BLAMED_FROM = 0.5

# A stage that needs less than this of what a step waits is not what it waits for.
_EXPLAINS_FROM = 0.1


def diagnose(
    verdict: Verdict, validations: Sequence[Verdict], epochs: Sequence[EpochAccount]
) -> Diagnosis:
    """The verdict of one loop with its evidence and advice.

    Args:
        verdict: what follows from the loop's measurements.
        validations: what follows from the measurements of the evaluations inside the loop.
        epochs: the accounts of its epochs.
    """
    measured, walls = verdict.measured, verdict.walls
    times, loop = measured.times, measured.loop
    return Diagnosis(
        bound=verdict.bound,
        confidence=_confidence(verdict),
        wait_ratio=times.wait_ratio,
        whole_wait_ratio=times.wait_ratio_with_epoch_starts,
        wall=walls.shares() if walls else None,
        step_ms=times.step,
        whole_step_ms=times.step_ms_with_epoch_starts,
        wait_ms=times.wait,
        mean_wait_ms=times.mean_wait_ms,
        callback_ms=times.callbacks,
        compute_ms=times.compute,
        samples_per_s=_samples_per_s(loop, walls) if walls else None,
        bottleneck=_as_finding(verdict),
        cause=verdict.host_cause if verdict.host_leads else verdict.cause,
        held_up=verdict.held_up,
        helpers=measured.context.helpers if verdict.cause is Cause.HELPERS else None,
        host=host_places(measured.account),
        ideal_step_ms=verdict.ideal_ms,
        ideal_step_interval=verdict.ideal.interval if verdict.ideal else None,
        free_input=_free_input(verdict, walls) if walls else None,
        evidence=find_evidence(verdict, validations, epochs),
        measured_by=(loop.waits_by or WaitSource.SAMPLES)
        if walls and walls.wait is not None
        else None,
        counted_steps=times.counted,
        advice=with_proof(give_advice(verdict, validations, epochs), measured.profile.tuning),
    )


def find_verdict(measured: Measurements) -> Verdict:
    """What follows from the measurements before there are words for it."""
    measured = _with_sampled_waits(measured)
    times = measured.times
    held_up = find_held_up(measured)
    held = _held_share(held_up, measured)
    walls = wall_resamples(measured.loop, measured.account, measured.starts, held=held)
    if walls is not None:
        walls = replace(walls, hidden=hidden_wait(measured, walls.wait or 0.0))
    if walls is not None and not _may_be_judged(measured.loop, walls.bound):
        walls = None
    bound = walls.bound if walls else Bound.UNKNOWN
    held_by = _held_by(held_up, bound, walls)
    worst, cause = None, Cause.NONE
    least = INPUT_FROM if bound is Bound.HOST else COMPUTE_BELOW
    if held_by is not Cause.NONE:
        worst, cause = dearest_on_cpu(measured.costs, python=held_by is Cause.GIL), held_by
    elif walls is not None and (walls.wait or 0.0) >= least:
        worst, cause = _find_worst(measured)
    step_ms = times.step_ms_with_epoch_starts if cause is Cause.EPOCH_START else None
    if step_ms is None and times.step is not None:
        step_ms = times.step.mean
    feeder = None
    if worst is None and (cause is not Cause.NONE or (walls and (walls.wait or 0.0) >= least)):
        feeder, its_cause = _find_feeder(measured, held=held_by is not Cause.NONE)
        if held_by is Cause.NONE:
            cause = its_cause or cause
    return Verdict(
        measured=measured,
        bound=bound,
        walls=walls,
        worst=worst,
        feeder=feeder,
        cause=cause,
        step_ms=step_ms,
        ideal=find_ideal_step(measured, step_ms, held_up, _ceiling_of(measured)),
        held_up=held_up,
        held_by=held_by,
    )


def _may_be_judged(loop: Loop, bound: Bound) -> bool:
    """Whether a loop has a bound: before its first step is finished, only a long wait gives one."""
    return loop.step_count > 0 or loop.kind.hand_written or bound is Bound.INPUT


def _find_feeder(measured: Measurements, *, held: bool) -> tuple[Feeder | None, Cause | None]:
    """What samples show of who makes the batches, and why that is slow; None each where they do not.

    Args:
        measured: what was measured.
        held: whether the work of other threads holds the training up, rather than that it waits for them.
    """
    profile, loop = measured.profile, measured.loop
    made = made_ratio(loop)
    if made >= _BLAMED_FROM and not held:
        steps_ns = max(measured.account.ns(*STEP_PARTS), 1)
        cause = cause_of_maker(
            profile,
            measured.counted_time,
            loop,
            making=made * measured.account.ns(Part.WAIT) / steps_ns,
            computing=measured.account.ns(Part.COMPUTE, Part.OWN_CODE) / steps_ns,
        )
        return find_feeder(loop, HostState.MAKING), cause
    beside = (HostState.BESIDE,) if held else ()
    feeder = find_feeder(loop, HostState.FEEDING, *beside)
    if feeder is None:
        return None, None
    return feeder, cause_of_feeder(feeder, profile, measured.counted_time, loop)


def _with_sampled_waits(measured: Measurements) -> Measurements:
    """With the mean wait by the account, where no clock shows the wait of each step."""
    times, account = measured.times, measured.account
    steps_ns = account.ns(*STEP_PARTS)
    if times.wait is not None or times.step is None or not steps_ns:
        return measured
    if measured.loop.waits_by is not None or not waits_known(measured.loop):
        return measured
    ratio = account.ns(Part.WAIT) / steps_ns
    sampled = replace(times, wait_ratio=ratio, sampled_wait_ms=ratio * times.step.mean)
    return replace(measured, times=sampled)


def _held_share(held_up: HeldUp, measured: Measurements) -> float:
    """What the input's work takes from the training's computing, over the training's wall time.

    Without what a framework does between epochs of its own, which is nobody's to change.
    """
    account = measured.account
    framework_ns = sum(row.ns for row in account.rows if isinstance(row.name, FrameworkWork))
    wall_ns = account.training_ns - framework_ns
    return held_up.counted_ratio * account.ns(*STEP_PARTS) / wall_ns if wall_ns > 0 else 0.0


def _held_by(held_up: HeldUp, bound: Bound, walls: WallResamples | None) -> Cause:
    """What holds the computing up, where that is more than what the training waits."""
    if walls is None or bound not in (Bound.INPUT, Bound.BALANCED):
        return Cause.NONE
    if not walls.held or walls.held < (walls.wait or 0.0):
        return Cause.NONE
    by_gil = (held_up.gil_ratio or 0.0) >= (held_up.cpu_queue_ratio or 0.0)
    return Cause.GIL if by_gil else Cause.CPU_SATURATED


def _find_worst(measured: Measurements) -> tuple[StageCost | None, Cause]:
    slowest = find_bottleneck(measured.costs)
    if slowest is not None and not _explains(slowest, measured):
        slowest = None
    if _starts_late(slowest, measured):
        restarts = (cost for cost in measured.costs if cost.stage.kind is StageKind.EPOCH_START)
        return next(restarts, slowest), Cause.EPOCH_START
    return slowest, find_cause(slowest, measured.context) if slowest else Cause.NONE


def _starts_late(slowest: StageCost | None, measured: Measurements) -> bool:
    """Whether the starts of epochs wait for longer than all other steps, and no stage is why.

    Of several epochs the starts of the later ones show it; a training's only epoch has but one.
    """
    times, loop, account = measured.times, measured.loop, measured.account
    if loop.epochs == 1:
        outweighs = account.ns(Part.EPOCH_START) > account.ns(Part.WAIT)
        waited_ms = account.ns(*WAIT_PARTS) / max(loop.step_count, 1) / MS
    else:
        outweighs = times.epoch_starts_outweigh
        waited_ms = (times.step_ms_with_epoch_starts or 0.0) - (times.rest_ms or 0.0)
    return outweighs and not _never_rests(slowest, measured, waited_ms)


def _explains(slowest: StageCost, measured: Measurements) -> bool:
    """Whether a stage works long enough to be what the loop waits for, epoch starts included."""
    waits_ns = measured.account.ns(*WAIT_PARTS)
    waited_ms = waits_ns / max(measured.loop.step_count, 1) / MS
    return needed_ms(slowest, measured.costs) >= _EXPLAINS_FROM * waited_ms


def _never_rests(slowest: StageCost | None, measured: Measurements, waited_ms: float) -> bool:
    """Whether a stage is too slow for all the steps, wherever in an epoch that makes them wait.

    A shuffle that fills takes work from later steps: they wait less, but nothing was lost.
    """
    rest_ms = measured.times.rest_ms
    if slowest is None or rest_ms is None:
        return False
    return needed_ms(slowest, measured.costs) - rest_ms >= _BLAMED_FROM * waited_ms


def _ceiling_of(measured: Measurements) -> Ceiling | None:
    """The measured limit, which is that of the main loop."""
    profile = measured.profile
    return profile.ceiling if measured.loop is profile.main_loop else None


def _free_input(verdict: Verdict, resamples: WallResamples) -> LoopOnFreeInput | None:
    """The loop without its waits and what else the input holds up; None where that is not known."""
    measured, account = verdict.measured, verdict.measured.account
    shares = resamples.shares().wait_interval
    if resamples.wait is None or shares is None:
        return None
    ideal, rest_ms = verdict.ideal, rest_of(measured)
    if ideal is not None and rest_ms is not None:
        # What a step takes beside its waits today, less what it takes with input for free.
        saved_ns, most_ns, least_ns = (
            measured.loop.step_count * (rest_ms - ms) * MS
            for ms in (ideal.ms, ideal.interval.low, ideal.interval.high)
        )
        known = ideal.known
    else:
        steps_ns = account.ns(*STEP_PARTS)
        saved_ns = verdict.held_up.counted_ratio * steps_ns
        most_ns, least_ns = verdict.held_up.most_ratio * steps_ns, 0.0
        known = LimitSource.ESTIMATED
    wall_ns = account.training_ns
    ideal_ns = min(wall_ns - account.ns(*WAIT_PARTS) - saved_ns, wall_ns)
    if ideal_ns <= 0:
        return None
    low_ns = max(wall_ns - shares.high * resamples.wall_ns - most_ns, 1.0)
    high_ns = min(max(wall_ns - shares.low * resamples.wall_ns - least_ns, 1.0), wall_ns)
    return LoopOnFreeInput(
        wall_s=ideal_ns / 1e9,
        wall_interval=Interval(low=low_ns / 1e9, high=high_ns / 1e9),
        speedup=wall_ns / ideal_ns,
        speedup_interval=Interval(low=wall_ns / high_ns, high=wall_ns / low_ns),
        known=known,
    )


def _as_finding(verdict: Verdict) -> Bottleneck | None:
    if verdict.worst is None and verdict.feeder is not None:
        return Bottleneck(
            stage=verdict.feeder.function,
            kind=StageKind.FUNCTION.value,
            location=verdict.feeder.location,
            cost_ms=None,
            share=None,
            index=None,
        )
    if verdict.worst is None:
        return None
    stage = verdict.worst.stage
    return Bottleneck(
        stage=stage.name,
        kind=stage.kind.value,
        location=stage.location,
        cost_ms=verdict.worst.cost_ms,
        share=verdict.share_of_input(verdict.worst),
        index=verdict.worst.index,
    )


def _confidence(verdict: Verdict) -> float:
    """Resamples with this verdict, steps with measured waits, records kept: the product of these parts."""
    if verdict.bound is Bound.UNKNOWN or verdict.walls is None:
        return 0.0
    overhead = verdict.measured.profile.overhead
    kept = 1.0 - min(overhead.dropped / max(overhead.events + overhead.dropped, 1), 1.0)
    return verdict.walls.agreement * measured_ratio(verdict.measured.loop) * kept


def _samples_per_s(loop: Loop, walls: WallResamples) -> float | None:
    if loop.sample_count is None or not loop.step_count:
        return None
    return loop.sample_count / walls.wall_ns * 1e9
