"""Waits are read from a trace on the clock of the recording."""

import numpy as np

from pipeprof.probes.traced_waits import ANCHOR, read_waits
from pipeprof.xplane_schema import XSpace
from tests.builders import MS, US

FETCH = "IteratorGetNextOp::DoCompute"
BEGAN_NS = 9_000


def trace(*events: tuple[str, int, int], plane: str = "/host:CPU") -> bytes:
    """A trace with these events (name, begin, length) on two lines, on a clock of its own."""
    space = XSpace()
    host = space.planes.add(name=plane)
    names = sorted({name for name, *_ in events})
    for number, name in enumerate(names, 1):
        host.event_metadata[number].id = number
        host.event_metadata[number].name = name
    lines = [host.lines.add(timestamp_ns=BEGAN_NS), host.lines.add(timestamp_ns=BEGAN_NS + US)]
    for index, (name, start_ns, length_ns) in enumerate(events):
        line = lines[index % 2]
        line.events.add(
            metadata_id=names.index(name) + 1,
            offset_ps=(start_ns - line.timestamp_ns) * 1000,
            duration_ps=length_ns * 1000,
        )
    written: bytes = space.SerializeToString()
    return written


def test_fetches_are_told_in_the_order_of_time() -> None:
    ahead = 1_000_000 * MS
    read = read_waits(
        trace(
            (ANCHOR, 1 * MS, 10 * US),
            (ANCHOR, 2 * MS, 2 * US),
            (FETCH, 30 * MS, 4 * MS),
            ("IteratorGetNextAsOptionalOp::DoCompute", 10 * MS, 3 * MS),
            ("Iterator::Prefetch", 10 * MS, 9 * MS),
            ("IteratorGetNextOp::Compute", 10 * MS, 9 * MS),
        ),
        # The first was held up before it began: the quicker one tells.
        [(ahead - 5 * MS, ahead + 3 * MS), (ahead + 2 * MS, ahead + 2 * MS + 2 * US)],
    )
    assert read is not None
    expected = np.array([[10, 13], [30, 34]]) * MS + ahead
    assert np.abs(read - expected).max() <= 1 * US


def test_a_trace_without_any_fetch_has_no_waits() -> None:
    read = read_waits(trace((ANCHOR, 1 * MS, US)), [(0, US)])
    assert read is not None
    assert read.shape == (0, 2)


def test_a_trace_that_nothing_ties_to_the_recording_tells_nothing() -> None:
    assert read_waits(trace((FETCH, 1 * MS, US)), [(0, US)]) is None
    assert read_waits(trace((ANCHOR, 1 * MS, US), plane="/host:metadata"), [(0, US)]) is None
