"""From streams of records to a `Profile`, in bounded memory and at a constant cost per record.

The collector feeds it what the rings give, process by process; recovering a crashed run feeds it the
same rings again. It is the only place that knows what the kinds of records add up to.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from pipeprof.names import Facts
from pipeprof.recorder import WORKER_PROCESS
from pipeprof.recording import (
    STAGE_CHANNELS,
    Cpu,
    Lane,
    Location,
    Overhead,
    Profile,
    Role,
    RunInfo,
    Signature,
    SpanKind,
    Stage,
    StageKind,
)
from pipeprof.records import KIND_SHIFT, SUBJECT_MASK, Kind, Records
from pipeprof.series import BinnedSums, Gauge, GaugeBins, IntArray
from pipeprof.steps import LoopSums
from pipeprof.windows import KIND_INDEX, SpanWindows

T = TypeVar("T")

HELD_SPANS = 32_768

# Fields of levels that belong to a stage; "queue" belongs to a loop.
STAGE_LEVELS = ("parallelism", "buffer", "buffer_size")
_NO_SPANS: IntArray = np.empty((0, 2), np.int64)

# What identifies a stage, whichever process recorded it.
_STAGE_IDENTITY = ("name", "kind", "function", "file", "line", "place")


@dataclass
class StageSums:
    """Collects one stage."""

    facts: dict[str, Any]
    work: BinnedSums
    parent: int | None = None
    lanes: dict[int, int] = field(default_factory=dict)


@dataclass
class LaneSums:
    """Collects one lane; ``identity`` tells it from all others."""

    identity: tuple[Any, ...]
    name: str
    role: Role
    pid: int
    busy: BinnedSums
    cpu: BinnedSums
    tid: int | None = None
    first_ns: int = 0
    last_ns: int = 0

    def seen(self, first_ns: int, last_ns: int) -> None:
        """Notes that it was there then."""
        self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)


@dataclass
class GaugeBinsOf:
    """Collects one level, and knows whose it is."""

    facts: dict[str, Any]
    bins: GaugeBins
    target: int | None


@dataclass
class SignatureCount:
    """Counts batches of one shape."""

    facts: dict[str, Any]
    batches: int = 0


@dataclass
class _Subjects:
    """What the numbers of one process stand for: an index into the list of its kind of thing."""

    index: list[int] = field(default_factory=lambda: [-1])
    facts: list[dict[str, Any]] = field(default_factory=lambda: [{}])

    def put(self, number: int, index: int, facts: dict[str, Any]) -> None:
        while len(self.index) <= number:
            self.index.append(-1)
            self.facts.append({})
        self.index[number] = index
        self.facts[number] = facts

    def index_of(self, number: int | None) -> int | None:
        if not number or number >= len(self.index):
            return None
        index = self.index[number]
        return index if index >= 0 else None

    def translate(self, numbers: IntArray) -> IntArray:
        table = np.array(self.index, np.int64)
        return np.where(numbers < len(table), table[np.minimum(numbers, len(table) - 1)], -1)


class Accumulator:
    """Collects a `Profile`.

    Args:
        start_ns: begin of the recording; nothing is recorded before it.
        warmup: steps of each loop that count as warm-up.
    """

    def __init__(self, *, start_ns: int, warmup: int) -> None:
        self.start_ns = start_ns
        self.warmup = warmup
        self.warnings: list[str] = []
        self.event_count = 0
        self.stages: list[StageSums] = []
        self.lanes: list[LaneSums] = []
        self.loops: list[LoopSums] = []
        self.loop_ids: list[tuple[int, int]] = []
        self.gauges: list[GaugeBinsOf] = []
        self.signatures: list[SignatureCount] = []
        self.ring_lane: dict[tuple[int, int], int] = {}
        self.windows = SpanWindows()
        self.held_spans = _NO_SPANS
        self.cpu_used = BinnedSums(1, start_ns)
        self.cpu_sampled = BinnedSums(1, start_ns)
        self._subjects: dict[int, _Subjects] = {}
        self._worker_slots: dict[int, int] = {}

    # What things are.

    def tell(self, pid: int, lines: Iterable[tuple[int, Facts]]) -> None:
        """Takes lines of a process's name log."""
        subjects = self._subjects.setdefault(pid, _Subjects())
        for number, told in lines:
            facts = dict(told)
            if "type" not in facts:
                self._learn(subjects, number, facts)
                continue
            match facts.get("type"):
                case "stage":
                    index = self._stage(subjects, facts)
                    facts = self.stages[index].facts
                case "lane":
                    index = self._lane(facts.get("pid", pid), facts)
                case "loop":
                    index = self._loop(subjects, pid, number, facts)
                    facts = self.loops[index].facts
                case "gauge":
                    index = self._gauge(subjects, facts)
                case "signature":
                    index = self._signature(facts)
                case "warning":
                    if facts["text"] not in self.warnings:
                        self.warnings.append(facts["text"])
                    continue
                case _:
                    continue
            subjects.put(number, index, facts)

    def _learn(self, subjects: _Subjects, number: int, facts: dict[str, Any]) -> None:
        """Takes further facts about something that was named before."""
        if number < len(subjects.facts):
            subjects.facts[number].update(facts)

    def forget(self, pid: int) -> None:
        """A worker process has ended: the next new one takes its lanes over."""
        self._worker_slots.pop(pid, None)
        self._subjects.pop(pid, None)
        self.ring_lane = {key: lane for key, lane in self.ring_lane.items() if key[0] != pid}

    def _stage(self, subjects: _Subjects, facts: dict[str, Any]) -> int:
        identity = stage_identity(facts)
        index = _index_of(self.stages, lambda sums: stage_identity(sums.facts) == identity)
        if index is None:
            index = len(self.stages)
            self.stages.append(StageSums(facts, BinnedSums(len(STAGE_CHANNELS), self.start_ns)))
        else:
            self.stages[index].facts.update(facts)
        parent = subjects.index_of(facts.get("parent"))
        if parent not in (None, index):
            self.stages[index].parent = parent
        return index

    def _lane(self, pid: int, facts: dict[str, Any]) -> int:
        name, role = facts["name"], Role(facts["role"])
        identity: tuple[Any, ...] = (pid, name, role.value, facts.get("ring"))
        if name == WORKER_PROCESS:
            slot = self._worker_slots.get(pid)
            if slot is None:
                taken = set(self._worker_slots.values())
                slot = next(n for n in range(len(taken) + 1) if n not in taken)
                self._worker_slots[pid] = slot
            identity = (name, slot)
            name = f"worker {slot + 1}"
        index = _index_of(self.lanes, lambda sums: sums.identity == identity)
        if index is None:
            index = len(self.lanes)
            busy, cpu = BinnedSums(1, self.start_ns), BinnedSums(1, self.start_ns)
            self.lanes.append(LaneSums(identity, name, role, pid, busy, cpu))
        self.lanes[index].pid = pid
        return index

    def _loop(self, subjects: _Subjects, pid: int, number: int, facts: dict[str, Any]) -> int:
        if (pid, number) in self.loop_ids:
            index = self.loop_ids.index((pid, number))
            self.loops[index].facts.update(facts)
            return index
        parent = subjects.index_of(facts.get("parent"))
        begin = facts.get("start_ns", self.start_ns)
        self.loops.append(LoopSums(facts, parent, begin, self.warmup))
        self.loop_ids.append((pid, number))
        return len(self.loops) - 1

    def _gauge(self, subjects: _Subjects, facts: dict[str, Any]) -> int:
        target = subjects.index_of(facts.get("of"))
        identity = (facts.get("field"), facts.get("name"), target)
        index = _index_of(
            self.gauges,
            lambda g: (g.facts.get("field"), g.facts.get("name"), g.target) == identity,
        )
        if index is None:
            index = len(self.gauges)
            self.gauges.append(GaugeBinsOf(facts, GaugeBins(self.start_ns), target))
        return index

    def _signature(self, facts: dict[str, Any]) -> int:
        index = _index_of(self.signatures, lambda count: count.facts == facts)
        if index is None:
            index = len(self.signatures)
            self.signatures.append(SignatureCount(facts))
        return index

    # What happened.

    def add(self, pid: int, ring: int, records: Records) -> None:
        """Takes records of one ring, in the order in which they were written."""
        if not len(records):
            return
        self.event_count += len(records)
        subjects = self._subjects.setdefault(pid, _Subjects())
        kinds = (records["code"] >> KIND_SHIFT).astype(np.int64)
        targets = subjects.translate((records["code"] & SUBJECT_MASK).astype(np.int64))
        lanes = self._lanes_of(pid, ring, records, kinds, targets)
        known = targets >= 0
        for kind in np.unique(kinds).tolist():
            chosen = kinds == kind
            if kind not in (Kind.WAIT, Kind.PROCESS_CPU):
                chosen &= known
            if kind == Kind.WAIT and chosen.any():
                self._add_waits(subjects, records[chosen], targets[chosen], lanes[chosen])
            elif chosen.any():
                self._add_kind(Kind(kind), records[chosen], targets[chosen], lanes[chosen])

    def _lanes_of(
        self, pid: int, ring: int, records: Records, kinds: IntArray, targets: IntArray
    ) -> IntArray:
        """Which lane wrote each record: that of the latest `Kind.THREAD` before it."""
        lane = self.ring_lane.get((pid, ring), -1)
        lanes = np.full(len(records), lane, np.int64)
        for position in np.flatnonzero(kinds == Kind.THREAD).tolist():
            lane = int(targets[position])
            lanes[position:] = lane
            if lane >= 0:
                self.lanes[lane].tid = int(records["value"][position])
        self.ring_lane[pid, ring] = lane
        return lanes

    def _add_kind(self, kind: Kind, records: Records, targets: IntArray, lanes: IntArray) -> None:
        match kind:
            case Kind.ROOT_SPAN | Kind.NESTED_SPAN:
                self._add_spans(records, targets, lanes, root=kind is Kind.ROOT_SPAN)
            case Kind.STEP:
                self._add_steps(records, targets, lanes)
            case Kind.PROCESS_CPU:
                end, used = records["end_ns"], records["value"]
                self.cpu_used.add(end, _columns(used))
                self.cpu_sampled.add(end, _columns(end - records["start_ns"]))
            case _:
                for target, chosen in _each(targets):
                    self._add_to(kind, target, records[chosen])

    def _add_to(self, kind: Kind, target: int, records: Records) -> None:
        match kind:
            case Kind.WORK:
                work = _columns(records["inner"], records["value"], 0, 0, 0)
                self.stages[target].work.spread(records["start_ns"], records["end_ns"], work)
            case Kind.BYTES:
                self.stages[target].work.add(
                    records["end_ns"], _columns(0, 0, 0, 0, records["value"])
                )
            case Kind.GAP:
                self.loops[target].add_gaps(records["inner"], records["value"])
            case Kind.SAMPLES:
                self.loops[target].add_samples(int(records["value"].sum()))
            case Kind.GAUGE:
                self.gauges[target].bins.add(records["end_ns"], records["value"])
            case Kind.CPU:
                self.lanes[target].cpu.add(records["end_ns"], _columns(records["value"]))
                self.lanes[target].seen(int(records["start_ns"][0]), int(records["end_ns"][-1]))
            case Kind.BATCH:
                self.signatures[target].batches += len(records)

    def _add_spans(
        self, records: Records, stages: IntArray, lanes: IntArray, *, root: bool
    ) -> None:
        start, end, inner = records["start_ns"], records["end_ns"], records["inner"]
        own = np.maximum(end - start - inner, 0)
        timed = records["value"] >= 0
        cpu = np.where(timed, np.minimum(records["value"], own), 0)
        for stage, chosen in _each(stages):
            sums = self.stages[stage]
            work = _columns(1, own[chosen], cpu[chosen], np.where(timed, own, 0)[chosen], 0)
            sums.work.spread(start[chosen], end[chosen], work)
            for lane, of_lane in _each(lanes[chosen]):
                if lane >= 0:
                    sums.lanes[lane] = sums.lanes.get(lane, 0) + int(own[chosen][of_lane].sum())
        if root:
            for lane, chosen in _each(lanes):
                if lane >= 0:
                    busy = _columns((end - start)[chosen])
                    self.lanes[lane].busy.spread(start[chosen], end[chosen], busy)
                    self.lanes[lane].seen(int(start[chosen][0]), int(end[chosen][-1]))
            spans = np.stack([start, end], axis=1)
            self.held_spans = np.concatenate([self.held_spans, spans])[-HELD_SPANS:]
        self._keep(SpanKind.WORK, stages, lanes, records)

    def _keep(self, kind: SpanKind, subjects: IntArray, lanes: IntArray, records: Records) -> None:
        columns = _columns(
            KIND_INDEX[kind],
            subjects,
            lanes,
            records["start_ns"],
            records["end_ns"],
            records["inner"] if kind is SpanKind.WORK else np.zeros(len(records), np.int64),
        )
        self.windows.add(columns[lanes >= 0])

    def _add_waits(
        self, subjects: _Subjects, records: Records, loops: IntArray, lanes: IntArray
    ) -> None:
        for signature, chosen in _each(subjects.translate(records["inner"])):
            if signature >= 0:
                self.signatures[signature].batches += int(chosen.sum())
        for index, chosen in _each(loops):
            samples = records["value"][chosen]
            if index >= 0 and (samples > 0).any():
                self.loops[index].add_samples(int(samples[samples > 0].sum()))
            for loop in [self.loops[index]] if index >= 0 else self.loops[-2:]:
                loop.add_waits(records["start_ns"][chosen], records["end_ns"][chosen])
        self._keep(SpanKind.WAIT, np.full(len(records), -1, np.int64), lanes, records)

    def _add_steps(self, records: Records, loops: IntArray, lanes: IntArray) -> None:
        for index, chosen in _each(loops):
            loop = self.loops[index]
            part = records[chosen]
            value = part["value"]
            loop.add_steps(
                _columns(
                    part["inner"],
                    value >> 32,
                    part["start_ns"],
                    part["end_ns"],
                    np.full(len(part), -1, np.int64),
                    value & 0xFFFFFFFF,
                )
            )
            lane = int(lanes[chosen][0])
            if loop.lane is None and lane >= 0:
                loop.lane = lane
                if self.lanes[lane].role is Role.INPUT:
                    self.lanes[lane].role = Role.TRAINING
        self._keep(SpanKind.STEP, loops, lanes, records)

    def settle(self, *, final: bool = False) -> None:
        """Counts what can be counted by now; to be called when all rings have been read once."""
        outermost = [loop for loop in self.loops if loop.parent is None]
        for loop in self.loops:
            line = loop.settle(final=final)
            if not outermost or loop is not outermost[-1]:
                continue
            spans = self.held_spans
            if line.until_ns is None:
                continue
            ready = spans[:, 1] <= line.until_ns
            if ready.any():
                loop.add_input_work(*line.split(spans[ready, 0], spans[ready, 1]))
                self.held_spans = spans[~ready]

    # What came of it.

    def profile(
        self,
        *,
        run: RunInfo,
        cores: int,
        cpu_limit: float | None,
        overhead: Overhead,
    ) -> Profile:
        """Everything so far as a frozen value."""
        spans = self.windows.freeze()
        self._infer_parents(spans)
        gauges = [_FrozenGauge(g.facts, g.target, g.bins.freeze()) for g in self.gauges]
        return Profile(
            run=run,
            loops=tuple(loop.freeze(_queue_of(i, gauges)) for i, loop in enumerate(self.loops)),
            stages=tuple(_freeze_stage(i, sums, gauges) for i, sums in enumerate(self.stages)),
            lanes=tuple(map(_freeze_lane, self.lanes)),
            spans=spans,
            cpu=Cpu(
                cores=cores,
                limit=cpu_limit,
                used=self.cpu_used.freeze() if self.cpu_used.used else None,
                sampled=self.cpu_sampled.freeze() if self.cpu_sampled.used else None,
            ),
            deliveries=tuple(
                _freeze_signature(count) for count in self.signatures if count.batches
            ),
            gauges={g.facts["name"]: g.gauge for g in gauges if g.facts.get("name")},
            overhead=overhead,
        )

    def last_ns(self) -> int:
        """The latest time at which something was recorded."""
        spans = self.windows.freeze()
        return int(spans.end_ns.max()) if len(spans) else self.start_ns

    def _infer_parents(self, spans: Any) -> None:
        """A stage whose caller nobody named was called by the one whose interval encloses it."""
        work = spans.kind == KIND_INDEX[SpanKind.WORK]
        orphans = {
            index for index, sums in enumerate(self.stages) if sums.parent is None and sums.lanes
        }
        if not orphans:
            return
        votes: dict[tuple[int, int], int] = {}
        order = np.lexsort((-spans.end_ns, spans.start_ns, spans.lane))
        order = order[work[order]][:20_000]
        open_spans: list[tuple[int, int, int]] = []
        for lane, stage, start, end in zip(
            spans.lane[order].tolist(),
            spans.subject[order].tolist(),
            spans.start_ns[order].tolist(),
            spans.end_ns[order].tolist(),
            strict=True,
        ):
            while open_spans and (open_spans[-1][0] != lane or open_spans[-1][2] <= start):
                open_spans.pop()
            if open_spans and open_spans[-1][1] != stage:
                pair = (stage, open_spans[-1][1])
                votes[pair] = votes.get(pair, 0) + 1
            open_spans.append((lane, stage, end))
        for (stage, parent), _ in sorted(votes.items(), key=lambda vote: -vote[1]):
            if stage in orphans and not self._is_above(stage, parent):
                orphans.discard(stage)
                self.stages[stage].parent = parent

    def _is_above(self, stage: int, below: int) -> bool:
        seen = below
        while self.stages[seen].parent is not None:
            seen = int(self.stages[seen].parent or 0)
            if seen == stage:
                return True
        return below == stage


