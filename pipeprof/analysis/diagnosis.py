"""Whether a loop waits for its data, which stage makes it wait, and why: the verdict."""

import math

from pipeprof.analysis.advice import give_advice
from pipeprof.analysis.bottleneck import find_bottleneck, needed_ms
from pipeprof.analysis.bounds import COMPUTE_BELOW, INPUT_FROM, bound_by_wait
from pipeprof.analysis.causes import find_cause
from pipeprof.analysis.costs import StageCost
from pipeprof.analysis.evidence import find_evidence
from pipeprof.analysis.findings import Bottleneck, Diagnosis, FreeInput, Interval, LimitSource
from pipeprof.analysis.held_up import find_held_up
from pipeprof.analysis.machine_findings import HeldUp
from pipeprof.analysis.step_statistics import LoopTimes
from pipeprof.analysis.verdict import LEAST_STEPS, Measurements, Verdict
from pipeprof.analysis.verdict_kinds import Bound, Cause
from pipeprof.analysis.wall_shares import WallResamples, host_places, wall_resamples
from pipeprof.recording.account import Part
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.loop import Loop, WaitSource
from pipeprof.recording.run_info import Overhead
from pipeprof.recording.stage import StageKind

# From here on, more counted steps and more distance to a border make no surer.
_ENOUGH_STEPS = 50
_FAR_FROM_BORDER = 0.05

# A stage whose pace accounts for this much of all waiting is to blame for it.
_BLAMED_FROM = 0.5

# What some traced steps are worth against all steps measured.
_TRACED = 0.7


def diagnose(measured: Measurements) -> Diagnosis:
    """The verdict of one loop with its evidence and advice."""
    verdict = find_verdict(measured)
    times, loop = measured.times, measured.loop
    resamples = wall_resamples(loop, measured.account, waits_known=times.measured > 0)
    return Diagnosis(
        bound=verdict.bound,
        confidence=_confidence(verdict.bound, times, loop.waits_by, measured.profile.overhead),
        wait_ratio=times.wait_ratio,
        whole_wait_ratio=times.wait_ratio_with_epoch_starts,
        wall=resamples.shares() if resamples else None,
        step_ms=times.step,
        whole_step_ms=times.step_ms_with_epoch_starts,
        wait_ms=times.wait,
        callback_ms=times.callbacks,
        compute_ms=times.compute,
        samples_per_s=_samples_per_s(loop, times),
        bottleneck=_as_finding(verdict) if verdict.worst else None,
        cause=verdict.cause,
        held_up=verdict.held_up,
        host=host_places(measured.account),
        ideal_step_ms=verdict.ideal_ms,
        free_input=_free_input(verdict, resamples) if resamples else None,
        evidence=find_evidence(verdict),
        measured_by=loop.waits_by if times.measured else None,
        counted_steps=times.counted,
        advice=give_advice(verdict),
    )


def find_bound(times: LoopTimes) -> Bound:
    """What the loop's speed hangs on, by XProf's borders."""
    ratio = deciding_ratio(times)
    if ratio is None or times.measured < LEAST_STEPS:
        return Bound.UNKNOWN
    return bound_by_wait(ratio)


def deciding_ratio(times: LoopTimes) -> float | None:
    """The wait ratio inside epochs; that of the whole where epochs' beginnings outweigh it."""
    inside, whole = times.wait_ratio, times.wait_ratio_with_epoch_starts
    if inside is None or whole is None or not times.epoch_starts_outweigh:
        return inside
    return max(inside, whole)


def find_verdict(measured: Measurements) -> Verdict:
    """What follows from the measurements before there are words for it."""
    times = measured.times
    bound = find_bound(times)
    worst, cause = None, Cause.NONE
    if bound in (Bound.INPUT, Bound.BALANCED):
        worst, cause = _find_worst(measured)
    step_ms = times.step_ms_with_epoch_starts if cause is Cause.EPOCH_START else None
    if step_ms is None and times.step is not None:
        step_ms = times.step.mean
    ideal_ms = None
    if times.rest_ms is not None and step_ms is not None:
        ceiling = _ceiling_of(measured)
        ideal_ms = min(times.rest_ms if ceiling is None else ceiling.mean_ns / 1e6, step_ms)
    held_up = find_held_up(measured)
    held_by = _held_by(held_up, bound, times)
    if held_by is not Cause.NONE:
        bound, cause = Bound.INPUT, held_by
        worst = find_bottleneck(measured.costs)
        if times.step is not None and ideal_ms is not None and _ceiling_of(measured) is None:
            ideal_ms = max(ideal_ms - held_up.ratio * times.step.mean, 0.0)
    return Verdict(
        measured=measured,
        bound=bound,
        worst=worst,
        cause=cause,
        step_ms=step_ms,
        ideal_ms=ideal_ms,
        held_up=held_up,
        held_by=held_by,
    )


