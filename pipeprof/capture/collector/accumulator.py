"""From streams of records to a `Profile`, in bounded memory and at a constant cost per record.

The collector feeds it what the rings give, process by process; recovering a crashed run feeds it the
same rings again. It is the only place that knows what the kinds of records add up to.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeprof.capture.collector.growing_series import BinnedSums
from pipeprof.capture.collector.nesting import Parents, infer_parents
from pipeprof.capture.collector.span_windows import KIND_INDEX, SpanWindows
from pipeprof.capture.collector.subjects import SignatureCount, StackCount, Subjects
from pipeprof.capture.recorder.name_log import Facts
from pipeprof.capture.recorder.records import KIND_SHIFT, SUBJECT_MASK, Kind, Records
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.devices import Device
from pipeprof.recording.lane import LANE_CPU_CHANNELS, Cpu, GilSamples, Lane, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.recording.series import BoolArray, Gauge, IntArray
from pipeprof.recording.source_code import CodeLine, Location, StackSamples
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import STAGE_CHANNELS, Stage, StageKind

HELD_SPANS = 32_768

# Fields of levels that belong to a stage, and of those that belong to a loop's input.
STAGE_LEVELS = ("parallelism", "buffer", "buffer_size")
LOOP_LEVELS = ("queue", "head_of_line")

# Kinds of records that may be about nothing in particular.
_SUBJECT_IS_OPTIONAL = (Kind.GENERATOR_WAIT, Kind.PROCESS_CPU)

# Index of the kind of interval that a record is, by its kind; -1 where it is none.
_SPAN_INDEX: IntArray = np.full(256, -1, np.int64)
_SPAN_INDEX[[Kind.ROOT_SPAN, Kind.NESTED_SPAN]] = KIND_INDEX[SpanKind.WORK]
_SPAN_INDEX[Kind.WAIT] = KIND_INDEX[SpanKind.WAIT]
_SPAN_INDEX[Kind.STEP] = KIND_INDEX[SpanKind.STEP]
_SPAN_INDEX[Kind.TAKEN] = KIND_INDEX[SpanKind.BATCH]


@dataclass(frozen=True, slots=True)
class _Events:
    """Records of one process with what they are about and which lane wrote them, as indices or -1."""

    pid: int
    records: Records
    targets: IntArray
    lanes: IntArray

    def __getitem__(self, name: str) -> IntArray:
        column: IntArray = self.records[name]
        return column

    def only(self, chosen: BoolArray) -> "_Events":
        return _Events(self.pid, self.records[chosen], self.targets[chosen], self.lanes[chosen])

    def each_target(self) -> "Iterator[tuple[int, _Events]]":
        """Each thing that they are about, with those about it."""
        for target in sorted(set(self.targets.tolist())):
            yield target, self.only(self.targets == target)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """What a worker is at.

    Attributes:
        stage: index of the stage.
        item: number of the item that it makes.
        tid: the system's number of its thread.
        since_ns: when it began.
    """

    stage: int
    item: int
    tid: int
    since_ns: int


class Accumulator:
    """Collects a `Profile`.

    Args:
        start_ns: begin of the recording; nothing is recorded before it.
        warmup: steps of each loop that count as warm-up.

    Attributes:
        stage_work: the channels of `STAGE_CHANNELS`, a row a stage.
        lane_busy: time in stages, a row a lane.
        lane_cpu: CPU time, a row a lane.
        open_calls: what workers are at, by process and ring.
    """

    def __init__(self, *, start_ns: int, warmup: int) -> None:
        self.start_ns = start_ns
        self.warmup = warmup
        self.event_count = 0
        self.subjects = Subjects(start_ns, warmup)
        self.stage_work = BinnedSums(len(STAGE_CHANNELS), start_ns, rows=0)
        self.lane_busy = BinnedSums(1, start_ns, rows=0)
        self.lane_cpu = BinnedSums(len(LANE_CPU_CHANNELS), start_ns, rows=0)
        self.cpu_used = BinnedSums(1, start_ns)
        self.cpu_sampled = BinnedSums(1, start_ns)
        self.ring_lane: dict[tuple[int, int], int] = {}
        self.open_calls: dict[tuple[int, int], OpenCall] = {}
        self.windows = SpanWindows()
        self.held_spans: IntArray = np.empty((0, 2), np.int64)

    def tell(self, pid: int, lines: Iterable[tuple[int, Facts]]) -> None:
        """Takes lines of a process's name log."""
        self.subjects.tell(pid, lines)
        self.stage_work.grow(len(self.subjects.stages))
        self.lane_busy.grow(len(self.subjects.lanes))
        self.lane_cpu.grow(len(self.subjects.lanes))

    def forget(self, pid: int) -> None:
        """A worker process has ended: the next new one takes its lanes over."""
        self.subjects.forget(pid)
        self.ring_lane = {key: lane for key, lane in self.ring_lane.items() if key[0] != pid}
        self.open_calls = {key: call for key, call in self.open_calls.items() if key[0] != pid}

    # What happened.

    def add(self, pid: int, ring: int, records: Records) -> None:
        """Takes records of one ring, in the order in which they were written."""
        if not len(records):
            return
        self.event_count += len(records)
        kinds = (records["code"] >> KIND_SHIFT).astype(np.int64)
        numbers = (records["code"] & SUBJECT_MASK).astype(np.int64)
        targets = self.subjects.translate(pid, numbers)
        lanes = self._lanes_of(pid, ring, records, kinds, targets)
        events = _Events(pid, records, targets, lanes)
        adders = self._adders()
        for kind in np.flatnonzero(np.bincount(kinds)).tolist():
            chosen = kinds == kind
            if kind not in _SUBJECT_IS_OPTIONAL:
                chosen &= targets >= 0
            if kind in adders and chosen.any():
                adders[kind](events.only(chosen))
        self._keep_spans(kinds, events)
        self._follow_call((pid, ring), kinds, events)

    def _adders(self) -> Mapping[int, Callable[[_Events], None]]:
        """What takes the records of each kind."""
        return {
            Kind.ROOT_SPAN: self._add_root_spans,
            Kind.NESTED_SPAN: self._add_spans,
            Kind.WORK: self._add_work,
            Kind.EPOCH_START: self._add_starts,
            Kind.WAIT: self._add_waits,
            Kind.GENERATOR_WAIT: self._add_generator_waits,
            Kind.STEP: self._add_steps,
            Kind.GAP: self._add_gaps,
            Kind.GAUGE: self._add_levels,
            Kind.BYTES: self._add_bytes,
            Kind.CPU: self._add_cpu,
            Kind.BATCH: self._add_batches,
            Kind.SAMPLES: self._add_samples,
            Kind.PROCESS_CPU: self._add_process_cpu,
            Kind.STACK: self._add_stacks,
            Kind.GIL: self._add_gil,
        }

    def _follow_call(self, ring: tuple[int, int], kinds: IntArray, events: _Events) -> None:
        """Notes what the worker that writes a ring is at after these records."""
        begun = np.flatnonzero(kinds == Kind.CALLED)
        call = self.open_calls.pop(ring, None)
        if len(begun):
            last = int(begun[-1])
            lane = int(events.lanes[last])
            call = OpenCall(
                stage=int(events.targets[last]),
                item=int(events["value"][last]),
                tid=(self.subjects.lanes[lane].tid if lane >= 0 else None) or ring[0],
                since_ns=int(events["start_ns"][last]),
            )
        if call is None:
            return
        spans = (kinds == Kind.ROOT_SPAN) | (kinds == Kind.NESTED_SPAN)
        done = spans & (events.targets == call.stage) & (events["start_ns"] >= call.since_ns)
        if not done.any():
            self.open_calls[ring] = call

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
                self.subjects.lanes[lane].tid = int(records["value"][position])
        self.ring_lane[pid, ring] = lane
        return lanes

    def _add_root_spans(self, events: _Events) -> None:
        self._add_spans(events)
        spans = _columns(events["start_ns"], events["end_ns"])
        self.held_spans = np.concatenate([self.held_spans, spans])[-HELD_SPANS:]
        known = events.only(events.lanes >= 0)
        start_ns, end_ns = known["start_ns"], known["end_ns"]
        self.lane_busy.spread(start_ns, end_ns, _columns(end_ns - start_ns), known.lanes)
        self._see_lanes(start_ns, end_ns, known.lanes)

    def _add_spans(self, events: _Events) -> None:
        own = np.maximum(events["end_ns"] - events["start_ns"] - events["inner"], 0)
        timed = events["value"] >= 0
        cpu = np.where(timed, np.minimum(events["value"], own), 0)
        work = _columns(1, own, cpu, np.where(timed, own, 0), 0, 0)
        self.stage_work.spread(events["start_ns"], events["end_ns"], work, events.targets)
        pairs, position = np.unique(
            np.stack([events.targets, events.lanes]), axis=1, return_inverse=True
        )
        totals = np.zeros(pairs.shape[1], np.int64)
        np.add.at(totals, position.ravel(), own)
        calls = np.bincount(position.ravel(), minlength=pairs.shape[1])
        for stage, lane, own_ns, count in zip(
            *pairs.tolist(), totals.tolist(), calls.tolist(), strict=True
        ):
            if lane >= 0:
                sums = self.subjects.stages[stage]
                sums.lanes[lane] = sums.lanes.get(lane, 0) + own_ns
                sums.lane_calls[lane] = sums.lane_calls.get(lane, 0) + count

    def _add_work(self, events: _Events) -> None:
        work = _columns(events["inner"], events["value"], 0, 0, 0, 0)
        self.stage_work.spread(events["start_ns"], events["end_ns"], work, events.targets)

    def _add_starts(self, events: _Events) -> None:
        for stage, its in events.each_target():
            held, calls = its["inner"] >> 32, its["inner"] & 0xFFFFFFFF
            rows = _columns(its["start_ns"], its["end_ns"], calls, its["value"], held)
            self.subjects.stages[stage].began(rows)

    def _add_waits(self, events: _Events) -> None:
        self._count_batches(self.subjects.translate(events.pid, events["inner"]))
        loops = self.subjects.loops
        for index, its in events.each_target():
            samples = int(np.maximum(its["value"], 0).sum())
            if samples:
                loops[index].add_samples(samples)
            loops[index].add_waits(its["start_ns"], its["end_ns"])

    def _add_generator_waits(self, events: _Events) -> None:
        # Validation runs inside the loop before it, and both may wait for generators.
        for loop in self.subjects.loops[-2:]:
            its = events.only(events["value"] == loop.fed_by_keras)
            loop.add_generator_waits(its["start_ns"], its["end_ns"])

    def _add_steps(self, events: _Events) -> None:
        for index, its in events.each_target():
            loop = self.subjects.loops[index]
            value = its["value"]
            loop.add_steps(
                _columns(
                    its["inner"],
                    value >> 32,
                    its["start_ns"],
                    its["end_ns"],
                    -1,
                    value & 0xFFFFFFFF,
                )
            )
            lane = int(its.lanes[0])
            if loop.lane is None and lane >= 0:
                loop.lane = lane
                if self.subjects.lanes[lane].role is Role.INPUT:
                    self.subjects.lanes[lane].role = Role.TRAINING

    def _add_gaps(self, events: _Events) -> None:
        for loop, its in events.each_target():
            self.subjects.loops[loop].add_gaps(its["inner"], its["value"])

    def _add_levels(self, events: _Events) -> None:
        for gauge, its in events.each_target():
            self.subjects.gauges[gauge].bins.add(its["end_ns"], its["value"])

    def _add_bytes(self, events: _Events) -> None:
        work = _columns(0, 0, 0, 0, events["value"], events["inner"])
        self.stage_work.add(events["end_ns"], work, events.targets)

    def _add_cpu(self, events: _Events) -> None:
        spent = _columns(events["value"], events["inner"])
        self.lane_cpu.add(events["end_ns"], spent, events.targets)
        self._see_lanes(events["start_ns"], events["end_ns"], events.targets)

    def _add_batches(self, events: _Events) -> None:
        self._count_batches(events.targets)

    def _add_samples(self, events: _Events) -> None:
        for loop, its in events.each_target():
            self.subjects.loops[loop].add_samples(int(its["value"].sum()))

    def _add_process_cpu(self, events: _Events) -> None:
        end_ns = events["end_ns"]
        self.cpu_used.add(end_ns, _columns(events["value"]))
        self.cpu_sampled.add(end_ns, _columns(end_ns - events["start_ns"]))

    def _add_stacks(self, events: _Events) -> None:
        for stack, its in events.each_target():
            self.subjects.stacks[stack].samples += int(its["value"].sum())

    def _add_gil(self, events: _Events) -> None:
        for lane, its in events.each_target():
            self.subjects.lanes[lane].gil_held += int(its["value"].sum())
            self.subjects.lanes[lane].gil_moments += int(its["inner"].sum())
        self._see_lanes(events["start_ns"], events["end_ns"], events.targets)

    def _count_batches(self, signatures: IntArray) -> None:
        counts = np.bincount(signatures[signatures >= 0])
        for signature in np.flatnonzero(counts).tolist():
            self.subjects.signatures[signature].batches += int(counts[signature])

    def _see_lanes(self, start_ns: IntArray, end_ns: IntArray, lanes: IntArray) -> None:
        for lane in sorted(set(lanes.tolist())):
            mine = lanes == lane
            self.subjects.lanes[lane].seen(int(start_ns[mine].min()), int(end_ns[mine].max()))

    def _keep_spans(self, kinds: IntArray, events: _Events) -> None:
        """Hands all that are intervals to the windows."""
        span_kinds = _SPAN_INDEX[kinds]
        waits = span_kinds == KIND_INDEX[SpanKind.WAIT]
        work = span_kinds == KIND_INDEX[SpanKind.WORK]
        kept = (span_kinds >= 0) & (events.lanes >= 0) & (waits | (events.targets >= 0))
        columns = _columns(
            span_kinds,
            np.where(waits, -1, events.targets),
            events.lanes,
            events["start_ns"],
            events["end_ns"],
            np.where(work, events["inner"], 0),
        )
        self.windows.add(columns[kept])

    def settle(self, until_ns: int | None = None) -> None:
        """Counts what can be counted by now.

        Args:
            until_ns: whatever ended before has been added; None when all has, and nothing more comes.
        """
        for loop in self.subjects.loops:
            loop.settle(until_ns)
        begins_ns = [
            loop.held_from_ns
            for loop in self.subjects.loops
            if loop.held_from_ns is not None
            and (loop.waits_by is not None or loop is self.subjects.loops[-1])
        ]
        settled_ns = [loop.settled_until_ns for loop in self.subjects.loops]
        ready_ns = min([max(settled_ns, default=self.start_ns), *begins_ns])
        self._lay_spans(until_ns is None or self.held_spans[:, 1] <= ready_ns)

    def _lay_spans(self, chosen: BoolArray | bool) -> None:
        """Lays work of input stages against the steps of loops, which are settled where it lies."""
        spans = self.held_spans[np.broadcast_to(chosen, len(self.held_spans))]
        if len(spans):
            self.held_spans = self.held_spans[~np.broadcast_to(chosen, len(self.held_spans))]
            for loop in self.subjects.loops:
                loop.add_input_work(spans[:, 0], spans[:, 1])

    # What came of it.

    def profile(
        self,
        *,
        run: RunInfo,
        cores: int,
        cpu_limit: float | None,
        overhead: Overhead,
        nested: bool = True,
    ) -> Profile:
        """Everything so far as a frozen value.

        Args:
            run: the run.
            cores: processors of the machine.
            cpu_limit: how many of them it may use, or None without a limit.
            overhead: what the looking cost.
            nested: whether to tell from intervals which stage called which, which takes the longest.
        """
        spans = self.windows.freeze()
        parents: Parents = [stage.parent for stage in self.subjects.stages]
        if nested:
            parents = infer_parents(spans, parents)
        gauges = [_FrozenGauge(g.facts, g.target, g.bins.freeze()) for g in self.subjects.gauges]
        used, sampled = self.cpu_used.freeze(), self.cpu_sampled.freeze()
        return Profile(
            run=run,
            loops=tuple(
                loop.freeze(*(_level_of_loop(field, i, gauges) for field in LOOP_LEVELS))
                for i, loop in enumerate(self.subjects.loops)
            ),
            stages=tuple(
                self._freeze_stage(index, parent, gauges) for index, parent in enumerate(parents)
            ),
            lanes=tuple(map(self._freeze_lane, range(len(self.subjects.lanes)))),
            spans=spans,
            cpu=Cpu(
                cores=cores,
                limit=cpu_limit,
                used=used if len(used.sums) else None,
                sampled=sampled if len(sampled.sums) else None,
            ),
            deliveries=tuple(
                _freeze_signature(count) for count in self.subjects.signatures if count.batches
            ),
            gauges={g.facts["name"]: g.gauge for g in gauges if g.facts.get("name")},
            overhead=overhead,
            stacks=tuple(_freeze_stack(c) for c in self.subjects.stacks if c.samples > 0),
            devices=_devices(gauges),
        )

    def _freeze_stage(self, index: int, parent: int | None, gauges: "list[_FrozenGauge]") -> Stage:
        facts = self.subjects.stages[index].facts
        levels = {g.facts["field"]: g.gauge for g in gauges if _is_level_of_stage(g, index)}
        file = facts.get("file")
        return Stage(
            name=facts["name"],
            kind=StageKind(facts["kind"]),
            function=facts.get("function"),
            location=Location(file, facts.get("line", 0)) if file else None,
            parent=parent,
            remark=facts.get("remark"),
            written=facts.get("written"),
            runs_as=facts.get("runs_as"),
            takes=facts.get("takes"),
            work=self.stage_work.freeze(index),
            lanes=dict(self.subjects.stages[index].lanes),
            lane_calls=dict(self.subjects.stages[index].lane_calls),
            parallelism=levels.get("parallelism"),
            most_parallelism=facts.get("most_parallelism"),
            autotuned=facts.get("autotuned"),
            buffer=levels.get("buffer"),
            buffer_size=levels.get("buffer_size"),
            buffer_autotuned=facts.get("buffer_autotuned"),
            workers=facts.get("workers"),
            starts=self.subjects.stages[index].starts,
        )

    def _freeze_lane(self, index: int) -> Lane:
        sums = self.subjects.lanes[index]
        cpu = self.lane_cpu.freeze(index)
        first_ns = sums.first_ns or self.start_ns
        return Lane(
            name=sums.name,
            role=sums.role,
            pid=sums.pid,
            tid=sums.tid,
            busy=self.lane_busy.freeze(index),
            cpu=cpu if len(cpu.sums) else None,
            first_ns=first_ns,
            last_ns=max(sums.last_ns, first_ns),
            gil=GilSamples(held=sums.gil_held, moments=sums.gil_moments)
            if sums.gil_moments
            else None,
        )


