"""A run as an XSpace file, for XProf and for TensorBoard's profile page.

It is laid out so that XProf gives pipeprof's verdict by its own arithmetic: its input pipeline
analyser takes the steps that count, with their waits, and lists the stages by their own work. The
rules it reads by are not documented; ``tests/surfaces/test_xplane.py`` pins those relied on here:

- only the first plane ``/host:CPU`` feeds its analysis, so threads and processes are lines there;
- an event with ``step_num`` and ``_r`` is a step, if it has another event inside it;
- an event with ``_ipl_stage_*`` inside a step is input wait; elsewhere it is a stage, listed by the
  event's name, less what nests in it. The id must be that of the event's own metadata. Category
  ``prefetch`` is kept out of the list, and still taken off what it nests in.
- times count from the start of the run: nanoseconds since 1970 overflow in its trace viewer.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any

import numpy as np

from pipeprof.analysis.findings import Findings, StageFinding
from pipeprof.recording import (
    UNKNOWN_NS,
    Cpu,
    Lane,
    Loop,
    Profile,
    Role,
    SpanKind,
    Spans,
    Stage,
    StageKind,
    Steps,
)
from pipeprof.series import BoolArray, FloatArray, Gauge, IntArray
from pipeprof.xplane_schema import XSpace, XStat

MAX_EVENTS = 200_000

# Stages without intervals are drawn in at most so many pieces, on at most so many lines.
_MEAN_PIECES = 1_000
_MEAN_LINES = 64

# CPU use is given for at most so many stretches of time, none shorter than this.
_CPU_STRETCHES = 64
_CPU_STRETCH_NS = 500_000_000

_READING = re.compile(r"(?i)\b(read|open|fetch|download)|TFRecord|TextLine|FixedLengthRecord")
_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "+"})
_SPAN_KINDS = tuple(SpanKind)

# What tf.data's own model tells of: how long it worked in sum, not when.
_SUMMED = (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON, StageKind.TF_DATA_REMOTE)


class _Category(Enum):
    """What XProf takes an input event for."""

    READ = "read"
    PREPROCESSING = "preprocessing"
    PREFETCH = "prefetch"


def to_xspace(findings: Findings, *, max_events: int = MAX_EVENTS) -> bytes:
    """The run as a serialised XSpace.

    Args:
        findings: what is said of the run; the steps of its main loop are XProf's steps.
        max_events: how many steps and how many intervals to write at most; the latest are kept.
    """
    profile = findings.profile
    space = XSpace(hostnames=[_plain(host) for host in profile.run.hosts])
    space.warnings.extend(_plain(warning) for warning in _warnings(findings, max_events))
    host = _Plane(space, "/host:CPU", _origin_ns(profile))
    _draw_loops(host, findings, max_events)
    _draw_lanes(host, profile, max_events)
    _draw_means(host, findings)
    _draw_counters(host, findings)
    _draw_devices(space, host.origin_ns, profile)
    _add_clock(space, host.origin_ns, profile)
    serialised: bytes = space.SerializeToString()
    return serialised


def _origin_ns(profile: Profile) -> int:
    starts = [profile.run.start_ns, *(loop.start_ns for loop in profile.loops)]
    if len(profile.spans):
        starts.append(int(profile.spans.start_ns.min()))
    return min(starts)


def _warnings(findings: Findings, max_events: int) -> Iterable[str]:
    profile = findings.profile
    yield from profile.run.warnings
    if findings.main and not _counted(findings.main.loop).any():
        yield "No step is marked here: none came after the warm-up with a known wait."
    if len(profile.spans) > max_events:
        yield f"Only the last {max_events} of {len(profile.spans)} recorded intervals are here."


def _plain(text: str) -> str:
    """Text that can be stored, and that a page which takes it for markup still shows."""
    return text.encode("utf-8", "replace").decode().translate(_MARKUP)


@dataclass(frozen=True, slots=True)
class _EventKind:
    metadata_id: int
    stats: tuple[Any, ...] = ()


class _Plane:
    """A plane in the making: it numbers names and lines, and turns times into offsets."""

    def __init__(self, space: Any, name: str, origin_ns: int) -> None:
        self.origin_ns = origin_ns
        self._plane = space.planes.add(id=len(space.planes), name=name)
        self._stat_ids: dict[str, int] = {}

    def line(self, name: str) -> Any:
        lines = self._plane.lines
        return lines.add(id=len(lines) + 1, name=_plain(name))

    def stat(self, name: str, value: float | str) -> Any:
        if name not in self._stat_ids:
            number = self._stat_ids[name] = len(self._stat_ids) + 1
            self._plane.stat_metadata[number].id = number
            self._plane.stat_metadata[number].name = name
        number = self._stat_ids[name]
        if isinstance(value, str):
            return XStat(metadata_id=number, str_value=_plain(value))
        if isinstance(value, int):
            return XStat(metadata_id=number, int64_value=value)
        return XStat(metadata_id=number, double_value=value)

    def kind(
        self, name: str, category: _Category | None = None, **stats: float | str
    ) -> _EventKind:
        """A kind of event; with a category it is one of the input pipeline."""
        number = len(self._plane.event_metadata) + 1
        self._plane.event_metadata[number].id = number
        self._plane.event_metadata[number].name = _plain(name)
        if category:
            stats |= {
                "_ipl_stage_id": number,
                "_ipl_stage_name": name,
                "_ipl_stage_cat": category.value,
            }
        return _EventKind(number, tuple(self.stat(key, value) for key, value in stats.items()))

    def add_stat(self, name: str, value: int) -> None:
        """Adds a stat of the plane itself."""
        self._plane.stats.append(self.stat(name, value))

    def draw(self, line: Any, kind: _EventKind, start_ns: int, end_ns: int, *stats: Any) -> None:
        line.events.add(
            metadata_id=kind.metadata_id,
            offset_ps=(start_ns - self.origin_ns) * 1_000,
            duration_ps=(end_ns - start_ns) * 1_000,
            stats=(*kind.stats, *stats),
        )


# Loops


def _counted(loop: Loop) -> BoolArray:
    """Which kept steps the verdict counts: after the warm-up, waits known, no epoch's first."""
    if loop.steady_ns is None:
        return np.zeros(len(loop.steps), np.bool_)
    steady = loop.steps.start_ns >= loop.steady_ns
    counted: BoolArray = steady & loop.steps.measured & ~_first_of_epoch(loop.steps)
    return counted


