"""A run as an XSpace file, for XProf and for TensorBoard's profile page.

The file is written so that XProf's own calculation comes to pipeprof's verdict: XProf's input pipeline
analyser finds the counted steps with their waits, and lists the stages by their own work. XProf's rules
are not documented; ``tests/surfaces/test_xplane.py`` tests those that are used here:

- XProf analyses only the first plane ``/host:CPU``, so threads and processes are lines of that plane.
- An event with ``step_num`` and ``_r`` is a step, if another event lies inside it.
- An event with ``_ipl_stage_*`` inside a step is input wait. Elsewhere it is a stage: XProf lists it by
  the event's name, with the time that no event inside it takes. The stage's id must be the id of the
  event's metadata. XProf does not list the category ``prefetch``, but subtracts it from the event
  around it.
- Times count from the start of the run: nanoseconds since 1970 overflow in XProf's trace viewer.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.account import HostFunction
from pipeprof.recording.lane import Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import BoolArray
from pipeprof.recording.stage import Stage
from pipeprof.surfaces.timelines.loop_lines import LineInterval, Shown, loop_lines
from pipeprof.surfaces.timelines.timeline import (
    counted_with_wait,
    device_steps,
    find_end_ns,
    find_origin_ns,
    lane_label,
    levels_over_time,
    mean_work,
    nested_spans,
    stage_label,
)
from pipeprof.xspace.xplane_schema import XSpace, XStat

MAX_EVENTS = 200_000

# Offsets are picoseconds in 64 bits: some 106 days.
LONGEST_NS = (2**63 - 1) // 1_000

_READING = re.compile(r"(?i)\b(read|open|fetch|download)|TFRecord|TextLine|FixedLengthRecord")
_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "+"})


class _Category(Enum):
    """What an input event is to XProf."""

    READ = "read"
    PREPROCESSING = "preprocessing"
    PREFETCH = "prefetch"


def to_xspace(findings: Findings, *, max_events: int = MAX_EVENTS) -> bytes:
    """The run as a serialised XSpace.

    Args:
        findings: the run; the steps of its main loop are XProf's steps.
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
    """The time that is 0 in the file: the begin of the run, or a later time where the run is too long."""
    return max(find_origin_ns(profile), find_end_ns(profile) - LONGEST_NS)


def _warnings(findings: Findings, max_events: int) -> Iterable[str]:
    profile = findings.profile
    yield from profile.run.warnings
    if findings.main and not counted_with_wait(findings.main.loop).any():
        yield "No step is marked here: after the warm-up there was no step with a measured wait."
    if len(profile.spans) > max_events:
        yield f"Only the last {max_events} of {len(profile.spans)} recorded intervals are in this file."
    if _origin_ns(profile) > find_origin_ns(profile):
        days = LONGEST_NS // (24 * 3600 * 10**9)
        yield f"Only the last {days} days of the run are in this file: the format has no longer times."


def _plain(text: str) -> str:
    """Text as valid UTF-8 without the characters of markup, which XProf's pages would interpret."""
    return text.encode("utf-8", "replace").decode().translate(_MARKUP)


@dataclass(frozen=True, slots=True)
class _EventKind:
    metadata_id: int
    stats: tuple[Any, ...] = ()


class _Plane:
    """Builds a plane: numbers names and lines, and turns times into offsets."""

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
        """Draws an interval, unless it lies outside the range of times."""
        if not self.origin_ns <= start_ns <= end_ns <= self.origin_ns + LONGEST_NS:
            return
        line.events.add(
            metadata_id=kind.metadata_id,
            offset_ps=(start_ns - self.origin_ns) * 1_000,
            duration_ps=(end_ns - start_ns) * 1_000,
            stats=(*kind.stats, *stats),
        )


# Loops


def _draw_loops(plane: _Plane, findings: Findings, max_events: int) -> None:
    profile = findings.profile
    main = findings.main.loop if findings.main else None
    lines: dict[str, Any] = {}
    drawn = zip(profile.loops, loop_lines(profile, max_events), strict=True)
    for loop, intervals in sorted(drawn, key=lambda pair: pair[0] is not main):
        lane = "" if loop.lane is None else f" ({profile.lanes[loop.lane].name})"
        name = f"{loop.kind.value}{lane}"
        if name not in lines:
            lines[name] = plane.line(name)
        marked = counted_with_wait(loop) if loop is main else np.zeros(len(loop.steps), np.bool_)
        _LoopLine(plane, lines[name], loop).draw(intervals, marked)


