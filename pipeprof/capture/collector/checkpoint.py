"""The state of a recording that goes on, as a frozen value that can be stored and taken up again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.growing_series import BinnedSums, GaugeBins
from pipeprof.capture.collector.loop_sums import LoopSums
from pipeprof.capture.collector.registry import (
    GaugeBinsOf,
    LaneSums,
    SignatureCount,
    StackCount,
    StageSums,
)
from pipeprof.capture.collector.span_windows import KeptSpans, SpanWindows
from pipeprof.recording.intervals import no_intervals
from pipeprof.recording.lane import LANE_CPU_CHANNELS, Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.recording.series import Binned, Gauge, IntArray
from pipeprof.recording.stage import STAGE_CHANNELS

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """One stage, as `pipeprof.capture.collector.registry.StageSums` holds it, and its work."""

    facts: Facts
    work: Binned
    parent: int | None
    lanes: Mapping[int, int]
    lane_calls: Mapping[int, int]
    starts: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """One lane, as `pipeprof.capture.collector.registry.LaneSums` holds it, and its times."""

    identity: tuple[Any, ...]
    name: str
    role: Role
    pid: int
    busy: Binned
    cpu: Binned
    tid: int | None
    gil_held: int
    gil_moments: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """One loop, and the steps whose waits are not known yet."""

    pid: int
    number: int
    facts: Facts
    loop: Loop
    held: IntArray
    gaps: IntArray
    waits: IntArray
    generator_waits: IntArray = field(default_factory=no_intervals)


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeState:
    """One level and whose it is."""

    facts: Facts
    target: int | None
    gauge: Gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureState:
    """One shape of batches and how many had it."""

    facts: Facts
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """One stack and in how many samples it was met."""

    facts: Facts
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RingState:
    """How far a ring was read, and whose lane it was then."""

    pid: int
    number: int
    lane: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that is needed, with the rings, to go on.

    Attributes:
        ended: worker processes that were read to their end, whose files may still be there.
        worker_slots: the lane that each living worker process has, by process id.
    """

    run: RunInfo
    cores: int
    cpu_limit: float | None
    overhead: Overhead
    start_ns: int
    warmup: int
    event_count: int
    warnings: tuple[str, ...]
    stages: tuple[StageState, ...]
    lanes: tuple[LaneState, ...]
    loops: tuple[LoopState, ...]
    gauges: tuple[GaugeState, ...]
    signatures: tuple[SignatureState, ...]
    stacks: tuple[StackState, ...]
    rings: tuple[RingState, ...]
    ended: tuple[int, ...]
    worker_slots: Mapping[int, int]
    spans: KeptSpans
    held_spans: IntArray
    cpu_used: Binned
    cpu_sampled: Binned


def take(
    accumulator: Accumulator,
    positions: Mapping[tuple[int, int], int],
    *,
    ended: Iterable[int] = (),
    run: RunInfo,
    cores: int,
    cpu_limit: float | None,
    overhead: Overhead,
) -> Checkpoint:
    """The present state of an accumulator that has read the rings up to ``positions``."""
    registry = accumulator.registry
    return Checkpoint(
        run=run,
        cores=cores,
        cpu_limit=cpu_limit,
        overhead=overhead,
        start_ns=accumulator.start_ns,
        warmup=accumulator.warmup,
        event_count=accumulator.event_count,
        warnings=tuple(registry.warnings),
        stages=tuple(
            StageState(
                facts=dict(stage.facts),
                work=accumulator.stage_work.freeze(index),
                parent=stage.parent,
                lanes=dict(stage.lanes),
                lane_calls=dict(stage.lane_calls),
                starts=stage.starts,
            )
            for index, stage in enumerate(registry.stages)
        ),
        lanes=tuple(_lane_state(accumulator, index) for index in range(len(registry.lanes))),
        loops=tuple(
            _loop_state(ids, loop)
            for ids, loop in zip(registry.loop_ids, registry.loops, strict=True)
        ),
        gauges=tuple(
            GaugeState(facts=dict(g.facts), target=g.target, gauge=g.bins.freeze())
            for g in registry.gauges
        ),
        signatures=tuple(
            SignatureState(facts=dict(s.facts), batches=s.batches) for s in registry.signatures
        ),
        stacks=tuple(StackState(facts=dict(s.facts), samples=s.samples) for s in registry.stacks),
        rings=tuple(
            RingState(
                pid=key[0],
                number=key[1],
                lane=accumulator.ring_lane.get(key, -1),
                position=position,
            )
            for key, position in positions.items()
        ),
        ended=tuple(sorted(ended)),
        worker_slots=dict(registry.worker_slots),
        spans=accumulator.windows.state(),
        held_spans=accumulator.held_spans,
        cpu_used=accumulator.cpu_used.freeze(),
        cpu_sampled=accumulator.cpu_sampled.freeze(),
    )


