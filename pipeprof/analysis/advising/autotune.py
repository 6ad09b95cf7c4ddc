"""What AUTOTUNE did with a tf.data pipeline, step by step, and settings that stand in its way."""

from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np

from pipeprof.analysis.advising.tfdata_advice import MOST_WAITING_AT_ONCE
from pipeprof.analysis.findings.input_findings import (
    AutotunedValue,
    AutotuneFinding,
    AutotuneOff,
    AutotuneWarning,
    BudgetBeyondCores,
    FixedParallelism,
    FullBuffers,
    TunedKind,
)
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.counted_time import stretches
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.level_names import Level, TfDataLevel
from pipeprof.recording.loop import LOOP_CHANNELS, InputKind, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import Gauge, IntArray
from pipeprof.recording.stage import Stage

# Buffers that hold more than this part of the memory deserve a warning.
_MUCH_MEMORY = 0.2

# A value that stayed equal for less than this part of a pass over the data had not settled.
_SETTLED_FROM = 0.2

# Series in a report have at most so many points.
_MOST_POINTS = 200

# `max` of a parameter without a bound is the greatest number there is.
_BOUNDLESS = 1 << 31


def find_autotune(verdict: Verdict) -> AutotuneFinding | None:
    """AUTOTUNE's part in a loop, or None for a loop that tf.data did not feed."""
    measured = verdict.measured
    gauges = measured.profile.gauges
    budget = gauges.get(TfDataLevel.CPU_BUDGET.value)
    switched_off = measured.loop.input.autotune is False
    if (budget is None and not switched_off) or not (measured.costs or switched_off):
        return None
    if measured.loop.input.kind is not InputKind.TF_DATA and not any(
        cost.stage.autotuned or cost.stage.buffer_autotuned for cost in measured.costs
    ):
        return None
    ram_budget = gauges.get(TfDataLevel.RAM_BUDGET.value)
    buffered = gauges.get(TfDataLevel.BUFFERED.value)
    return AutotuneFinding(
        enabled=not switched_off,
        cpu_budget=budget.last if budget is not None and not switched_off else None,
        ram_budget_bytes=ram_budget.last if ram_budget is not None and not switched_off else None,
        most_buffered_bytes=buffered.high() if buffered is not None and not switched_off else None,
        tuned=tuple(_tuned(measured.loop, measured.costs)),
        epochs=measured.loop.epochs,
        warnings=tuple(_warnings(verdict)),
    )


def _tuned(loop: Loop, costs: Sequence[StageCost]) -> Iterator[AutotunedValue]:
    """What AUTOTUNE chose for each stage where it had a choice."""
    for cost in costs:
        stage = cost.stage
        if stage.autotuned and stage.parallelism is not None:
            yield _history(loop, stage, TunedKind.PARALLELISM, stage.parallelism)
        if stage.buffer_autotuned and stage.buffer_size is not None:
            yield _history(loop, stage, TunedKind.BUFFER, stage.buffer_size)


def _history(loop: Loop, stage: Stage, kind: TunedKind, gauge: Gauge) -> AutotunedValue:
    first, last = _bins_between(gauge, loop.start_ns, loop.end_ns)
    read = first + np.flatnonzero(gauge.counts[first:last])
    means = np.rint(gauge.sums[read] / gauge.counts[read]).astype(np.int64)
    lows, highs = gauge.lows[read], gauge.highs[read]
    steps = steps_ended(loop, gauge.start_ns + (read + 1) * gauge.width_ns)
    most = stage.most_parallelism
    return AutotunedValue(
        stage=stage,
        kind=kind,
        value=int(means[-1]) if len(means) else None,
        least=int(lows.min()) if len(lows) else None,
        most=int(highs.max()) if len(highs) else None,
        limit=most if kind is TunedKind.PARALLELISM and most and most < _BOUNDLESS else None,
        settled_after_steps=_settled_after(loop, gauge),
        series=_points(steps, means),
    )


def _points(steps: IntArray, levels: IntArray) -> tuple[tuple[int, int], ...]:
    """Step and level wherever the level changed, thinned out where that was often."""
    changed = np.flatnonzero(np.diff(levels, prepend=-1))
    if len(changed) > _MOST_POINTS:
        changed = changed[np.linspace(0, len(changed) - 1, _MOST_POINTS).astype(int)]
    return tuple(zip(steps[changed].tolist(), levels[changed].tolist(), strict=True))


