"""Adds what the profiler's windows saw to a recording: devices, their steps, and the waits once more.

Reading a trace takes seconds: this is for the time after the training.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from pipeprof.capture.collector.growing_series import BinnedRows, BinnedSums
from pipeprof.errors import RunDamaged
from pipeprof.recording.devices import Device, DeviceSteps
from pipeprof.recording.intervals import joined, time_inside
from pipeprof.recording.lane import Lane, LaneKind, Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.xspace.trace_reader import Trace, TracedDevice, read_trace

# A larger trace is kept for XProf and not read here: reading takes ten times its size in memory.
MOST_BYTES = 200_000_000
# In one window; the shortest pauses between them are left out first.
MOST_BUSY_SPANS = 1_000

_DEVICE = re.compile(r"/device:(\w+):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrace:
    """The trace of a window that is recorded.

    Attributes:
        path: the file, in a folder named as `TraceWindow.run`.
        anchors: begin and end of each event that ties its clock to ours.
    """

    path: Path
    anchors: tuple[tuple[int, int], ...]


def with_traces(profile: Profile, traces: Sequence[KeptTrace]) -> Profile:
    """Adds what the traces of a recording's windows hold.

    Args:
        profile: the recording, with its windows as they were recorded.
        traces: their traces; each is read once, and loops of graphs are taken out of the file.

    Returns:
        The recording with waits and devices; a warning in it for each trace that cannot be read.
    """
    return functools.reduce(_with_what_is_read, traces, profile)


def why_none(*, backend: str | None, loaded: bool, tried: bool, warmup: int) -> str:
    """Why no window was taken, in a sentence.

    Args:
        backend: Keras's, where it is another than TensorFlow.
        loaded: whether TensorFlow was.
        tried: whether its profiler was turned on.
        warmup: steps of a loop that count as warm-up.
    """
    if backend is not None:
        reason = f"TensorFlow's profiler traces them, and Keras ran on {backend}"
    elif not loaded:
        reason = "TensorFlow's profiler traces them, and TensorFlow was not loaded"
    elif tried:
        reason = "no whole step lay between its begin and its end"
    else:
        reason = f"no training loop went on after its {warmup} warm-up steps"
    return f"No steps were traced: {reason}."


def _with_what_is_read(profile: Profile, kept: KeptTrace) -> Profile:
    try:
        return _with_trace(profile, kept)
    except (RunDamaged, OSError) as error:
        return profile.with_warning(f"A trace could not be read: {error}")
    except Exception as error:  # of memory, above all: what was recorded is worth more
        kind = type(error).__name__
        return profile.with_warning(f"A trace could not be read ({kind}: {error}).")


def _with_trace(profile: Profile, kept: KeptTrace) -> Profile:
    name = kept.path.parent.name
    index = next((n for n, each in enumerate(profile.trace_windows) if each.run == name), None)
    if index is None:
        return profile
    window = profile.trace_windows[index]
    size = kept.path.stat().st_size
    if size > MOST_BYTES:
        return profile.with_warning(
            f"The trace {name} is left to XProf: it is too large, also for taking out of it what may "
            "keep XProf from finding steps."
        )
    trace = read_trace(kept.path, flatten=True).on_clock_of(kept.anchors)
    if trace is None:
        return profile.with_warning(
            f"The trace {name} is left to XProf: nothing in it ties its clock to that of the run."
        )
    loop = profile.loops[window.loop]
    inside = (loop.steps.start_ns >= window.start_ns) & (loop.steps.end_ns <= window.end_ns)
    steps = np.column_stack([loop.steps.start_ns[inside], loop.steps.end_ns[inside]])
    waits = _waits(loop)
    if len(trace.fetches):
        waits = trace.fetches
        window = replace(
            window,
            ordinal=loop.steps.ordinal[inside],
            wait_ns=time_inside(trace.fetches, *steps.T),
        )
    windows = list(profile.trace_windows)
    windows[index] = window
    return with_devices(replace(profile, trace_windows=tuple(windows)), trace, steps, waits)


def _waits(loop: Loop) -> IntArray:
    """When a loop waited, as far as that is known: at the begins of its steps."""
    starts, waits = loop.steps.start_ns, np.maximum(loop.steps.wait_ns, 0)
    return np.column_stack([starts, starts + waits])


def with_devices(profile: Profile, trace: Trace, steps: IntArray, waits: IntArray) -> Profile:
    """The recording with the devices of a trace, each with a lane of its own.

    Args:
        profile: the recording.
        trace: the trace, on its clock.
        steps: rows of begin and end of the traced steps; where there are none, those marked in it.
        waits: when the training waited, likewise.
    """
    for traced in trace.devices:
        own = traced.steps if len(traced.steps) else steps if len(steps) else trace.steps
        found = traced.in_steps(own, waits)
        profile = _with_device(profile, traced, found)
    return profile


def _with_device(profile: Profile, traced: TracedDevice, steps: DeviceSteps) -> Profile:
    kind, name = _kind_and_name(traced.name)
    devices = list(profile.devices)
    at = next((n for n, known in enumerate(devices) if known.name == name), len(devices))
    before = devices[at] if at < len(devices) else Device(kind=kind, name=name)
    devices[at : at + 1] = [replace(before, steps=_joined(before.steps, steps))]
    busy = joined(traced.busy)
    lanes = list(profile.lanes)
    place = next(
        (n for n, lane in enumerate(lanes) if lane.role is Role.DEVICE and lane.name == name),
        len(lanes),
    )
    lane = lanes[place] if place < len(lanes) else None
    lanes[place : place + 1] = [_lane(profile, lane, name, busy)]
    return replace(
        profile,
        devices=tuple(devices),
        lanes=tuple(lanes),
        spans=_with_spans(profile.spans, _largest(busy), place),
    )


def _kind_and_name(plane: str) -> tuple[str, str]:
    match = _DEVICE.match(plane)
    if match is None:
        return "device", plane
    return match[1].lower(), f"{match[1]} {match[2]}"


def _joined(before: DeviceSteps | None, steps: DeviceSteps) -> DeviceSteps:
    if before is None:
        return steps
    return DeviceSteps(
        **{
            field.name: np.concatenate([getattr(before, field.name), getattr(steps, field.name)])
            for field in fields(DeviceSteps)
        }
    )


def _lane(profile: Profile, before: Lane | None, name: str, busy: IntArray) -> Lane:
    """The lane of a device, with what it did in one more window."""
    start_ns = profile.run.start_ns
    sums = (
        BinnedSums(1, start_ns)
        if before is None
        else BinnedSums.resume(
            BinnedRows(channels=1, start_ns=before.busy.start_ns, rows=(before.busy,))
        )
    )
    starts, ends = busy.T
    sums.spread(starts, ends, (ends - starts)[:, None])
    first_ns, last_ns = int(starts[0]), int(ends[-1])
    return Lane(
        name=name,
        role=Role.DEVICE,
        kind=LaneKind.DEVICE,
        pid=_pid(profile),
        tid=None,
        busy=sums.freeze(),
        cpu=None,
        first_ns=first_ns if before is None else before.first_ns,
        last_ns=last_ns,
    )


def _pid(profile: Profile) -> int:
    return next((lane.pid for lane in profile.lanes if lane.role is Role.MAIN), 0)


def _largest(busy: IntArray) -> IntArray:
    """At most `MOST_BUSY_SPANS` intervals: across the shortest pauses two of them are one."""
    if len(busy) <= MOST_BUSY_SPANS:
        return busy
    pauses = busy[1:, 0] - busy[:-1, 1]
    kept = np.sort(np.argsort(-pauses, kind="stable")[: MOST_BUSY_SPANS - 1])
    return np.column_stack([busy[np.append(0, kept + 1), 0], busy[np.append(kept, -1), 1]])


def _with_spans(spans: Spans, busy: IntArray, lane: int) -> Spans:
    """The spans with a device's among them, in the order of their ends."""
    count = len(busy)
    more = {
        "kind": np.full(count, SpanKind.WORK, np.int64),
        "subject": np.full(count, -1),
        "lane": np.full(count, lane),
        "start_ns": busy[:, 0],
        "end_ns": busy[:, 1],
        "inner_ns": np.zeros(count, np.int64),
    }
    joined = {name: np.concatenate([getattr(spans, name), rows]) for name, rows in more.items()}
    order = np.argsort(joined["end_ns"], kind="stable")
    return Spans(**{name: column[order] for name, column in joined.items()})
