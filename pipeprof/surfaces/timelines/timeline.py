"""The contents of a timeline for any viewer: names, intervals and levels over time of a recorded run.

It knows no viewer's format.
"""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from pipeprof.analysis.findings.findings import Findings, StageFinding
from pipeprof.recording.devices import Device
from pipeprof.recording.lane import Lane, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import BoolArray, FloatArray, Gauge, IntArray
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.recording.stage import Stage, StageKind
from pipeprof.report.figures.bins import sums_between
from pipeprof.surfaces.timelines.cores_over_time import cores_used, stretches

# Stages without intervals are drawn in at most so many pieces, on at most so many lines.
_MEAN_PIECES = 250
_MEAN_LINES = 64


# tf.data's own model records how long these worked in sum, not when.
_SUMMED = (
    StageKind.TF_DATA,
    StageKind.TF_DATA_PYTHON,
    StageKind.TF_DATA_REMOTE,
    StageKind.TF_DATA_WORKER,
)


def find_origin_ns(profile: Profile) -> int:
    """When the run began, or the earliest loop or interval where that is earlier."""
    starts = [profile.run.start_ns, *(loop.start_ns for loop in profile.loops)]
    if len(profile.spans):
        starts.append(int(profile.spans.start_ns.min()))
    return min(starts)


def find_end_ns(profile: Profile) -> int:
    """When the run ended, or the latest loop or interval where that is later."""
    ends = [profile.run.end_ns, *(loop.end_ns for loop in profile.loops)]
    if len(profile.spans):
        ends.append(int(profile.spans.end_ns.max()))
    return max(ends)


def stage_label(stage: Stage) -> str:
    """The name of a stage on a timeline."""
    return f"{stage.name} ({stage.location.short})" if stage.location else stage.name


def lane_label(lane: Lane) -> str:
    """The name of a thread or process on a timeline."""
    thread = "" if lane.tid is None else f", thread {lane.tid}"
    return f"{lane.name} ({lane.role.value}, process {lane.pid}{thread})"


def counted_with_wait(loop: Loop) -> BoolArray:
    """For each kept step: whether it counts for the verdict and its wait was measured."""
    those: BoolArray = loop.counted & loop.steps.measured
    return those


# Intervals


@dataclass(slots=True)
class NestedSpan:
    """A span with what is known of the spans inside it.

    Attributes:
        waits: whether it is a wait and not work.
        subject: index of its stage, or -1.
        start_ns: begin.
        end_ns: end.
        unseen_ns: time of inner spans that were not kept; it is drawn from the begin on.
        before_first_ns: time from the begin to the first inner span that was kept.
    """

    waits: bool
    subject: int
    start_ns: int
    end_ns: int
    unseen_ns: int
    before_first_ns: int


def nested_spans(profile: Profile, lane: int, at_most: int | None = None) -> list[NestedSpan]:
    """The intervals of a lane, outer ones first.

    Steps and the waits of loops are left out, because `loop_lines` has them. A run keeps intervals by the
    time at which they end. If an outer span was kept and some inner spans were not, these ended earlier
    than the inner spans that were kept: their time is drawn before those.

    Args:
        profile: the run.
        lane: index of the lane.
        at_most: the latest so many.
    """
    drawn = are(SpanKind.WORK, profile.spans)
    if all(loop.lane != lane for loop in profile.loops):
        drawn |= are(SpanKind.WAIT, profile.spans)
    chosen = np.flatnonzero(drawn & (profile.spans.lane == lane))
    return _nest(profile.spans, chosen if at_most is None else chosen[-at_most:])


def are(kind: SpanKind, spans: Spans) -> BoolArray:
    """For each interval: whether it is of a kind."""
    found: BoolArray = spans.kind == kind
    return found


