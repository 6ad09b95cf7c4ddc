"""Open calls: calls of workers that have begun and not ended."""

import numpy as np

from pipeprof.capture.collector.stream_events import Events
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCall:
    """A call of a worker that has begun and not ended.

    Attributes:
        stage: index of the called stage.
        item: number of the item that the call makes.
        tid: the system's number of the worker's thread.
        since_ns: when the call began.
    """

    stage: int
    item: int
    tid: int
    since_ns: int


def follow_call(
    call: OpenCall | None, kinds: IntArray, events: Events, tids: list[int | None]
) -> OpenCall | None:
    """The open call of the worker that writes a ring, after some records of that ring.

    Args:
        call: its open call before these records, or None.
        kinds: `Kind` of each record.
        events: the records.
        tids: the system's number of the thread of each lane; None where it is not known.
    """
    begun = np.flatnonzero(kinds == Kind.CALLED)
    if len(begun):
        last = int(begun[-1])
        lane = int(events.lanes[last])
        call = OpenCall(
            stage=int(events.targets[last]),
            item=int(events.value[last]),
            tid=(tids[lane] if lane >= 0 else None) or events.pid,
            since_ns=int(events.start_ns[last]),
        )
    if call is None:
        return None
    spans = (kinds == Kind.ROOT_SPAN) | (kinds == Kind.NESTED_SPAN)
    done = spans & (events.targets == call.stage) & (events.start_ns >= call.since_ns)
    return None if done.any() else call