def _first_of_epoch(steps: Steps) -> BoolArray:
    follows = np.diff(steps.ordinal, prepend=-1) == 1
    turned = np.diff(steps.epoch, prepend=-1) != 0
    first: BoolArray = follows & turned
    return first


def _draw_loops(plane: _Plane, findings: Findings, max_events: int) -> None:
    profile = findings.profile
    main = findings.main.loop if findings.main else None
    lines: dict[str, Any] = {}
    for loop in sorted(profile.loops, key=lambda loop: loop is not main):
        lane = "" if loop.lane is None else f" ({profile.lanes[loop.lane].name})"
        name = f"{loop.kind.value}{lane}"
        if name not in lines:
            lines[name] = plane.line(name)
        counted = _counted(loop) if loop is main else np.zeros(len(loop.steps), np.bool_)
        _draw_steps(plane, lines[name], loop, counted, max_events)


def _draw_steps(plane: _Plane, line: Any, loop: Loop, counted: BoolArray, max_events: int) -> None:
    marked = plane.kind("train", _r=1)
    marked_wait = plane.kind("input wait", _Category.PREFETCH)
    steady = plane.kind(f"{loop.kind.value} step")
    warmup = plane.kind("warm-up step")
    first = plane.kind("first step of an epoch")
    wait_kind = plane.kind("wait (not counted)")
    compute = plane.kind("compute")
    steps = loop.steps
    columns = zip(
        steps.ordinal.tolist(),
        steps.start_ns.tolist(),
        steps.end_ns.tolist(),
        steps.wait_ns.tolist(),
        counted.tolist(),
        _first_of_epoch(steps).tolist(),
        strict=True,
    )
    steady_ns = loop.end_ns if loop.steady_ns is None else loop.steady_ns
    for ordinal, start, end, wait, counts, begins in list(columns)[-max_events:]:
        number = plane.stat("step_num" if counts else "step", ordinal)
        kind = marked if counts else first if begins else warmup if start < steady_ns else steady
        plane.draw(line, kind, start, end, number)
        if wait == UNKNOWN_NS:
            continue
        if wait:
            plane.draw(line, marked_wait if counts else wait_kind, start, start + wait)
        if start + wait < end:
            plane.draw(line, compute, start + wait, end)