def resume(checkpoint: Checkpoint) -> Accumulator:
    """An accumulator that goes on where the checkpoint was taken.

    Raises:
        ValueError: its parts do not fit together.
    """
    start_ns = checkpoint.start_ns
    accumulator = Accumulator(start_ns=start_ns, warmup=checkpoint.warmup)
    accumulator.event_count = checkpoint.event_count
    registry = accumulator.registry
    registry.warnings = list(checkpoint.warnings)
    stages, lanes = checkpoint.stages, checkpoint.lanes
    registry.take_up(
        stages=[
            StageSums(dict(s.facts), s.parent, dict(s.lanes), dict(s.lane_calls), s.starts)
            for s in stages
        ],
        lanes=[_lane_sums(lane) for lane in lanes],
        loops=[((state.pid, state.number), _loop_sums(state)) for state in checkpoint.loops],
        gauges=[
            GaugeBinsOf(dict(g.facts), GaugeBins.resume(g.gauge), g.target)
            for g in checkpoint.gauges
        ],
        signatures=[SignatureCount(dict(s.facts), s.batches) for s in checkpoint.signatures],
        stacks=[StackCount(dict(s.facts), s.samples) for s in checkpoint.stacks],
    )
    accumulator.stage_work = BinnedSums.resume(
        len(STAGE_CHANNELS), start_ns, [stage.work for stage in stages]
    )
    accumulator.lane_busy = BinnedSums.resume(1, start_ns, [lane.busy for lane in lanes])
    accumulator.lane_cpu = BinnedSums.resume(
        len(LANE_CPU_CHANNELS), start_ns, [lane.cpu for lane in lanes]
    )
    accumulator.ring_lane = {(r.pid, r.number): r.lane for r in checkpoint.rings}
    registry.worker_slots = dict(checkpoint.worker_slots)
    accumulator.windows = SpanWindows.resume(checkpoint.spans)
    accumulator.held_spans = checkpoint.held_spans
    accumulator.cpu_used = BinnedSums.resume(1, start_ns, [checkpoint.cpu_used])
    accumulator.cpu_sampled = BinnedSums.resume(1, start_ns, [checkpoint.cpu_sampled])
    return accumulator


def _lane_state(accumulator: Accumulator, index: int) -> LaneState:
    lane = accumulator.registry.lanes[index]
    return LaneState(
        identity=lane.identity,
        name=lane.name,
        role=lane.role,
        pid=lane.pid,
        busy=accumulator.lane_busy.freeze(index),
        cpu=accumulator.lane_cpu.freeze(index),
        tid=lane.tid,
        gil_held=lane.gil_held,
        gil_moments=lane.gil_moments,
        first_ns=lane.first_ns,
        last_ns=lane.last_ns,
    )


def _lane_sums(state: LaneState) -> LaneSums:
    return LaneSums(
        identity=state.identity,
        name=state.name,
        role=state.role,
        pid=state.pid,
        tid=state.tid,
        gil_held=state.gil_held,
        gil_moments=state.gil_moments,
        first_ns=state.first_ns,
        last_ns=state.last_ns,
    )


def _loop_state(ids: tuple[int, int], loop: LoopSums) -> LoopState:
    held, gaps, waits, generator_waits = loop.held_back()
    return LoopState(
        pid=ids[0],
        number=ids[1],
        facts=dict(loop.facts),
        loop=loop.freeze(),
        held=held,
        gaps=np.array(sorted(gaps.items()), np.int64).reshape(-1, 2),
        waits=waits,
        generator_waits=generator_waits,
    )


def _loop_sums(state: LoopState) -> LoopSums:
    gaps = {int(ordinal): int(gap_ns) for ordinal, gap_ns in state.gaps}
    return LoopSums.resume(
        state.loop, dict(state.facts), state.held, gaps, state.waits, state.generator_waits
    )
