"""Reads from a trace of TensorFlow's profiler when batches were waited for.

Knows nothing of TensorFlow: `tfdata_traces` takes the trace.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pipeprof.series import IntArray
from pipeprof.xplane_schema import XSpace

ANCHOR = "pipeprof anchor"

_HOST_PLANE = "/host:CPU"
# What fetches from an iterator inside a compiled step; an epoch of unknown length has an ending.
_FETCH = "IteratorGetNext"
_FETCHED = "::DoCompute"


def read_waits(trace: bytes, anchors: Sequence[tuple[int, int]]) -> IntArray | None:
    """When batches were waited for, as rows of begin and end in the order of time.

    Args:
        trace: an XSpace file.
        anchors: begin and end of each event named `ANCHOR` on the clock of the recording, which
            tie the clock of the trace to it.

    Returns:
        None where the anchors are not in the trace.
    """
    plane = _host(trace)
    marks = _rows(plane, lambda name: name == ANCHOR)
    if not anchors or len(marks) != len(anchors):
        return None
    # The one that was written quickest ties both clocks most closely.
    mark, (start_ns, end_ns) = min(
        zip(marks, anchors, strict=True), key=lambda pair: pair[1][1] - pair[1][0]
    )
    ahead_ns = (start_ns + end_ns) // 2 - int(mark.sum()) // 2
    return _fetches(plane) + ahead_ns


def fetches(trace: bytes) -> IntArray:
    """The same on the clock of the trace."""
    return _fetches(_host(trace))


def _host(trace: bytes) -> Any:
    planes = XSpace.FromString(trace).planes
    return next((plane for plane in planes if plane.name == _HOST_PLANE), None)


def _fetches(plane: Any) -> IntArray:
    return _rows(plane, lambda name: name.startswith(_FETCH) and name.endswith(_FETCHED))


def _rows(plane: Any, chosen: Callable[[str], bool]) -> IntArray:
    return np.array(sorted(_events(plane, chosen)), np.int64).reshape(-1, 2)


def _events(plane: Any, chosen: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    if plane is None:
        return
    ids = {number for number, what in plane.event_metadata.items() if chosen(what.name)}
    for line in plane.lines:
        for event in line.events:
            if event.metadata_id in ids:
                start_ns = line.timestamp_ns + event.offset_ps // 1000
                yield start_ns, start_ns + event.duration_ps // 1000