# Threads and worker processes


def _draw_lanes(plane: _Plane, profile: Profile, max_events: int) -> None:
    kinds = [_stage_kind(plane, stage) for stage in profile.stages]
    unknown = plane.kind("input work", _Category.PREPROCESSING)
    waiting = plane.kind("waiting", _Category.PREFETCH)
    unseen = plane.kind("stages called from here, not recorded one by one", _Category.PREFETCH)
    loop_lanes = {loop.lane for loop in profile.loops}
    for number, lane in enumerate(profile.lanes):
        chosen = _spans_of(profile.spans, number, with_waits=number not in loop_lanes)
        if lane.role is Role.DEVICE or not len(chosen):
            continue
        line = plane.line(_lane_name(lane))
        for nested in _nested(profile.spans, chosen[-max_events:]):
            kind = kinds[nested.subject] if nested.subject >= 0 else unknown
            plane.draw(line, waiting if nested.waits else kind, nested.start_ns, nested.end_ns)
            if nested.unseen_ns:
                plane.draw(line, unseen, nested.start_ns, nested.start_ns + nested.unseen_ns)


def _stage_label(stage: Stage) -> str:
    return f"{stage.name} ({stage.location.short})" if stage.location else stage.name


def _stage_kind(plane: _Plane, stage: Stage, **stats: float | str) -> _EventKind:
    reads = _READING.search(stage.name)
    category = _Category.READ if reads else _Category.PREPROCESSING
    stats["kind"] = stage.kind.value
    if stage.location:
        stats["location"] = str(stage.location)
    return plane.kind(_stage_label(stage), category, **stats)


def _lane_name(lane: Lane) -> str:
    thread = "" if lane.tid is None else f", thread {lane.tid}"
    return f"{lane.name} ({lane.role.value}, process {lane.pid}{thread})"


def _spans_of(spans: Spans, lane: int, *, with_waits: bool) -> IntArray:
    """Which spans to draw of a lane; steps and their waits are drawn from the loops."""
    drawn = _are(SpanKind.WORK, spans)
    if with_waits:
        drawn |= _are(SpanKind.WAIT, spans)
    chosen: IntArray = np.flatnonzero(drawn & (spans.lane == lane))
    return chosen


def _are(kind: SpanKind, spans: Spans) -> BoolArray:
    found: BoolArray = spans.kind == _SPAN_KINDS.index(kind)
    return found


@dataclass(slots=True)
class _Nested:
    """A span; ``unseen_ns`` of its beginning belongs to inner spans that were not kept."""

    waits: bool
    subject: int
    start_ns: int
    end_ns: int
    unseen_ns: int
    before_first_ns: int


def _nested(spans: Spans, chosen: IntArray) -> list[_Nested]:
    """The spans of one lane, outer ones first.

    Inner spans that are missing ended before the window that their outer one ended in, so their
    time is taken to lie before the first inner span that is there.
    """
    order = chosen[np.lexsort((-chosen, -spans.end_ns[chosen], spans.start_ns[chosen]))]
    wait = _SPAN_KINDS.index(SpanKind.WAIT)
    columns = (spans.kind, spans.subject, spans.start_ns, spans.end_ns, spans.inner_ns)
    every: list[_Nested] = []
    outer: list[_Nested] = []
    for kind, subject, start, end, inner in zip(
        *(column[order].tolist() for column in columns), strict=True
    ):
        nested = _Nested(kind == wait, subject, start, end, inner, end - start)
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


# Stages that tf.data only gives sums of


def _draw_means(plane: _Plane, findings: Findings) -> None:
    """Draws each tf.data stage without intervals as its mean work, evenly over the counted steps.

    The total of what is drawn is its cost per step times these steps, which is what the stage table
    adds up. A stage that works more than a step's time per step gets as many lines as it needs.
    """
    main = findings.main
    if main is None or not (counted := _counted(main.loop)).any():
        return
    starts = main.loop.steps.start_ns[counted]
    durations = main.loop.steps.end_ns[counted] - starts
    pieces = min(len(starts), _MEAN_PIECES)
    drawn = [
        (int(start[0]), int(duration.sum()))
        for start, duration in zip(
            np.array_split(starts, pieces), np.array_split(durations, pieces), strict=True
        )
    ]
    timed = set(
        findings.profile.spans.subject[_are(SpanKind.WORK, findings.profile.spans)].tolist()
    )
    for stage in findings.stages:
        if stage.stage.kind in _SUMMED and stage.index not in timed and stage.cost_ms > 0:
            _draw_mean(plane, stage, drawn, stage.cost_ms * 1e6 / float(durations.mean()))