@dataclass(frozen=True, slots=True)
class _FrozenGauge:
    facts: Mapping[str, Any]
    target: int | None
    gauge: Gauge


def stage_identity(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a stage from all others, whichever process recorded it."""
    return tuple(facts.get(name) for name in _STAGE_IDENTITY)


def _index_of(things: list[T], fits: Callable[[T], bool]) -> int | None:
    return next((index for index, thing in enumerate(things) if fits(thing)), None)


def _queue_of(loop: int, gauges: list[_FrozenGauge]) -> Gauge | None:
    return next(
        (g.gauge for g in gauges if g.facts.get("field") == "queue" and g.target == loop), None
    )


def _freeze_stage(index: int, sums: StageSums, gauges: list[_FrozenGauge]) -> Stage:
    facts = sums.facts
    levels = {g.facts["field"]: g.gauge for g in gauges if _is_level_of_stage(g, index)}
    file = facts.get("file")
    return Stage(
        name=facts["name"],
        kind=StageKind(facts["kind"]),
        function=facts.get("function"),
        location=Location(file, facts.get("line", 0)) if file else None,
        parent=sums.parent,
        remark=facts.get("remark"),
        work=sums.work.freeze(),
        lanes=dict(sums.lanes),
        parallelism=levels.get("parallelism"),
        most_parallelism=facts.get("most_parallelism"),
        autotuned=facts.get("autotuned"),
        buffer=levels.get("buffer"),
        buffer_size=levels.get("buffer_size"),
        workers=facts.get("workers"),
    )


def _is_level_of_stage(gauge: _FrozenGauge, stage: int) -> bool:
    return gauge.target == stage and gauge.facts.get("field") in STAGE_LEVELS


def _freeze_signature(count: SignatureCount) -> Signature:
    facts = count.facts
    return Signature(
        dtypes=tuple(facts["dtypes"]),
        shapes=tuple(tuple(shape) for shape in facts["shapes"]),
        batches=count.batches,
        samples=facts["samples"],
        size_bytes=facts["size_bytes"],
    )


def _freeze_lane(sums: LaneSums) -> Lane:
    return Lane(
        name=sums.name,
        role=sums.role,
        pid=sums.pid,
        tid=sums.tid,
        busy=sums.busy.freeze(),
        cpu=sums.cpu.freeze() if sums.cpu.used else None,
        first_ns=sums.first_ns or sums.busy.start_ns,
        last_ns=max(sums.last_ns, sums.first_ns or sums.busy.start_ns),
    )


def _each(indices: IntArray) -> Iterable[tuple[int, Any]]:
    """Each value that occurs, with a mask of where it does."""
    for index in np.unique(indices).tolist():
        yield index, indices == index


def _columns(*columns: IntArray | int) -> IntArray:
    """Columns side by side; a single number fills its column."""
    length = max((len(c) for c in columns if not isinstance(c, int)), default=1)
    table = np.empty((length, len(columns)), np.int64)
    for position, column in enumerate(columns):
        table[:, position] = column
    return table
