"""The state of a recording that goes on, as a frozen value that can be stored and taken up again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeprof.accumulator import (
    Accumulator,
    GaugeBinsOf,
    LaneSums,
    SignatureCount,
    StageSums,
)
from pipeprof.recording import Loop, Overhead, Role, RunInfo, Spans
from pipeprof.ring import Position
from pipeprof.series import Binned, BinnedSums, Gauge, GaugeBins, IntArray
from pipeprof.steps import LoopSums
from pipeprof.windows import SpanWindows

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """One stage, as `pipeprof.accumulator.StageSums` holds it."""

    facts: Facts
    work: Binned
    parent: int | None
    lanes: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """One lane, as `pipeprof.accumulator.LaneSums` holds it."""

    identity: tuple[Any, ...]
    name: str
    role: Role
    pid: int
    busy: Binned
    cpu: Binned
    tid: int | None
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
class RingState:
    """How far a ring was read, and whose lane it was then."""

    pid: int
    number: int
    lane: int
    lap: int
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that is needed, with the rings, to go on."""

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
    rings: tuple[RingState, ...]
    spans: Spans
    held_spans: IntArray
    cpu_used: Binned
    cpu_sampled: Binned


def take(
    accumulator: Accumulator,
    positions: Mapping[tuple[int, int], Position],
    *,
    run: RunInfo,
    cores: int,
    cpu_limit: float | None,
    overhead: Overhead,
) -> Checkpoint:
    """The present state of an accumulator that has read the rings up to ``positions``."""
    return Checkpoint(
        run=run,
        cores=cores,
        cpu_limit=cpu_limit,
        overhead=overhead,
        start_ns=accumulator.start_ns,
        warmup=accumulator.warmup,
        event_count=accumulator.event_count,
        warnings=tuple(accumulator.warnings),
        stages=tuple(
            StageState(facts=s.facts, work=s.work.freeze(), parent=s.parent, lanes=dict(s.lanes))
            for s in accumulator.stages
        ),
        lanes=tuple(map(_lane_state, accumulator.lanes)),
        loops=tuple(
            _loop_state(ids, loop)
            for ids, loop in zip(accumulator.loop_ids, accumulator.loops, strict=True)
        ),
        gauges=tuple(
            GaugeState(facts=g.facts, target=g.target, gauge=g.bins.freeze())
            for g in accumulator.gauges
        ),
        signatures=tuple(
            SignatureState(facts=s.facts, batches=s.batches) for s in accumulator.signatures
        ),
        rings=tuple(
            RingState(
                pid=key[0],
                number=key[1],
                lane=accumulator.ring_lane.get(key, -1),
                lap=position.lap,
                slot=position.slot,
            )
            for key, position in positions.items()
        ),
        spans=accumulator.windows.freeze(),
        held_spans=accumulator.held_spans,
        cpu_used=accumulator.cpu_used.freeze(),
        cpu_sampled=accumulator.cpu_sampled.freeze(),
    )


def resume(checkpoint: Checkpoint) -> Accumulator:
    """An accumulator that goes on where the checkpoint was taken."""
    accumulator = Accumulator(start_ns=checkpoint.start_ns, warmup=checkpoint.warmup)
    accumulator.event_count = checkpoint.event_count
    accumulator.warnings = list(checkpoint.warnings)
    accumulator.stages = [
        StageSums(dict(s.facts), BinnedSums.resume(s.work), s.parent, dict(s.lanes))
        for s in checkpoint.stages
    ]
    accumulator.lanes = [_lane_sums(state) for state in checkpoint.lanes]
    for state in checkpoint.loops:
        accumulator.loops.append(_loop_sums(state))
        accumulator.loop_ids.append((state.pid, state.number))
    accumulator.gauges = [
        GaugeBinsOf(dict(g.facts), GaugeBins.resume(g.gauge), g.target) for g in checkpoint.gauges
    ]
    accumulator.signatures = [
        SignatureCount(dict(s.facts), s.batches) for s in checkpoint.signatures
    ]
    accumulator.ring_lane = {(r.pid, r.number): r.lane for r in checkpoint.rings}
    accumulator.windows = SpanWindows.resume(checkpoint.spans)
    accumulator.held_spans = checkpoint.held_spans
    accumulator.cpu_used = BinnedSums.resume(checkpoint.cpu_used)
    accumulator.cpu_sampled = BinnedSums.resume(checkpoint.cpu_sampled)
    return accumulator


def _lane_state(lane: LaneSums) -> LaneState:
    return LaneState(
        identity=lane.identity,
        name=lane.name,
        role=lane.role,
        pid=lane.pid,
        busy=lane.busy.freeze(),
        cpu=lane.cpu.freeze(),
        tid=lane.tid,
        first_ns=lane.first_ns,
        last_ns=lane.last_ns,
    )


def _lane_sums(state: LaneState) -> LaneSums:
    return LaneSums(
        identity=state.identity,
        name=state.name,
        role=state.role,
        pid=state.pid,
        busy=BinnedSums.resume(state.busy),
        cpu=BinnedSums.resume(state.cpu),
        tid=state.tid,
        first_ns=state.first_ns,
        last_ns=state.last_ns,
    )


def _loop_state(ids: tuple[int, int], loop: LoopSums) -> LoopState:
    held, gaps, waits = loop.held_back()
    return LoopState(
        pid=ids[0],
        number=ids[1],
        facts=loop.facts,
        loop=loop.freeze(),
        held=held,
        gaps=np.array(sorted(gaps.items()), np.int64).reshape(-1, 2),
        waits=waits,
    )


def _loop_sums(state: LoopState) -> LoopSums:
    gaps = {int(ordinal): int(gap_ns) for ordinal, gap_ns in state.gaps}
    return LoopSums.resume(state.loop, dict(state.facts), state.held, gaps, state.waits)