def _settled_after(loop: Loop, gauge: Gauge) -> int | None:
    """The steps of an epoch within which a gauge came to the level that it kept; None where it did not.

    Every pass over the data may have an iterator of its own, for which AUTOTUNE starts again: the
    slowest of them counts.
    """
    slowest: int | None = None
    for start_ns, end_ns in stretches(loop):
        first, last = _bins_between(gauge, start_ns, end_ns)
        read = first + np.flatnonzero(gauge.counts[first:last])
        if len(read) < 2:
            continue
        kept = gauge.highs[read[-1]]
        moved = np.flatnonzero((gauge.lows[read] != kept) | (gauge.highs[read] != kept))
        if len(moved) and len(read) - 1 - moved[-1] < max(2, _SETTLED_FROM * len(read)):
            return None
        within = 0
        if len(moved):
            settled_ns = gauge.start_ns + (int(read[moved[-1] + 1]) + 1) * gauge.width_ns
            reached = steps_ended(loop, np.array([start_ns, min(settled_ns, end_ns)]))
            within = int(reached[1] - reached[0])
        slowest = max(slowest or 0, within)
    return slowest


def _bins_between(gauge: Gauge, start_ns: int, end_ns: int) -> tuple[int, int]:
    first = max((start_ns - gauge.start_ns) // gauge.width_ns, 0)
    return first, max(-((gauge.start_ns - end_ns) // gauge.width_ns), first)


def steps_ended(loop: Loop, times_ns: IntArray) -> IntArray:
    """How many steps of a loop had ended by each of some times; estimated for a long loop."""
    steps = loop.steps
    if len(steps) == loop.step_count:
        ended: IntArray = np.searchsorted(steps.end_ns, times_ns, side="right")
        return ended
    over_time = loop.over_time
    counts = over_time.sums[:, LOOP_CHANNELS.index("steps")]
    edges = over_time.start_ns + over_time.width_ns * np.arange(len(counts) + 1)
    reached = np.interp(times_ns, edges, np.concatenate([[0], np.cumsum(counts)]))
    whole: IntArray = np.rint(reached).astype(np.int64)
    return whole


def _warnings(verdict: Verdict) -> Iterator[AutotuneWarning]:
    if verdict.measured.loop.input.autotune is False:
        yield AutotuneOff()
    yield from _large_budget(verdict.measured.profile)
    yield from _full_buffers(verdict.measured.profile, verdict.measured.costs)
    yield from _fixed_parallelism(verdict)


def _large_budget(profile: Profile) -> Iterator[BudgetBeyondCores]:
    """AUTOTUNE counts the machine's processors and knows no limit of a container."""
    budget = profile.gauges.get(TfDataLevel.CPU_BUDGET.value)
    planned = budget.high() if budget is not None else None
    limit = profile.cpu.limit
    room = min(limit, profile.cpu.cores) if limit is not None else profile.cpu.cores
    if planned is not None and planned > ceil(room):
        yield BudgetBeyondCores(
            planned=planned,
            cores=room,
            by_container=limit is not None and limit <= room,
            advised=ceil(room),
        )


def _full_buffers(profile: Profile, costs: Sequence[StageCost]) -> Iterator[FullBuffers]:
    buffered = profile.gauges.get(TfDataLevel.BUFFERED.value)
    room = profile.gauges.get(Level.MEMORY_ROOM.value)
    most = buffered.high() if buffered is not None else None
    allowed = room.last if room is not None else None
    if not most or not allowed or most <= _MUCH_MEMORY * allowed:
        return
    held = {cost.index: _held_bytes(cost.stage) for cost in costs}
    largest = max(costs, key=lambda cost: held[cost.index], default=None)
    most_of_it = largest is not None and held[largest.index] >= most / 2
    yield FullBuffers(
        held_bytes=most,
        memory_bytes=allowed,
        largest=StageReference.of(largest.stage) if largest is not None and most_of_it else None,
    )


def _held_bytes(stage: Stage) -> float:
    """What a stage held at most, by the mean size of its elements."""
    calls, *_, size = stage.work.total().tolist()[:5]
    held = int(stage.starts[:, -1].max()) if len(stage.starts) else 0
    if stage.buffer is not None:
        held = max(held, stage.buffer.high() or 0)
    return held * size / calls if calls else 0.0


def _fixed_parallelism(verdict: Verdict) -> Iterator[FixedParallelism]:
    """The bottleneck may make fewer calls at once than it needs, by the user's own choice."""
    worst, ideal_ms, cpu = verdict.worst, verdict.ideal_ms, verdict.measured.cpu
    if worst is None or not ideal_ms or not verdict.waits_for_input or cpu.saturated:
        return
    if worst.stage.parallelism is None or worst.stage.autotuned is not False:
        return
    waits = verdict.cause is Cause.BLOCKING
    if worst.stage.kind.python and not waits:  # the GIL lets no more calls run at once
        return
    # The user chose the number for each copy.
    fixed = worst.stage.parallelism.last or 1
    needed = ceil(worst.cost_ms / worst.copies / ideal_ms)
    room = int(verdict.measured.context.worth)
    most = min(needed, MOST_WAITING_AT_ONCE if waits else room)
    if most > fixed:
        yield FixedParallelism(
            stage=StageReference.of(worst.stage),
            fixed=fixed,
            needed=needed,
            free_cpu_ratio=None if cpu.process_ratio is None else 1 - cpu.process_ratio,
            advised=most if waits and most > room else None,
        )
