"""Reads a trace of TensorFlow's profiler (an XSpace file) without TensorFlow.

A plane is a device or a host; a line is one of its streams or threads. Only the needed lines are
unpacked, one after the other, so that a large trace takes little memory.
"""

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from pipeprof.errors import RunDamaged
from pipeprof.recording.devices import DeviceSteps
from pipeprof.recording.intervals import in_order, no_intervals, time_inside
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray
from pipeprof.xspace.graph_loops import ITERATION, flatten_line
from pipeprof.xspace.packed_space import HOST_PLANE, PackedPlane, PackedSpace

# Events of this name, written at known times, relate the clock of a trace to that of a recording.
ANCHOR = "pipeprof anchor"

_DEVICE = re.compile(r"/device:(?:GPU|TPU):\d+")
_STEPS_LINE = "Steps"
_STREAM = re.compile(r"Stream #")
_TO_DEVICE = re.compile(r"(?i)memcpy_?(h2d|htod)")
_COPY = re.compile(r"(?i)memcpy")
_FETCH = re.compile(r"IteratorGetNext\w*::DoCompute")


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedDevice:
    """What ran on a device, as intervals: rows of begin and end, in the order of their begins.

    Attributes:
        name: name of its plane (``/device:GPU:0``).
        compute: kernels.
        copy_in: copies from the host to the device.
        busy: kernels, and copies of any direction.
        steps: steps that XProf marked on the device, where XProf wrote the trace.
    """

    name: str
    compute: IntArray
    copy_in: IntArray
    busy: IntArray
    steps: IntArray

    def in_steps(self, steps: IntArray, waits: IntArray) -> DeviceSteps:
        """What the device did in each step.

        Args:
            steps: the steps, as intervals.
            waits: when the training waited for its input, as intervals.
        """
        starts, ends = steps.T
        # Time waiting or busy, less time busy, is time that the training waited while nothing ran.
        either = time_inside(in_order(waits, self.busy), starts, ends)
        busy = time_inside(self.busy, starts, ends)
        return DeviceSteps(
            start_ns=starts,
            end_ns=ends,
            compute_ns=time_inside(self.compute, starts, ends),
            copy_in_ns=time_inside(self.copy_in, starts, ends),
            busy_ns=busy,
            idle_waiting_ns=either - busy,
        )

    def later(self, by_ns: int) -> "TracedDevice":
        """A copy of this device with ``by_ns`` added to all times."""
        return TracedDevice(
            name=self.name,
            compute=self.compute + by_ns,
            copy_in=self.copy_in + by_ns,
            busy=self.busy + by_ns,
            steps=self.steps + by_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What was read from a trace, as intervals: rows of begin and end.

    Attributes:
        devices: the devices on which something ran.
        steps: steps marked on the host.
        fetches: when batches were fetched from tf.data.
        anchors: events named `ANCHOR`.
    """

    devices: tuple[TracedDevice, ...]
    steps: IntArray
    fetches: IntArray
    anchors: IntArray

    def on_clock_of(self, anchors: Sequence[tuple[int, int]]) -> "Trace | None":
        """A copy of this trace with its times on the clock of a recording.

        Args:
            anchors: begin and end of each event named `ANCHOR`, on the clock of the recording.

        Returns:
            The copy, or None where the trace does not have these events.
        """
        if not anchors or len(anchors) != len(self.anchors):
            return None
        # The event that was written fastest relates the clocks most precisely.
        mark, (start_ns, end_ns) = min(
            zip(self.anchors, anchors, strict=True), key=lambda pair: pair[1][1] - pair[1][0]
        )
        ahead_ns = (start_ns + end_ns) // 2 - int(mark.sum()) // 2
        return Trace(
            devices=tuple(device.later(ahead_ns) for device in self.devices),
            steps=self.steps + ahead_ns,
            fetches=self.fetches + ahead_ns,
            anchors=self.anchors + ahead_ns,
        )


def read_trace(path: Path, *, flatten: bool = False) -> Trace:
    """Reads an XSpace file.

    Args:
        path: the file.
        flatten: whether to change the file so that XProf sees no loops in graphs
            (`pipeprof.xspace.graph_loops`).

    Raises:
        RunDamaged: it is no XSpace, or cut short.
        OSError: it cannot be read or written; the file stays as it was.
    """
    try:
        space = PackedSpace(path.read_bytes())
        trace = _read(space.planes, flatten=flatten)
    except (DecodeError, IndexError, ValueError) as error:
        raise RunDamaged(f"expected a whole trace (XSpace) in {path}: {error}") from error
    if space.is_changed:
        _replace(path, space.pack())
    return trace


def _replace(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f".{path.name}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(planes: Sequence[PackedPlane], *, flatten: bool) -> Trace:
    host = _Host(steps=no_intervals(), fetches=no_intervals(), anchors=no_intervals())
    devices: list[TracedDevice] = []
    seen_host = False
    for plane in planes:
        if plane.name == HOST_PLANE and not seen_host:
            seen_host = True
            host = _read_host(plane, flatten=flatten)
        elif _DEVICE.match(plane.name):
            device = _read_device(plane)
            if len(device.busy):
                devices.append(device)
    return Trace(
        devices=tuple(devices), steps=host.steps, fetches=host.fetches, anchors=host.anchors
    )


# Devices


def _read_device(plane: PackedPlane) -> TracedDevice:
    """The work of a device; the names of its events distinguish copies from kernels."""
    compute, copies_in, copies, steps = (
        [no_intervals()],
        [no_intervals()],
        [no_intervals()],
        [no_intervals()],
    )
    to_device = plane.kinds(lambda name: bool(_TO_DEVICE.search(name)))
    any_copy = plane.kinds(lambda name: bool(_COPY.search(name)))
    for line in plane.lines(lambda name: name == _STEPS_LINE or bool(_STREAM.match(name))):
        kinds, rows = _events(line)
        if line.name == _STEPS_LINE:
            steps.append(rows)
            continue
        are_copies = np.isin(kinds, any_copy)
        compute.append(rows[~are_copies])
        copies.append(rows[are_copies])
        copies_in.append(rows[np.isin(kinds, to_device)])
    return TracedDevice(
        name=plane.name,
        compute=in_order(*compute),
        copy_in=in_order(*copies_in),
        busy=in_order(*compute, *copies),
        steps=in_order(*steps),
    )


# The host


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    steps: IntArray
    fetches: IntArray
    anchors: IntArray


def _read_host(plane: PackedPlane, *, flatten: bool) -> _Host:
    """The host's marked steps, its fetches of batches, and its anchors."""
    fetching = plane.kinds(lambda name: bool(_FETCH.match(name)))
    anchoring = plane.kinds(lambda name: name == ANCHOR)
    marks = plane.stats("step_num", "_r")
    iterations = plane.stats(ITERATION) if flatten else set()
    steps, fetches, anchors = [no_intervals()], [no_intervals()], [no_intervals()]
    for line in plane.lines(lambda _: True):
        if flatten_line(line, iterations):
            plane.put_back(line)
        kinds, rows = _events(line)
        fetches.append(rows[np.isin(kinds, fetching)])
        anchors.append(rows[np.isin(kinds, anchoring)])
        if len(marks) == 2:
            steps.append(rows[_marked(line, kinds, marks)])
    return _Host(steps=in_order(*steps), fetches=in_order(*fetches), anchors=in_order(*anchors))


def _marked(line: Any, kinds: IntArray, marks: set[int]) -> list[int]:
    """Indices of a line's events that have all marks.

    To be fast, it looks only at kinds of events whose first event in the line has them.
    """
    events = line.events

    def is_marked(index: int) -> bool:
        return marks <= {stat.metadata_id for stat in events[index].stats}

    found, firsts = np.unique(kinds, return_index=True)
    likely = found[np.array([is_marked(first) for first in firsts.tolist()], bool)]
    return [index for index in np.flatnonzero(np.isin(kinds, likely)).tolist() if is_marked(index)]


def _events(line: Any) -> tuple[IntArray, IntArray]:
    """The kind of each event of a line, and the events as intervals in nanoseconds."""
    columns = ((event.metadata_id, event.offset_ps, event.duration_ps) for event in line.events)
    flat = np.fromiter(chain.from_iterable(columns), np.int64, 3 * len(line.events))
    kinds, offset_ps, duration_ps = flat.reshape(-1, 3).T
    borders_ps = np.column_stack([offset_ps, offset_ps + duration_ps])
    return kinds, line.timestamp_ns + (borders_ps + 500) // 1000