class _LoopLine:
    """Draws the line of a loop."""

    def __init__(self, plane: _Plane, line: Any, loop: Loop) -> None:
        self._plane, self._line, self._loop = plane, line, loop
        self._marked = plane.kind("train", _r=1)
        self._marked_wait = plane.kind("input wait", _Category.PREFETCH)
        self._steady = plane.kind(f"{loop.kind.value} step")
        self._warmup = plane.kind("warm-up step")
        self._first = plane.kind("first step of an epoch")
        self._wait = plane.kind("wait (not counted)")
        self._compute = plane.kind("compute")
        self._compile = plane.kind("compile")
        self._calls: dict[HostFunction, _EventKind] = {}
        self._begins = loop.steps.first_of_epoch()

    def draw(self, intervals: Iterable[LineInterval], is_marked: BoolArray) -> None:
        """Draws intervals. XProf finds the marked steps and their waits as steps and input waits."""
        counts = False
        for each in intervals:
            match each.shown:
                case Shown.STEP if each.step is not None:
                    counts = bool(is_marked[each.step])
                    self._draw_step(each, each.step, counts)
                case Shown.WAIT:
                    self._draw(self._marked_wait if counts else self._wait, each)
                case Shown.COMPUTE:
                    self._draw(self._compute, each)
                case Shown.COMPILE:
                    self._draw(self._compile, each)
                case Shown.CALL if each.function is not None:
                    self._draw(self._call(each.function), each)

    def _draw(self, kind: _EventKind, interval: LineInterval, *stats: Any) -> None:
        self._plane.draw(self._line, kind, interval.start_ns, interval.end_ns, *stats)

    def _draw_step(self, step: LineInterval, place: int, counts: bool) -> None:
        loop = self._loop
        steady_ns = loop.end_ns if loop.steady_ns is None else loop.steady_ns
        kind = self._warmup if step.start_ns < steady_ns else self._steady
        if self._begins[place]:
            kind = self._first
        ordinal = int(loop.steps.ordinal[place])
        number = self._plane.stat("step_num" if counts else "step", ordinal)
        self._draw(self._marked if counts else kind, step, number)

    def _call(self, function: HostFunction) -> _EventKind:
        if function not in self._calls:
            stats = {"location": str(function.location)} if function.location else {}
            self._calls[function] = self._plane.kind(function.name, None, **stats)
        return self._calls[function]


# Threads and worker processes


def _draw_lanes(plane: _Plane, profile: Profile, max_events: int) -> None:
    kinds = [_stage_kind(plane, stage) for stage in profile.stages]
    unknown = plane.kind("input work", _Category.PREPROCESSING)
    waiting = plane.kind("waiting", _Category.PREFETCH)
    unseen = plane.kind("stages called from here, not recorded one by one", _Category.PREFETCH)
    for number, lane in enumerate(profile.lanes):
        spans = [] if lane.role is Role.DEVICE else nested_spans(profile, number, max_events)
        if not spans:
            continue
        line = plane.line(lane_label(lane))
        for nested in spans:
            kind = kinds[nested.subject] if nested.subject >= 0 else unknown
            plane.draw(line, waiting if nested.waits else kind, nested.start_ns, nested.end_ns)
            if nested.unseen_ns:
                plane.draw(line, unseen, nested.start_ns, nested.start_ns + nested.unseen_ns)


def _stage_kind(plane: _Plane, stage: Stage, **stats: float | str) -> _EventKind:
    reads = _READING.search(stage.name)
    category = _Category.READ if reads else _Category.PREPROCESSING
    stats["kind"] = stage.kind.value
    if stage.location:
        stats["location"] = str(stage.location)
    return plane.kind(stage_label(stage), category, **stats)


# Stages of which tf.data reports only sums


def _draw_means(plane: _Plane, findings: Findings) -> None:
    """Draws the stages of which tf.data reports only sums."""
    for mean in mean_work(findings):
        kind = _stage_kind(
            plane,
            mean.stage.stage,
            mean_work_ms_per_step=mean.stage.cost_ms,
            remark="a mean over the run: tf.data counts how long it works, not when",
        )
        for name in mean.lines:
            line = plane.line(name)
            for start_ns, end_ns in mean.intervals:
                plane.draw(line, kind, start_ns, end_ns)


# Counters, devices and the clock


def _draw_counters(plane: _Plane, findings: Findings) -> None:
    counters = list(levels_over_time(findings))
    if not counters:
        return
    line = plane.line("_counters_")
    for name, times_ns, levels in counters:
        kind = plane.kind(name)
        for time, level in zip(times_ns, levels, strict=True):
            plane.draw(line, kind, time, time, plane.stat("value", level))


def _draw_devices(space: Any, origin_ns: int, profile: Profile) -> None:
    """Draws devices in planes that XProf shows but does not analyse.

    With a plane ``/device:GPU:…`` XProf would ignore the steps of the host.
    """
    for number, lane in enumerate(profile.lanes):
        spans = nested_spans(profile, number) if lane.role is Role.DEVICE else []
        if not spans:
            continue
        plane = _Plane(space, f"/device:CUSTOM:{_plain(lane.name)}", origin_ns)
        line, busy = plane.line("busy"), plane.kind("busy")
        for nested in spans:
            plane.draw(line, busy, nested.start_ns, nested.end_ns)
    for device in profile.devices:
        steps = device_steps(device)
        if not steps:
            continue
        plane = _Plane(space, f"/device:CUSTOM:{_plain(device.name)} as traced", origin_ns)
        line, kind = plane.line("traced steps"), plane.kind("device step")
        for step in steps:
            busy_ms = plane.stat("busy_ms", step.busy_ns / 1e6)
            plane.draw(line, kind, step.start_ns, step.end_ns, busy_ms)


def _add_clock(space: Any, origin_ns: int, profile: Profile) -> None:
    plane = _Plane(space, "Task Environment", origin_ns)
    anchor = profile.run.anchor
    plane.add_stat("profile_start_time", anchor.to_unix_ns(origin_ns))
    plane.add_stat("profile_stop_time", anchor.to_unix_ns(profile.run.end_ns))
