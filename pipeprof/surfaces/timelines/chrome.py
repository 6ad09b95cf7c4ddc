"""A run as a trace in JSON, which Perfetto and chrome://tracing open.

The format is https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: a list
of events with times in microseconds; those of one thread must nest. Knows nothing of files.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.surfaces.timelines.loop_lines import LineInterval, Shown, loop_lines
from pipeprof.surfaces.timelines.timeline import (
    batch_paths,
    device_steps,
    find_origin_ns,
    lane_label,
    levels_over_time,
    mean_work,
    nested_spans,
    stage_label,
)

_Event = dict[str, Any]


def to_chrome(findings: Findings) -> str:
    """The run as JSON: steps and calls of loops, intervals of stages by lane, levels over time.

    Arrows lead from the work that made a batch to the step that took it, where that is known.
    """
    profile = findings.profile
    trace = _draw(findings)
    for pid in trace.pids():
        trace.name("process_name", f"{_roles(pid, profile)} (process {pid})", pid)
    hosts = ", ".join(map(_plain, profile.run.hosts))
    return _as_json(trace.events, profile.run.name, hosts, _unix_ns(profile, trace))


def to_chrome_of_ranks(ranks: Sequence[Findings]) -> str:
    """Several ranks of a run on one time axis: processes of their own for each rank.

    The clocks of their machines are brought together by what `RankFinding.clock_ahead_ms` says.
    """
    drawn = [(findings, _draw(findings)) for findings in ranks]
    begins = [_unix_ns(findings.profile, trace) - _ahead_ns(findings) for findings, trace in drawn]
    first_ns = min(begins)
    events: list[_Event] = []
    names: dict[str, None] = {}
    pid = 0
    for place, ((findings, trace), begin_ns) in enumerate(zip(drawn, begins, strict=True)):
        profile, own = findings.profile, _number_of(findings)
        host = _plain(profile.run.hosts[0]) if profile.run.hosts else ""
        names[host] = None
        pids = {}
        for each in dict.fromkeys(trace.pids()):
            pid += 1
            pids[each] = pid
            label = f"rank {own} · {_roles(each, profile)} ({host}, process {each})"
            about = {"ph": "M", "pid": pid, "tid": 0, "ts": 0}
            events.append(about | {"name": "process_name", "args": {"name": label}})
            events.append(about | {"name": "process_sort_index", "args": {"sort_index": pid}})
        later_us = (begin_ns - first_ns) / 1000
        events += [_moved(event, pids, later_us, place) for event in trace.events]
    return _as_json(events, ranks[0].profile.run.name, ", ".join(names), first_ns)


def _number_of(findings: Findings) -> int:
    rank = findings.profile.run.rank
    return findings.ranks.shown if findings.ranks is not None else rank.number if rank else 0


def _ahead_ns(findings: Findings) -> int:
    """How far the clock of a rank's machine is ahead of the others."""
    own = findings.ranks.rank(findings.ranks.shown) if findings.ranks is not None else None
    return round((own.clock_ahead_ms or 0.0) * 1e6) if own is not None else 0


def _moved(event: _Event, pids: Mapping[int, int], later_us: float, place: int) -> _Event:
    """An event in a trace of several ranks."""
    moved = {**event, "pid": pids[event["pid"]]}
    if event["ph"] != "M":
        moved["ts"] = event["ts"] + later_us
    if "id" in event:
        moved["id"] = f"{place}.{event['id']}"
    return moved


def _draw(findings: Findings) -> "_Trace":
    profile = findings.profile
    trace = _Trace(find_origin_ns(profile), profile.lanes[0].pid if profile.lanes else 1)
    lanes = _add_lanes(trace, profile)
    loops = [
        _add_loop(trace, loop, line, profile)
        for loop, line in zip(profile.loops, loop_lines(profile), strict=True)
    ]
    for number, path in enumerate(batch_paths(profile)):
        trace.arrow(number, path.ready_ns, lanes[path.lane], path.used_ns, loops[path.loop])
    _add_means(trace, findings)
    _add_devices(trace, profile)
    for name, times_ns, levels in levels_over_time(findings):
        trace.count(name, times_ns, levels)
    return trace


def _unix_ns(profile: Profile, trace: "_Trace") -> int:
    return profile.run.anchor.to_unix_ns(trace.origin_ns)


def _as_json(events: list[_Event], run: str, hosts: str, started_unix_ns: int) -> str:
    whole = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "run": _plain(run),
            "hosts": hosts,
            "started_unix_ns": str(started_unix_ns),
        },
    }
    return json.dumps(whole, separators=(",", ":"), allow_nan=False)


def _plain(text: str) -> str:
    """Text that every reader of JSON takes for text."""
    return text.encode("utf-8", "replace").decode()


