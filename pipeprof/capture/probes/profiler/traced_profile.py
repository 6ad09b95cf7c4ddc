"""Adds the traces of trace windows to a recording: devices, their steps, and waits as the traces have them.

Reading a trace takes seconds, so this runs after the training.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from pipeprof.capture.collector.growing_series import BinnedRows, BinnedSums
from pipeprof.errors import RunDamaged
from pipeprof.recording.devices import Device, DeviceSteps
from pipeprof.recording.intervals import joined, time_inside
from pipeprof.recording.lane import Lane, LaneKind, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.xspace.trace_reader import Trace, TracedDevice, read_trace

# A larger trace is kept for XProf but not read here: reading takes ten times its size in memory.
MOST_BYTES = 200_000_000
# For each window; intervals with the shortest pauses between them are joined first.
MOST_BUSY_SPANS = 1_000

_DEVICE = re.compile(r"/device:(\w+):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrace:
    """The trace of a window that is recorded.

    Attributes:
        path: the file, in a folder named as `TraceWindow.run`.
        anchors: begin and end of each event that relates its clock to the recording's.
    """

    path: Path
    anchors: tuple[tuple[int, int], ...]


def with_traces(profile: Profile, traces: Sequence[KeptTrace]) -> Profile:
    """Adds the traces of a recording's trace windows.

    Args:
        profile: the recording, with its trace windows.
        traces: the traces of these windows. Each file is read once, and changed so that XProf sees no
            loops of graphs in it.

    Returns:
        The recording with waits and devices, and with a warning for each trace that cannot be read.
    """
    return functools.reduce(_with_what_is_read, traces, profile)


def why_none(*, backend: str | None, loaded: bool, tried: bool, warmup: int) -> str:
    """A sentence with the reason why there is no trace window.

    Args:
        backend: Keras's backend if it is another than TensorFlow, else None.
        loaded: whether TensorFlow was imported.
        tried: whether pipeprof tried to turn its profiler on.
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
    except Exception as error:  # above all of memory: the recording is worth more than the trace
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
    """The known waits of a loop as intervals, taken as the beginnings of its steps."""
    starts, waits = loop.steps.start_ns, np.maximum(loop.steps.wait_ns, 0)
    return np.column_stack([starts, starts + waits])


def with_devices(profile: Profile, trace: Trace, steps: IntArray, waits: IntArray) -> Profile:
    """The recording with the devices of a trace, each with a lane of its own.

    Args:
        profile: the recording.
        trace: the trace, on the clock of the recording.
        steps: the traced steps, as intervals; if empty, those marked in the trace are used.
        waits: when the training waited, as intervals.
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
    """The lane of a device, with its work in one more window added."""
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
    """Joins intervals across the shortest pauses until there are at most `MOST_BUSY_SPANS`."""
    if len(busy) <= MOST_BUSY_SPANS:
        return busy
    pauses = busy[1:, 0] - busy[:-1, 1]
    kept = np.sort(np.argsort(-pauses, kind="stable")[: MOST_BUSY_SPANS - 1])
    return np.column_stack([busy[np.append(0, kept + 1), 0], busy[np.append(kept, -1), 1]])


def _with_spans(spans: Spans, busy: IntArray, lane: int) -> Spans:
    """The spans with the busy intervals of a device added, in the order of their ends."""
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
