"""What must hold in every recording. Each profile is checked, because its file may come from elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from pipeprof.recording.account import HostFunction, check_account
from pipeprof.recording.data_workers import DataWorker, check_workers
from pipeprof.recording.devices import Device, TraceWindow, check_devices, check_windows
from pipeprof.recording.lane import LANE_CPU_CHANNELS, Cpu, Lane
from pipeprof.recording.loop import INPUT_CHANNELS, LOOP_CHANNELS, MOMENT_CHANNELS, Loop
from pipeprof.recording.run_info import RunInfo
from pipeprof.recording.series import Gauge, IntArray
from pipeprof.recording.series_checks import (
    check_binned,
    check_columns,
    check_gauge,
    check_histogram,
)
from pipeprof.recording.source_code import StackSamples
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.recording.stage import STAGE_CHANNELS, START_COLUMNS, Stage

# The clock starts with the machine; none has run for thirty years.
_FARTHEST_NS = 10**18

# No batch has more elements.
_MOST_TAKEN = 2**40


class Parts(Protocol):
    """The parts of a `Profile` that are checked here."""

    @property
    def run(self) -> RunInfo:
        """What ran."""
        ...

    @property
    def loops(self) -> tuple[Loop, ...]:
        """All loops."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages."""
        ...

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All lanes."""
        ...

    @property
    def spans(self) -> Spans:
        """Single intervals."""
        ...

    @property
    def cpu(self) -> Cpu:
        """The processors."""
        ...

    @property
    def gauges(self) -> Mapping[str, Gauge]:
        """Levels over time, by name."""
        ...

    @property
    def stacks(self) -> tuple[StackSamples, ...]:
        """Sampled stacks."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices."""
        ...

    @property
    def trace_windows(self) -> tuple[TraceWindow, ...]:
        """What TensorFlow's profiler traced."""
        ...

    @property
    def data_workers(self) -> tuple[DataWorker, ...]:
        """Workers of a tf.data service."""
        ...

    @property
    def iterator_ends(self) -> IntArray:
        """When iterators were destroyed."""
        ...

    @property
    def host_functions(self) -> tuple[HostFunction, ...]:
        """What calls of the host's are calls of."""
        ...


def find_contradictions(profile: Parts) -> tuple[str, ...]:
    """All that is wrong in a profile, one sentence each; empty where nothing is.

    This is what `find_damage` finds. Where it finds nothing, these are checked too: a step's wait is
    no longer than the step; steps of a loop do not overlap; a stage's own work is not negative; spans
    of one lane nest.
    """
    problems = find_damage(profile)
    if problems:
        return problems  # the other checks need a whole profile
    return (*_check_steps(profile), *_check_work(profile), *_check_spans(profile))


def find_damage(profile: Parts) -> tuple[str, ...]:
    """What is missing or out of range in a profile, so that it cannot be analysed; one sentence each."""
    problems = (*_check_arrays(profile), *_check_loops(profile), *_check_stages(profile))
    if problems:
        return problems  # the other checks need columns of one length
    return (*_check_references_of_spans(profile), *_check_times(profile))


def _check_arrays(profile: Parts) -> Iterator[str]:
    """The arrays of a table have one length, and every bin has a width."""
    for number, loop in enumerate(profile.loops):
        name = f"loop {number}"
        yield from check_columns(name, loop.steps)
        yield from check_binned(name, loop.over_time, len(LOOP_CHANNELS))
        yield from check_binned(name, loop.input_over_time, len(INPUT_CHANNELS))
        yield from check_binned(name, loop.moments_over_time, len(MOMENT_CHANNELS))
        yield from check_gauge(name, loop.input.queue)
        yield from check_gauge(name, loop.input.head_of_line)
        times = (
            loop.step_times,
            loop.wait_times,
            loop.compute_times,
            loop.epoch_start_times,
            loop.callback_times,
        )
        for histogram in times:
            yield from check_histogram(name, histogram)
        yield from check_account(name, loop.account)
    for number, stage in enumerate(profile.stages):
        yield from _check_stage_arrays(f"stage {number}", stage)
    for number, lane in enumerate(profile.lanes):
        yield from _check_lane_arrays(f"lane {number}", lane)
    yield from check_binned("cpu", profile.cpu.used, 1)
    yield from check_binned("cpu", profile.cpu.sampled, 1)
    for name, gauge in profile.gauges.items():
        yield from check_gauge(name, gauge)
    yield from check_columns("spans", profile.spans)
    for number, stack in enumerate(profile.stacks):
        if not stack.lines or stack.samples < 1:
            yield f"stack {number}: without lines or samples"
    yield from check_devices(profile.devices)
    if profile.iterator_ends.ndim != 2 or profile.iterator_ends.shape[1] != 3:
        yield "ends of iterators: other columns than three"
    yield from check_windows(profile.trace_windows, len(profile.loops))
    yield from check_workers(profile.data_workers, len(profile.stages))


def _check_lane_arrays(name: str, lane: Lane) -> Iterator[str]:
    yield from check_binned(name, lane.busy, 1)
    yield from check_binned(name, lane.cpu, len(LANE_CPU_CHANNELS))
    if lane.gil is not None and not 0 <= lane.gil.held <= lane.gil.samples:
        yield f"{name}: held the GIL more often than anybody looked"
    seen = lane.in_stages
    if seen is not None and not 0 <= seen.waiting <= seen.samples:
        yield f"{name}: waited in more samples of stages than were taken"


