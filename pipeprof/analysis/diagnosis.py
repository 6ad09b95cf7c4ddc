"""Whether a loop waits for its data, which stage makes it wait, and why: the verdict."""

import math

from pipeprof.analysis.advice import give_advice
from pipeprof.analysis.bottleneck import find_bottleneck, needed_ms
from pipeprof.analysis.bounds import COMPUTE_BELOW, INPUT_FROM, bound_by_wait
from pipeprof.analysis.case import Case, Seen
from pipeprof.analysis.causes import find_cause
from pipeprof.analysis.costs import Use
from pipeprof.analysis.evidence import find_evidence
from pipeprof.analysis.findings import Bottleneck, Diagnosis
from pipeprof.analysis.step_statistics import LoopTimes
from pipeprof.analysis.verdict_kinds import Bound, Cause
from pipeprof.recording.loop import Loop, WaitSource
from pipeprof.recording.run_info import Overhead
from pipeprof.recording.stage import StageKind

LEAST_STEPS = 10

# From here on, more counted steps and more distance to a border make no surer.
_ENOUGH_STEPS = 50
_FAR_FROM_BORDER = 0.05

# A stage whose pace accounts for this much of all waiting is to blame for it.
_BLAMED_FROM = 0.5

# What some traced steps are worth against all steps measured.
_TRACED = 0.7


def diagnose(seen: Seen) -> Diagnosis:
    """The verdict of one loop with its evidence and advice."""
    case = make_case(seen)
    times, loop = seen.times, seen.loop
    return Diagnosis(
        bound=case.bound,
        confidence=_confidence(case.bound, times, loop.waits_by, seen.profile.overhead),
        wait_ratio=times.wait_ratio,
        whole_wait_ratio=times.wait_ratio_with_stalls,
        step_ms=times.step,
        whole_step_ms=times.step_ms_with_stalls,
        wait_ms=times.wait,
        compute_ms=times.compute,
        samples_per_s=_samples_per_s(loop, times),
        bottleneck=_as_finding(case) if case.worst else None,
        cause=case.cause,
        ideal_step_ms=case.ideal_ms,
        speedup_limit=case.step_ms / case.ideal_ms if case.step_ms and case.ideal_ms else None,
        evidence=find_evidence(case),
        measured_by=loop.waits_by if times.measured else None,
        counted_steps=times.counted,
        advice=give_advice(case),
    )


def find_bound(times: LoopTimes) -> Bound:
    """What the loop's speed hangs on, by XProf's borders."""
    ratio = deciding_ratio(times)
    if ratio is None or times.measured < LEAST_STEPS:
        return Bound.UNKNOWN
    return bound_by_wait(ratio)


def deciding_ratio(times: LoopTimes) -> float | None:
    """The wait ratio inside epochs; that of the whole where epochs' beginnings outweigh it."""
    inside, whole = times.wait_ratio, times.wait_ratio_with_stalls
    if inside is None or whole is None or not times.stalls_outweigh:
        return inside
    return max(inside, whole)


def make_case(seen: Seen) -> Case:
    """What follows from the measurements before there are words for it."""
    times = seen.times
    bound = find_bound(times)
    worst, cause = None, Cause.NONE
    if bound in (Bound.INPUT, Bound.BALANCED):
        worst, cause = _find_worst(seen)
    step_ms = times.step_ms_with_stalls if cause is Cause.EPOCH_START else None
    if step_ms is None and times.step is not None:
        step_ms = times.step.mean
    ideal_ms = None
    if times.compute is not None and step_ms is not None:
        ideal_ms = min(times.compute.mean, step_ms)
    return Case(
        seen=seen, bound=bound, worst=worst, cause=cause, step_ms=step_ms, ideal_ms=ideal_ms
    )


def _find_worst(seen: Seen) -> tuple[Use | None, Cause]:
    slowest = find_bottleneck(seen.uses)
    if seen.times.stalls_outweigh and not _never_rests(slowest, seen):
        restarts = (use for use in seen.uses if use.stage.kind is StageKind.EPOCH_START)
        return next(restarts, slowest), Cause.EPOCH_START
    return slowest, find_cause(slowest, seen.setting) if slowest else Cause.NONE


def _never_rests(slowest: Use | None, seen: Seen) -> bool:
    """Whether a stage is too slow for all the steps, wherever in an epoch that makes them wait.

    A shuffle that fills takes work from later steps: they wait less, but nothing was lost.
    """
    whole_ms, compute = seen.times.step_ms_with_stalls, seen.times.compute
    if slowest is None or whole_ms is None or compute is None:
        return False
    waited_ms = whole_ms - compute.mean
    return needed_ms(slowest, seen.uses) - compute.mean >= _BLAMED_FROM * waited_ms


def _as_finding(case: Case) -> Bottleneck | None:
    if case.worst is None:
        return None
    stage = case.worst.stage
    return Bottleneck(
        stage=stage.name,
        kind=stage.kind.value,
        location=stage.location,
        cost_ms=case.worst.cost_ms,
        share=min(case.worst.cost_ms / case.input_ms, 1.0) if case.input_ms else 0.0,
        index=case.worst.index,
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