class _Trace:
    """A trace in the making: numbers threads, and turns times into microseconds of the run.

    Args:
        origin_ns: what times count from.
        home: the training's process.
    """

    def __init__(self, origin_ns: int, home: int) -> None:
        self.origin_ns = origin_ns
        self.home = home
        self.events: list[_Event] = []
        self._threads = 0

    def thread(self, name: str, pid: int | None = None) -> tuple[int, int]:
        """A line of its own, as process and thread: lanes of several hosts may share theirs."""
        self._threads += 1
        thread = (self.home if pid is None else pid, self._threads)
        self.name("thread_name", name, *thread)
        return thread

    def name(self, what: str, name: str, pid: int, tid: int = 0) -> None:
        """Names a process or a thread."""
        event = {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0}
        self.events.append(event | {"args": {"name": _plain(name)}})

    def draw(
        self,
        name: str,
        start_ns: int,
        end_ns: int,
        thread: tuple[int, int],
        about: Mapping[str, float | str] | None = None,
    ) -> None:
        """An interval; its name is `_plain` already."""
        event: _Event = {
            "ph": "X",
            "name": name,
            "pid": thread[0],
            "tid": thread[1],
            "ts": (start_ns - self.origin_ns) / 1000,
            "dur": (end_ns - start_ns) / 1000,
        }
        if about:
            event["args"] = about
        self.events.append(event)

    def arrow(
        self,
        number: int,
        start_ns: int,
        start: tuple[int, int],
        end_ns: int,
        end: tuple[int, int],
    ) -> None:
        """An arrow from the interval around one moment on a thread to that around another."""
        event: _Event = {"name": "batch", "cat": "batch", "id": number}
        for phase, time_ns, (pid, tid) in (("s", start_ns, start), ("f", end_ns, end)):
            at = {"ph": phase, "pid": pid, "tid": tid, "ts": (time_ns - self.origin_ns) / 1000}
            self.events.append(event | at | ({"bp": "e"} if phase == "f" else {}))

    def count(self, name: str, times_ns: list[int], levels: list[float]) -> None:
        """A level over time."""
        name = _plain(name)
        for time_ns, level in zip(times_ns, levels, strict=True):
            at = (time_ns - self.origin_ns) / 1000
            event = {"ph": "C", "name": name, "cat": "level", "pid": self.home, "tid": 0, "ts": at}
            self.events.append(event | {"args": {"value": level}})

    def pids(self) -> Iterator[int]:
        """The processes that something was drawn for."""
        yield from dict.fromkeys(event["pid"] for event in self.events)


def _roles(pid: int, profile: Profile) -> str:
    """What a process is there for."""
    roles = {lane.role for lane in profile.lanes if lane.pid == pid}
    return next((role.value for role in Role if role in roles), Role.OTHER.value)


def _add_lanes(trace: _Trace, profile: Profile) -> list[tuple[int, int]]:
    labels = [_plain(stage_label(stage)) for stage in profile.stages]
    threads = []
    for number, lane in enumerate(profile.lanes):
        thread = trace.thread(lane_label(lane), lane.pid)
        threads.append(thread)
        unknown = "busy" if lane.role is Role.DEVICE else "input work"
        for span in nested_spans(profile, number):
            worked = labels[span.subject] if span.subject >= 0 else unknown
            name = "waiting" if span.waits else worked
            trace.draw(name, span.start_ns, span.end_ns, thread)
    return threads


def _add_loop(
    trace: _Trace, loop: Loop, line: Sequence[LineInterval], profile: Profile
) -> tuple[int, int]:
    """A loop has a line of its own: its lane may have stages that run across its steps."""
    lane = None if loop.lane is None else profile.lanes[loop.lane]
    on = f" ({lane.name})" if lane else ""
    thread = trace.thread(f"steps of {loop.kind.value}{on}", lane.pid if lane else None)
    for each in line:
        name, about = _described(each, loop)
        trace.draw(name, each.start_ns, each.end_ns, thread, about)
    return thread


def _described(each: LineInterval, loop: Loop) -> tuple[str, dict[str, float | str]]:
    match each.shown:
        case Shown.STEP if each.step is not None:
            steps = loop.steps
            about = {"step": int(steps.ordinal[each.step]), "epoch": int(steps.epoch[each.step])}
            return "step", {**about}
        case Shown.CALL if each.function is not None:
            location = each.function.location
            return _plain(each.function.name), (
                {"location": _plain(str(location))} if location else {}
            )
        case Shown.WAIT:
            return "input wait", {}
        case _:
            return each.shown.value, {}


def _add_means(trace: _Trace, findings: Findings) -> None:
    for mean in mean_work(findings):
        label = _plain(stage_label(mean.stage.stage))
        for line in mean.lines:
            thread = trace.thread(line)
            for start_ns, end_ns in mean.intervals:
                trace.draw(label, start_ns, end_ns, thread)


def _add_devices(trace: _Trace, profile: Profile) -> None:
    for device in profile.devices:
        steps = device_steps(device)
        thread = trace.thread(f"{device.name}: traced steps") if steps else (0, 0)
        for step in steps:
            about = {
                "busy_ms": step.busy_ns / 1e6,
                "compute_ms": step.compute_ns / 1e6,
                "copy_in_ms": step.copy_in_ns / 1e6,
                "idle_waiting_ms": step.idle_waiting_ns / 1e6,
            }
            trace.draw("device step", step.start_ns, step.end_ns, thread, about)