def _draw_mean(
    plane: _Plane, stage: StageFinding, pieces: list[tuple[int, int]], concurrency: float
) -> None:
    lines = min(math.ceil(concurrency), _MEAN_LINES)
    kind = _stage_kind(
        plane,
        stage.stage,
        mean_work_ms_per_step=stage.cost_ms,
        remark="a mean over the run: tf.data counts how long it works, not when",
    )
    for number in range(1, lines + 1):
        line = plane.line(
            f"tf.data {_stage_label(stage.stage)}: mean work, not intervals ({number} of {lines})"
        )
        for start, duration in pieces:
            drawn_ns = round(duration * min(concurrency / lines, 1.0))
            plane.draw(line, kind, start, start + drawn_ns)


# Counters, devices and the clock


def _draw_counters(plane: _Plane, findings: Findings) -> None:
    counters = [counter for counter in _counters(findings) if counter[1]]
    if not counters:
        return
    line = plane.line("_counters_")
    for name, times_ns, levels in counters:
        kind = plane.kind(name)
        for time, level in zip(times_ns, levels, strict=True):
            plane.draw(line, kind, time, time, plane.stat("value", level))


def _counters(findings: Findings) -> Iterable[tuple[str, list[int], list[float]]]:
    profile = findings.profile
    gauges: list[tuple[str, Gauge | None]] = list(profile.gauges.items())
    if findings.main:
        gauges.insert(0, ("batches ready", findings.main.loop.input.queue))
    for stage in profile.stages:
        label = _stage_label(stage)
        gauges += [(f"buffer of {label}", stage.buffer)]
        gauges += [(f"parallelism of {label}", stage.parallelism)]
    for name, gauge in gauges:
        if gauge:
            times_ns, levels = gauge.points()
            yield name, times_ns.tolist(), levels.tolist()
    times, cores = cores_used(profile.cpu)
    yield "CPU cores used", times.tolist(), cores.tolist()


def cores_used(cpu: Cpu) -> tuple[IntArray, FloatArray]:
    """The middles of stretches of time in which the CPU was read, and how many cores were used.

    CPU time and the time it was read for may fall into neighbouring bins, so that single bins say
    nothing: a stretch is many of them.
    """
    if cpu.used is None or cpu.sampled is None:
        return np.zeros(0, np.int64), np.zeros(0)
    length_ns = cpu.sampled.width_ns * len(cpu.sampled.sums)
    stretches = min(max(length_ns // _CPU_STRETCH_NS, 1), _CPU_STRETCHES)
    borders = cpu.sampled.start_ns + np.linspace(0, length_ns, stretches + 1).astype(np.int64)
    ends = list(pairwise(borders.tolist()))
    used = np.array([cpu.used.between(*each)[0] for each in ends])
    sampled = np.array([cpu.sampled.between(*each)[0] for each in ends])
    read = sampled > 0
    middles: IntArray = (borders[:-1] + borders[1:]) // 2
    return middles[read], used[read] / sampled[read]


def _draw_devices(space: Any, origin_ns: int, profile: Profile) -> None:
    """Draws devices in planes that XProf shows but does not analyse.

    A plane ``/device:GPU:…`` would make it ignore the steps of the host.
    """
    for number, lane in enumerate(profile.lanes):
        chosen = _spans_of(profile.spans, number, with_waits=False)
        if lane.role is not Role.DEVICE or not len(chosen):
            continue
        plane = _Plane(space, f"/device:CUSTOM:{_plain(lane.name)}", origin_ns)
        line, busy = plane.line("busy"), plane.kind("busy")
        for nested in _nested(profile.spans, chosen):
            plane.draw(line, busy, nested.start_ns, nested.end_ns)


def _add_clock(space: Any, origin_ns: int, profile: Profile) -> None:
    plane = _Plane(space, "Task Environment", origin_ns)
    anchor = profile.run.anchor
    plane.add_stat("profile_start_time", anchor.to_unix_ns(origin_ns))
    plane.add_stat("profile_stop_time", anchor.to_unix_ns(profile.run.end_ns))