@dataclass(frozen=True, slots=True)
class _FrozenGauge:
    facts: Mapping[str, Any]
    target: int | None
    gauge: Gauge


def _devices(gauges: "list[_FrozenGauge]") -> tuple[Device, ...]:
    """The devices of which a driver told something."""
    told: dict[str, list[_FrozenGauge]] = defaultdict(list)
    for gauge in gauges:
        if "device" in gauge.facts:
            told[gauge.facts["device"]].append(gauge)
    return tuple(
        Device(
            kind=levels[0].facts["kind"],
            name=name,
            model=levels[0].facts.get("model"),
            levels={DeviceLevel(level.facts["field"]): level.gauge for level in levels},
        )
        for name, levels in told.items()
    )


def _level_of_loop(field: str, loop: int, gauges: list[_FrozenGauge]) -> Gauge | None:
    return next(
        (g.gauge for g in gauges if g.facts.get("field") == field and g.target == loop), None
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
        validation=facts.get("validation", False),
    )


def _freeze_stack(count: StackCount) -> StackSamples:
    lines = tuple(
        CodeLine(
            function=line["function"],
            location=Location(line["file"], line["line"]),
            text=line["text"],
            blocks=tuple(line["blocks"]),
        )
        for line in count.facts["lines"]
    )
    return StackSamples(
        lines=lines,
        samples=count.samples,
        in_function=bool(count.facts.get("in_function", False)),
    )


def _columns(*columns: IntArray | int) -> IntArray:
    """Columns side by side; a single number fills its column."""
    length = max((len(c) for c in columns if not isinstance(c, int)), default=1)
    table = np.empty((length, len(columns)), np.int64)
    for position, column in enumerate(columns):
        table[:, position] = column
    return table