def _held_by(held_up: HeldUp, bound: Bound, times: LoopTimes) -> Cause:
    """What holds the computing up, where that is enough for a verdict and more than the waiting."""
    if bound is Bound.UNKNOWN or held_up.ratio < max(INPUT_FROM, deciding_ratio(times) or 0.0):
        return Cause.NONE
    by_gil = (held_up.gil_ratio or 0.0) >= (held_up.cpu_queue_ratio or 0.0)
    return Cause.GIL if by_gil else Cause.CPU_SATURATED


def _find_worst(measured: Measurements) -> tuple[StageCost | None, Cause]:
    slowest = find_bottleneck(measured.costs)
    if measured.times.epoch_starts_outweigh and not _never_rests(slowest, measured):
        restarts = (cost for cost in measured.costs if cost.stage.kind is StageKind.EPOCH_START)
        return next(restarts, slowest), Cause.EPOCH_START
    return slowest, find_cause(slowest, measured.context) if slowest else Cause.NONE


def _never_rests(slowest: StageCost | None, measured: Measurements) -> bool:
    """Whether a stage is too slow for all the steps, wherever in an epoch that makes them wait.

    A shuffle that fills takes work from later steps: they wait less, but nothing was lost.
    """
    whole_ms, rest_ms = measured.times.step_ms_with_epoch_starts, measured.times.rest_ms
    if slowest is None or whole_ms is None or rest_ms is None:
        return False
    waited_ms = whole_ms - rest_ms
    return needed_ms(slowest, measured.costs) - rest_ms >= _BLAMED_FROM * waited_ms


def _ceiling_of(measured: Measurements) -> Ceiling | None:
    """The measured limit, which is that of the main loop."""
    profile = measured.profile
    return profile.ceiling if measured.loop is profile.main_loop else None


def _free_input(verdict: Verdict, resamples: WallResamples) -> FreeInput | None:
    """The loop without its waits and what else the input holds up; None where that is not known."""
    measured, account = verdict.measured, verdict.measured.account
    if resamples.wait is None:
        return None
    wall_ns = account.wall_ns
    waits_ns = account.ns(Part.EPOCH_START, Part.WAIT)
    ceiling, rest_ms = _ceiling_of(measured), measured.times.rest_ms
    known, saved_ns = LimitSource.ESTIMATED, 0.0
    if ceiling is not None and rest_ms is not None:
        # What a step takes beside its waits today, and with input for free.
        known = LimitSource.MEASURED
        saved_ns = measured.loop.step_count * (rest_ms * 1e6 - ceiling.mean_ns)
    elif verdict.held_by is not Cause.NONE:
        steps_ns = account.ns(Part.WAIT, Part.COMPUTE, Part.CALLBACKS)
        saved_ns = verdict.held_up.ratio * steps_ns
    ideal_ns = wall_ns - waits_ns - saved_ns
    if ideal_ns <= 0:
        return None
    shares = resamples.shares().wait_interval
    low_ns, high_ns = (
        max(wall_ns - ratio * resamples.wall_ns - saved_ns, 1.0)
        for ratio in ((shares.high, shares.low) if shares else ())
    )
    return FreeInput(
        wall_s=ideal_ns / 1e9,
        wall_interval=Interval(low=low_ns / 1e9, high=high_ns / 1e9),
        speedup=wall_ns / ideal_ns,
        speedup_interval=Interval(low=wall_ns / high_ns, high=wall_ns / low_ns),
        known=known,
    )


def _as_finding(verdict: Verdict) -> Bottleneck | None:
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


def _confidence(
    bound: Bound, times: LoopTimes, measured_by: WaitSource | None, overhead: Overhead
) -> float:
    """From many steps, all of them measured, no event lost and far from a border: 1."""
    ratio = deciding_ratio(times)
    if bound is Bound.UNKNOWN or ratio is None:
        return 0.0
    steps = math.sqrt(min(times.measured / _ENOUGH_STEPS, 1.0))
    # A trace is of some steps on purpose, and slows them.
    traced = measured_by is WaitSource.TRACE
    measured = _TRACED if traced else times.measured / times.counted
    kept = 1.0 - min(overhead.dropped / max(overhead.events + overhead.dropped, 1), 1.0)
    distance = min(abs(ratio - border) for border in (INPUT_FROM, COMPUTE_BELOW))
    clear = 0.5 + 0.5 * min(distance / _FAR_FROM_BORDER, 1.0)
    return steps * measured * kept * clear


def _samples_per_s(loop: Loop, times: LoopTimes) -> float | None:
    if loop.sample_count is None or not loop.step_count or not times.step or not times.step.mean:
        return None
    return loop.sample_count / loop.step_count / times.step.mean * 1e3