def _nest(spans: Spans, chosen: IntArray) -> list[NestedSpan]:
    order = chosen[np.lexsort((-chosen, -spans.end_ns[chosen], spans.start_ns[chosen]))]
    columns = (spans.kind, spans.subject, spans.start_ns, spans.end_ns, spans.inner_ns)
    every: list[NestedSpan] = []
    outer: list[NestedSpan] = []
    for kind, subject, start, end, inner in zip(
        *(column[order].tolist() for column in columns), strict=True
    ):
        nested = NestedSpan(kind == SpanKind.WAIT, subject, start, end, inner, end - start)
        while outer and outer[-1].end_ns <= start:
            outer.pop()
        if outer:
            outer[-1].unseen_ns -= end - start
            outer[-1].before_first_ns = min(outer[-1].before_first_ns, start - outer[-1].start_ns)
        outer.append(nested)
        every.append(nested)
    for nested in every:
        nested.unseen_ns = min(max(nested.unseen_ns, 0), nested.before_first_ns)
    return every


# Devices


@dataclass(frozen=True, slots=True)
class DeviceStep:
    """A traced step of a device, with the time that the device spent on each kind of work."""

    start_ns: int
    end_ns: int
    busy_ns: int
    compute_ns: int
    copy_in_ns: int
    idle_waiting_ns: int


def device_steps(device: Device) -> list[DeviceStep]:
    """The traced steps of a device, one after the other; none where it was not traced."""
    if device.steps is None:
        return []
    columns = (getattr(device.steps, name).tolist() for name in DeviceStep.__dataclass_fields__)
    kept: list[DeviceStep] = []
    for step in map(DeviceStep, *columns):
        if step.start_ns <= step.end_ns and (not kept or kept[-1].end_ns <= step.start_ns):
            kept.append(step)
    return kept


# Batches


@dataclass(frozen=True, slots=True)
class BatchPath:
    """The way of a batch from the lane that made it to the loop that used it.

    Attributes:
        lane: index of the lane that made it.
        ready_ns: when it was ready; the last nanosecond of the interval in which it was made.
        loop: index of the loop that took it.
        used_ns: when the step that took it had waited for it; the last nanosecond of that wait.
    """

    lane: int
    ready_ns: int
    loop: int
    used_ns: int


def batch_paths(profile: Profile) -> Iterator[BatchPath]:
    """The ways of the batches for which both the interval of their making and their step were kept."""
    spans = profile.spans
    batches = are(SpanKind.BATCH, spans)
    made = _made(spans, spans.start_ns[batches])
    columns = (spans.start_ns, spans.end_ns, spans.subject)
    for start_ns, end_ns, number in zip(*(c[batches].tolist() for c in columns), strict=True):
        lane, ready_ns = made.get(start_ns, (None, 0))
        if lane is None or number < 0:
            continue
        steps = profile.loops[number].steps
        step = int(np.searchsorted(steps.start_ns, end_ns)) - 1
        if step < 0 or end_ns > steps.end_ns[step]:
            continue
        waited_ns = int(steps.start_ns[step]) + max(int(steps.wait_ns[step]) - 1, 0)
        used_ns = min(max(waited_ns, ready_ns), int(steps.end_ns[step]) - 1)
        if ready_ns <= used_ns:
            yield BatchPath(lane, ready_ns, number, used_ns)


def _made(spans: Spans, starts_ns: IntArray) -> dict[int, tuple[int | None, int]]:
    """For each time at which work began: the lane and the end of the outermost work that began then.

    The lane is None if several lanes began work in that nanosecond.
    """
    made: dict[int, tuple[int | None, int]] = {}
    chosen = are(SpanKind.WORK, spans) & np.isin(spans.start_ns, starts_ns)
    columns = (spans.start_ns, spans.end_ns, spans.lane)
    for start_ns, end_ns, lane in zip(*(c[chosen].tolist() for c in columns), strict=True):
        last_ns = max(end_ns - 1, start_ns)
        known_lane, known_ns = made.get(start_ns, (lane, last_ns))
        made[start_ns] = (lane if known_lane == lane else None, max(known_ns, last_ns))
    return made