def _check_stage_arrays(name: str, stage: Stage) -> Iterator[str]:
    yield from check_binned(name, stage.work, len(STAGE_CHANNELS))
    if stage.starts.ndim != 2 or stage.starts.shape[1] != len(START_COLUMNS):
        yield f"{name}: starts with other columns than {len(START_COLUMNS)}"
    for gauge in (stage.parallelism, stage.buffer, stage.buffer_size):
        yield from check_gauge(name, gauge)


def _check_loops(profile: Parts) -> Iterator[str]:
    for number, loop in enumerate(profile.loops):
        if loop.parent is not None and not 0 <= loop.parent < len(profile.loops):
            yield f"loop {number}: no loop {loop.parent} to be its parent"
        if loop.lane is not None and not 0 <= loop.lane < len(profile.lanes):
            yield f"loop {number}: no lane {loop.lane} to run on"
    yield from _check_ancestors("loop", [loop.parent for loop in profile.loops])


def _check_stages(profile: Parts) -> Iterator[str]:
    for number, stage in enumerate(profile.stages):
        if stage.parent is not None and not 0 <= stage.parent < len(profile.stages):
            yield f"stage {number} ({stage.name}): no stage {stage.parent} to ask it"
        if any(not 0 <= lane < len(profile.lanes) for lane in (*stage.lanes, *stage.lane_calls)):
            yield f"stage {number} ({stage.name}): ran on a lane that is none"
        if stage.takes is not None and not 0 <= stage.takes <= _MOST_TAKEN:
            yield f"stage {number} ({stage.name}): takes {stage.takes:g} elements for one"
    yield from _check_ancestors("stage", [stage.parent for stage in profile.stages])


def _check_references_of_spans(profile: Parts) -> Iterator[str]:
    lanes, spans = len(profile.lanes), profile.spans
    if not np.isin(spans.kind, tuple(SpanKind)).all():
        yield "a span of no known kind"
    if ((spans.lane < 0) | (spans.lane >= lanes)).any():
        yield "a span on a lane that is none"
    counts = {
        SpanKind.WORK: len(profile.stages),
        SpanKind.WAIT: len(profile.stages),
        SpanKind.STEP: len(profile.loops),
        SpanKind.BATCH: len(profile.loops),
        SpanKind.CALL: len(profile.host_functions),
        SpanKind.COMPILE: len(profile.loops),
    }
    for kind, count in counts.items():
        subjects = spans.subject[spans.kind == kind]
        if ((subjects < -1) | (subjects >= count)).any():
            yield f"a {kind.name.lower()} span of something that is not there"


def _check_times(profile: Parts) -> Iterator[str]:
    """Differences of times, and sums of these, must fit into 64 bits."""
    run, spans = profile.run, profile.spans
    times = {
        "run": np.array([run.start_ns, run.end_ns]),
        "spans": np.concatenate([spans.start_ns, spans.end_ns]),
    }
    for number, loop in enumerate(profile.loops):
        alone = [loop.start_ns, loop.end_ns, loop.steady_ns or loop.start_ns]
        times[f"loop {number}"] = np.concatenate([alone, loop.steps.start_ns, loop.steps.end_ns])
    for number, lane in enumerate(profile.lanes):
        times[f"lane {number}"] = np.array([lane.first_ns, lane.last_ns])
    for number, device in enumerate(profile.devices):
        if device.steps is not None:
            borders = [device.steps.start_ns, device.steps.end_ns]
            times[f"device {number}"] = np.concatenate(borders)
    for number, window in enumerate(profile.trace_windows):
        times[f"window {number}"] = np.array([window.start_ns, window.end_ns])
    for name, its in times.items():
        if len(its) and not -_FARTHEST_NS <= its.min() <= its.max() <= _FARTHEST_NS:
            yield f"{name}: a time that no clock shows"


def _check_ancestors(kind: str, parents: Sequence[int | None]) -> Iterator[str]:
    for number in range(len(parents)):
        at, seen = parents[number], {number}
        while at is not None and 0 <= at < len(parents) and at not in seen:
            seen.add(at)
            at = parents[at]
        if at == number:
            yield f"{kind} {number} is its own ancestor"
            return


def _check_steps(profile: Parts) -> Iterator[str]:
    for number, loop in enumerate(profile.loops):
        steps = loop.steps
        if (steps.wait_ns > steps.end_ns - steps.start_ns).any():
            yield f"loop {number}: a step waits longer than it lasts"
        if (steps.start_ns[1:] < steps.end_ns[:-1]).any():
            yield f"loop {number}: steps overlap"


def _check_work(profile: Parts) -> Iterator[str]:
    for number, stage in enumerate(profile.stages):
        if (stage.work.sums < 0).any():
            yield f"stage {number} ({stage.name}): negative work"


def _check_spans(profile: Parts) -> Iterator[str]:
    spans = profile.spans
    if (spans.end_ns < spans.start_ns).any():
        yield "a span ends before it begins"
    for lane in np.unique(spans.lane):
        for kinds in ((SpanKind.WORK, SpanKind.WAIT), (SpanKind.CALL, SpanKind.COMPILE)):
            chosen = (spans.lane == lane) & np.isin(spans.kind, kinds)
            if not _nest(spans.start_ns[chosen], spans.end_ns[chosen]):
                yield f"spans of lane {lane} overlap without nesting"


def _nest(start_ns: IntArray, end_ns: IntArray) -> bool:
    order = np.lexsort((-end_ns, start_ns))
    open_ends: list[int] = []
    for start, end in zip(start_ns[order].tolist(), end_ns[order].tolist(), strict=True):
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        if open_ends and open_ends[-1] < end:
            return False
        open_ends.append(end)
    return True
