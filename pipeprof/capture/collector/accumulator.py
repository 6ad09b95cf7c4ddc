"""Adds records up, in bounded memory and at a constant cost per record.

The collector passes it the records of each ring; the recovery of a run whose process died passes it those
of the rings that are left. Only this module knows what is added up for each kind of record.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from pipeprof.capture.collector.host_time import HostTime
from pipeprof.capture.collector.open_calls import OpenCall, follow_call
from pipeprof.capture.collector.registry import Registry
from pipeprof.capture.collector.run_sums import RunSums
from pipeprof.capture.collector.stream_events import Events, columns_of, distinct, kinds_of
from pipeprof.capture.recorder.facts import Facts
from pipeprof.capture.recorder.records import (
    CPU_BITS,
    CPU_MASK,
    SUBJECT_MASK,
    Kind,
    Records,
)
from pipeprof.recording.lane import Role
from pipeprof.recording.series import BoolArray, IntArray
from pipeprof.recording.span import SpanKind

HELD_SPANS = 32_768
HELD_MOMENTS = 8_192

# Process id, number of the ring.
RingKey = tuple[int, int]

# Kinds of records that may have no subject.
_SUBJECT_IS_OPTIONAL = (
    Kind.GENERATOR_WAIT,
    Kind.PROCESS_CPU,
    Kind.MOMENT,
    Kind.ITERATOR_END,
)

# Kind of interval that a record is, by the kind of record; 0 where it is none.
_SPAN_KIND: IntArray = np.zeros(256, np.int64)
_SPAN_KIND[[Kind.ROOT_SPAN, Kind.NESTED_SPAN]] = SpanKind.WORK
_SPAN_KIND[Kind.WAIT] = SpanKind.WAIT
_SPAN_KIND[Kind.STEP] = SpanKind.STEP
_SPAN_KIND[Kind.TAKEN] = SpanKind.BATCH
_SPAN_KIND[Kind.HOST_CALL] = SpanKind.CALL
_SPAN_KIND[Kind.COMPILE] = SpanKind.COMPILE

# Records of work of which a part is read where there are too many.
_IS_WORK: BoolArray = np.zeros(256, bool)
_IS_WORK[[Kind.ROOT_SPAN, Kind.NESTED_SPAN]] = True
SAMPLED_ONE_IN = 16

# Shorter calls of the host's are not kept one by one: several of them come with every step, and they
# would take the place of intervals that can be seen on a timeline.
_LEAST_CALL_NS = 20_000


class Accumulator:
    """Adds records up.

    Args:
        sums: the sums so far, to which records are added.
        ring_lane: index of the lane that writes each ring, by process and number of the ring.

    Attributes:
        open_calls: the open call of each worker, by process and ring.
        latest_ns: end of the latest of the records that it was given.
        rest: called again and again while it works; what it works on stays as it is meanwhile.
    """

    def __init__(self, sums: RunSums, ring_lane: Mapping[RingKey, int] | None = None) -> None:
        self.sums = sums
        self.ring_lane = dict(ring_lane or {})
        self.open_calls: dict[RingKey, OpenCall] = {}
        self.latest_ns = 0
        self.rest: Callable[[], None] = lambda: None
        self._random = np.random.default_rng(0)
        self._account = HostTime(sums)
        self._adders = self._make_adders()

    @classmethod
    def begin(cls, *, start_ns: int, warmup: int) -> "Accumulator":
        """An accumulator without records; arguments as of `RunSums.begin`."""
        return cls(RunSums.begin(start_ns=start_ns, warmup=warmup))

    @property
    def registry(self) -> Registry:
        """The subjects of the records."""
        return self.sums.registry

    def add_names(self, pid: int, lines: Iterable[tuple[int, Facts]]) -> None:
        """Adds lines of a process's name log: number and facts of subjects."""
        self.registry.add_names(pid, lines)
        self.sums.make_room()

    def forget(self, pid: int) -> None:
        """Forgets a worker process that has ended; the next new one takes its lanes over."""
        self.registry.forget(pid)
        self.ring_lane = {key: lane for key, lane in self.ring_lane.items() if key[0] != pid}
        self.open_calls = {key: call for key, call in self.open_calls.items() if key[0] != pid}

    # What happened.

    def add(self, pid: int, ring: int, records: Records) -> None:
        """Adds records of one ring.

        Args:
            pid: process that wrote the ring.
            ring: number of the ring.
            records: new records, in the order in which they were written.
        """
        if not len(records):
            return
        self.sums.event_count += len(records)
        kinds = kinds_of(records)
        events = self._events_of(pid, ring, records, kinds)
        self.latest_ns = max(self.latest_ns, int(events.end_ns.max()))
        self._account.add_passes(events, kinds)
        for kind in np.flatnonzero(np.bincount(kinds)).tolist():
            adder = self._adders.get(kind)
            if adder is None:
                continue
            chosen = kinds == kind
            if kind not in _SUBJECT_IS_OPTIONAL:
                chosen &= events.targets >= 0
            positions = np.flatnonzero(chosen)
            if len(positions):
                adder(events.at(positions))
                self.rest()
        self._keep_spans(kinds, events)
        self._follow_call((pid, ring), kinds, events)
        self.rest()

    def add_sampled(self, pid: int, ring: int, records: Records) -> int:
        """Adds records of one ring, of the work of stages only one in `SAMPLED_ONE_IN`.

        That one counts for all of them, so that calls and work of each stage are about right. When single
        intervals were, and what ran beside what, is not known of the others.

        Args:
            pid: process that wrote the ring.
            ring: number of the ring.
            records: new records, in the order in which they were written.

        Returns:
            How many records were left out.
        """
        of_work = np.flatnonzero(_IS_WORK[kinds_of(records)])
        in_all = len(of_work) // SAMPLED_ONE_IN * SAMPLED_ONE_IN
        work = of_work[:in_all].reshape(-1, SAMPLED_ONE_IN)
        one_by_one = np.ones(len(records), bool)
        one_by_one[work] = False
        self.add(pid, ring, records[one_by_one])
        # One of so many in a row is chosen at random, so that stages that take turns are all counted.
        chosen = self._random.integers(0, SAMPLED_ONE_IN, len(work))
        sampled = records[work[np.arange(len(work)), chosen]]
        if len(sampled):
            kinds = kinds_of(sampled)
            events = self._events_of(pid, ring, sampled, kinds)
            known = events.targets >= 0
            self._add_spans(events.at(known), SAMPLED_ONE_IN)
            self._add_busy(events.at(known & (kinds == Kind.ROOT_SPAN)), SAMPLED_ONE_IN)
            self.sums.event_count += len(sampled)
            self.rest()
        return in_all - len(sampled)

    def _events_of(self, pid: int, ring: int, records: Records, kinds: IntArray) -> Events:
        numbers = (records["code"] & SUBJECT_MASK).astype(np.int64)
        targets = self.registry.translate(pid, numbers)
        return Events(
            pid=pid,
            start_ns=np.ascontiguousarray(records["start_ns"]),
            end_ns=np.ascontiguousarray(records["end_ns"]),
            inner=np.ascontiguousarray(records["inner"]),
            value=np.ascontiguousarray(records["value"]),
            targets=targets,
            lanes=self._lanes_of(pid, ring, records, kinds, targets),
        )

    def _make_adders(self) -> Mapping[int, Callable[[Events], None]]:
        """What takes the records of each kind."""
        return {
            Kind.ROOT_SPAN: self._add_root_spans,
            Kind.NESTED_SPAN: self._add_spans,
            Kind.WORK: self._add_work,
            Kind.ESTIMATED_WORK: self._add_estimated_work,
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
            Kind.MOMENT: self._add_moments,
            Kind.ITERATOR_END: self._add_iterator_ends,
            Kind.STACK: self._add_stacks,
            Kind.GIL: self._add_gil,
            Kind.IN_STAGE: self._add_in_stages,
            Kind.HOST_CALL: self._account.add_calls,
            Kind.HOST_CALL_OPEN: self._account.add_open_calls,
            Kind.COMPILE: self._account.add_compiles,
            Kind.MODEL: self._account.add_models,
            Kind.FIRST_READY: self._account.add_first_ready,
            Kind.HOST_SAMPLE: self._account.add_samples,
            Kind.DELIVERED: self._add_delivered,
            Kind.LOSS: self._add_losses,
        }

    def _follow_call(self, ring: RingKey, kinds: IntArray, events: Events) -> None:
        tids = [lane.tid for lane in self.registry.lanes]
        call = follow_call(self.open_calls.pop(ring, None), kinds, events, tids)
        if call is not None:
            self.open_calls[ring] = call

    def _lanes_of(
        self, pid: int, ring: int, records: Records, kinds: IntArray, targets: IntArray
    ) -> IntArray:
        """The lane that wrote each record: the subject of the latest `Kind.THREAD` record before it."""
        lane = self.ring_lane.get((pid, ring), -1)
        lanes = np.full(len(records), lane, np.int64)
        for position in np.flatnonzero(kinds == Kind.THREAD).tolist():
            lane = int(targets[position])
            lanes[position:] = lane
            if lane >= 0:
                self.registry.lanes[lane].tid = int(records["value"][position])
        self.ring_lane[pid, ring] = lane
        return lanes

    def _add_root_spans(self, events: Events) -> None:
        self._add_spans(events)
        self._account.add_input(events)
        spans = columns_of(events.start_ns, events.end_ns)
        self.sums.held_spans = np.concatenate([self.sums.held_spans, spans])[-HELD_SPANS:]
        self._add_busy(events)

    def _add_busy(self, events: Events, times: int = 1) -> None:
        """Adds the time in which lanes were in stages; each event stands for ``times`` of its kind."""
        known = events if (events.lanes >= 0).all() else events.at(events.lanes >= 0)
        start_ns, end_ns = known.start_ns, known.end_ns
        busy = columns_of((end_ns - start_ns) * times)
        self.sums.lane_busy.spread(start_ns, end_ns, busy, known.lanes)
        self._see_lanes(start_ns, end_ns, known.lanes)

    def _add_spans(self, events: Events, times: int = 1) -> None:
        """Adds work of stages; each event stands for ``times`` of its kind."""
        own = np.maximum(events.end_ns - events.start_ns - events.inner, 0)
        value = events.value
        stands_for = np.where(value >= 0, (value >> CPU_BITS) + 1, 0)
        cpu = np.minimum(value & CPU_MASK, own) * stands_for
        timed = own * stands_for
        work = columns_of(times, own * times, cpu * times, timed * times, 0, 0, 0)
        self.sums.stage_work.spread(events.start_ns, events.end_ns, work, events.targets)
        for stage, its in events.each_target():
            sums = self.registry.stages[stage]
            its_own = own if its is events else own[events.targets == stage]
            for lane in distinct(its.lanes):
                if lane >= 0:
                    of_lane = its.lanes == lane
                    sums.lanes[lane] = sums.lanes.get(lane, 0) + int(its_own[of_lane].sum()) * times
                    calls = int(np.count_nonzero(of_lane)) * times
                    sums.lane_calls[lane] = sums.lane_calls.get(lane, 0) + calls

    def _add_work(self, events: Events) -> None:
        work = columns_of(events.inner, events.value, 0, 0, 0, 0, 0)
        self.sums.stage_work.spread(events.start_ns, events.end_ns, work, events.targets)

    def _add_estimated_work(self, events: Events) -> None:
        work = columns_of(0, 0, 0, 0, 0, 0, events.value)
        self.sums.stage_work.spread(events.start_ns, events.end_ns, work, events.targets)

    def _add_starts(self, events: Events) -> None:
        for stage, its in events.each_target():
            held, calls = its.inner >> 32, its.inner & 0xFFFFFFFF
            rows = columns_of(its.start_ns, its.end_ns, calls, its.value, held)
            self.registry.stages[stage].add_starts(rows)

    def _add_waits(self, events: Events) -> None:
        self._count_batches(self.registry.translate(events.pid, events.inner))
        loops = self.registry.loops
        for index, its in events.each_target():
            samples = int(np.maximum(its.value, 0).sum())
            if samples:
                loops[index].add_samples(samples)
            loops[index].add_waits(its.start_ns, its.end_ns)

    def _add_generator_waits(self, events: Events) -> None:
        # Validation runs inside the loop before it, and both may wait for generators.
        for loop in self.registry.loops[-2:]:
            its = events.at(events.value == loop.fed_by_keras)
            loop.add_generator_waits(its.start_ns, its.end_ns)

    def _add_steps(self, events: Events) -> None:
        for index, its in events.each_target():
            loop = self.registry.loops[index]
            value = its.value
            loop.add_steps(
                columns_of(
                    its.inner,
                    value >> 32,
                    its.start_ns,
                    its.end_ns,
                    -1,
                    value & 0xFFFFFFFF,
                )
            )
            lane = int(its.lanes[0])
            if loop.lane is None and lane >= 0:
                loop.lane = lane
                if self.registry.lanes[lane].role is Role.INPUT:
                    self.registry.lanes[lane].role = Role.TRAINING

    def _add_gaps(self, events: Events) -> None:
        for loop, its in events.each_target():
            self.registry.loops[loop].add_gaps(its.inner, its.value)

    def _add_levels(self, events: Events) -> None:
        for gauge, its in events.each_target():
            self.registry.gauges[gauge].bins.add(its.end_ns, its.value)

    def _add_bytes(self, events: Events) -> None:
        work = columns_of(0, 0, 0, 0, events.value, events.inner, 0)
        self.sums.stage_work.add(events.end_ns, work, events.targets)

    def _add_cpu(self, events: Events) -> None:
        spent = columns_of(events.value, events.inner)
        self.sums.lane_cpu.add(events.end_ns, spent, events.targets)
        self._see_lanes(events.start_ns, events.end_ns, events.targets)

    def _add_batches(self, events: Events) -> None:
        self._count_batches(events.targets)

    def _add_samples(self, events: Events) -> None:
        for loop, its in events.each_target():
            self.registry.loops[loop].add_samples(int(its.value.sum()))

    def _add_process_cpu(self, events: Events) -> None:
        end_ns = events.end_ns
        self.sums.cpu_used.add(end_ns, columns_of(events.value))
        self.sums.cpu_sampled.add(end_ns, columns_of(end_ns - events.start_ns))

    def _add_moments(self, events: Events) -> None:
        rows = columns_of(events.start_ns, events.end_ns, events.value)
        self.sums.held_moments = np.concatenate([self.sums.held_moments, rows])[-HELD_MOMENTS:]

    def _add_iterator_ends(self, events: Events) -> None:
        rows = columns_of(events.start_ns, events.end_ns, events.lanes)
        self.sums.add_iterator_ends(rows[events.lanes >= 0])

    def _add_stacks(self, events: Events) -> None:
        for stack, its in events.each_target():
            self.registry.stacks[stack].samples += int(its.value.sum())

    def _add_gil(self, events: Events) -> None:
        for lane, its in events.each_target():
            self.registry.lanes[lane].gil_held += int(its.value.sum())
            self.registry.lanes[lane].gil_samples += int(its.inner.sum())
        self._see_lanes(events.start_ns, events.end_ns, events.targets)

    def _add_delivered(self, events: Events) -> None:
        for loop, its in events.each_target():
            cost_ns = int((its.end_ns - its.start_ns).sum())
            epoch, samples = its.value >> 32, (its.value & 0xFFFFFFFF) - 1
            self.registry.loops[loop].delivery.add_batches(epoch, samples, its.inner, cost_ns)

    def _add_losses(self, events: Events) -> None:
        for loop, its in events.each_target():
            ordinal, samples = its.inner & 0xFFFFFFFF, its.inner >> 32
            self.registry.loops[loop].delivery.add_losses(columns_of(ordinal, samples, its.value))

    def _add_in_stages(self, events: Events) -> None:
        for lane, its in events.each_target():
            self.registry.lanes[lane].stage_samples += int(its.inner.sum())
            self.registry.lanes[lane].helper_waits += int(its.value.sum())

    def _count_batches(self, signatures: IntArray) -> None:
        counts = np.bincount(signatures[signatures >= 0])
        for signature in np.flatnonzero(counts).tolist():
            self.registry.signatures[signature].batches += int(counts[signature])

    def _see_lanes(self, start_ns: IntArray, end_ns: IntArray, lanes: IntArray) -> None:
        for lane in distinct(lanes):
            mine = lanes == lane
            self.registry.lanes[lane].add_seen(int(start_ns[mine].min()), int(end_ns[mine].max()))

    def _keep_spans(self, kinds: IntArray, events: Events) -> None:
        """Passes the records that are intervals on to `RunSums.spans`."""
        span_kinds = _SPAN_KIND[kinds]
        waits = span_kinds == SpanKind.WAIT
        kept = (span_kinds > 0) & (events.lanes >= 0) & (waits | (events.targets >= 0))
        lengths = events.end_ns - events.start_ns
        kept &= (span_kinds != SpanKind.CALL) | (lengths >= _LEAST_CALL_NS)
        positions = np.flatnonzero(kept)
        its, kind = events.at(positions), span_kinds[positions]
        self.sums.spans.add(
            columns_of(
                kind,
                np.where(kind == SpanKind.WAIT, -1, its.targets),
                its.lanes,
                its.start_ns,
                its.end_ns,
                np.where(kind == SpanKind.WORK, its.inner, 0),
            )
        )

    def settle(self, until_ns: int | None = None) -> None:
        """Counts the steps whose waits are known, and the input work that ran beside them.

        Args:
            until_ns: all events that ended before this time have been added. None when all events have,
                so that every step is counted.
        """
        self._account.settle()
        for loop in self.registry.loops:
            loop.settle(until_ns)
            self.rest()
        begins_ns = [
            loop.held_from_ns
            for loop in self.registry.loops
            if loop.held_from_ns is not None
            and (loop.waits_by is not None or loop is self.registry.loops[-1])
        ]
        settled_ns = [loop.settled_until_ns for loop in self.registry.loops]
        ready_ns = min([max(settled_ns, default=self.sums.start_ns), *begins_ns])
        self._lay_spans(until_ns is None or self.sums.held_spans[:, 1] <= ready_ns)
        self._lay_moments(until_ns is None or self.sums.held_moments[:, 1] <= ready_ns)

    def _lay_spans(self, chosen: BoolArray | bool) -> None:
        """Adds held work of input stages to the loops whose steps are settled by now.

        Args:
            chosen: which of the held intervals.
        """
        spans = self.sums.held_spans[np.broadcast_to(chosen, len(self.sums.held_spans))]
        if len(spans):
            self.sums.held_spans = self.sums.held_spans[
                ~np.broadcast_to(chosen, len(self.sums.held_spans))
            ]
            for loop in self.registry.loops:
                loop.add_input_work(spans[:, 0], spans[:, 1])
                self.rest()

    def _lay_moments(self, chosen: BoolArray | bool) -> None:
        """Adds held moments to the loops whose steps are settled by now; ``chosen`` as of `_lay_spans`."""
        which = np.broadcast_to(chosen, len(self.sums.held_moments))
        rows = self.sums.held_moments[which]
        if len(rows):
            self.sums.held_moments = self.sums.held_moments[~which]
            for loop in self.registry.loops:
                loop.add_moments(*rows.T)