# Stages of which tf.data reports only sums


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanWork:
    """A stage without intervals, drawn as its mean work over the counted steps.

    Attributes:
        stage: the stage.
        lines: names of its lines, at least one.
        intervals: begins and ends of the intervals, which are equal on all its lines.
    """

    stage: StageFinding
    lines: tuple[str, ...]
    intervals: tuple[tuple[int, int], ...]


def mean_work(findings: Findings) -> Iterator[MeanWork]:
    """The mean work of each tf.data stage without intervals, spread evenly over the counted steps.

    The intervals of a stage add up to its cost per step times the number of these steps. A stage whose
    work per step takes longer than a step gets several lines.
    """
    main = findings.main
    if main is None or not (steady := counted_with_wait(main.loop)).any():
        return
    starts = main.loop.steps.start_ns[steady]
    durations = main.loop.steps.end_ns[steady] - starts
    pieces = min(len(starts), _MEAN_PIECES)
    stretches = [
        (int(start[0]), int(duration.sum()))
        for start, duration in zip(
            np.array_split(starts, pieces), np.array_split(durations, pieces), strict=True
        )
    ]
    spans = findings.profile.spans
    timed = set(spans.subject[are(SpanKind.WORK, spans)].tolist())
    for stage in findings.stages:
        if stage.stage.kind in _SUMMED and stage.index not in timed and stage.cost_ms > 0:
            concurrency = stage.cost_ms * 1e6 / float(durations.mean())
            lines = min(math.ceil(concurrency), _MEAN_LINES)
            share = min(concurrency / lines, 1.0)
            label = f"tf.data {stage_label(stage.stage)}: mean work, not intervals"
            yield MeanWork(
                stage=stage,
                lines=tuple(f"{label} ({number} of {lines})" for number in range(1, lines + 1)),
                intervals=tuple(
                    (start, start + round(duration * share)) for start, duration in stretches
                ),
            )


# Levels


def levels_over_time(findings: Findings) -> Iterator[tuple[str, list[int], list[float]]]:
    """The gauges of the run: name, times at which they were read, and values.

    Viewers merge gauges with equal names, so the second and later gauges of a name get a number.
    """
    shown: Counter[str] = Counter()
    for name, gauge in _gauges(findings):
        if gauge is not None:
            times_ns, levels = gauge.points()
            if len(times_ns):
                shown[name] += 1
                number = f" ({shown[name]})" if shown[name] > 1 else ""
                yield name + number, times_ns.tolist(), levels.tolist()
    profile = findings.profile
    times_ns, cores = cores_used(profile.cpu)
    if not len(times_ns):
        return
    yield "CPU cores used", times_ns.tolist(), cores.tolist()
    for role in Role:
        by_role = _cores_used_by(role, profile)
        if by_role is not None:
            yield f"CPU cores used: {role.value}", times_ns.tolist(), by_role.tolist()


def _gauges(findings: Findings) -> Iterator[tuple[str, Gauge | None]]:
    profile = findings.profile
    if findings.main:
        yield "batches ready", findings.main.loop.input.queue
    yield from profile.gauges.items()
    for device in profile.devices:
        for level, gauge in device.levels.items():
            yield f"{device.name}: {level.value}", gauge
    for stage in profile.stages:
        label = stage_label(stage)
        yield f"buffer of {label}", stage.buffer
        yield f"parallelism of {label}", stage.parallelism


def _cores_used_by(role: Role, profile: Profile) -> FloatArray | None:
    """Cores that the threads of a role used, at the times of `cores_used`; None without a reading."""
    borders = stretches(profile.cpu)
    lanes = [lane.cpu for lane in profile.lanes if lane.role is role and lane.cpu is not None]
    if borders is None or profile.cpu.sampled is None or not lanes:
        return None
    sampled = sums_between(profile.cpu.sampled, borders)
    read = sampled > 0
    used = sum((sums_between(cpu, borders) for cpu in lanes), np.zeros(len(sampled)))
    cores: FloatArray = used[read] / sampled[read]
    return cores
