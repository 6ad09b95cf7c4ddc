"""Single intervals of a run: work, waits, steps, batches, calls of the host's, compiling."""

from enum import IntEnum

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray


class SpanKind(IntEnum):
    """What an interval on a lane was; the values are what recordings hold."""

    WORK = 1
    WAIT = 2
    STEP = 3
    BATCH = 4
    CALL = 5
    COMPILE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Single intervals from some windows of the run: its beginning, its end, and some in between.

    All arrays have one entry an interval, in the order of their ends. That of a batch begins where the
    work that made it does, on whichever lane, and ends in the step that took it.

    Attributes:
        kind: value of `SpanKind`.
        subject: index in `Profile.stages` (work, wait; -1 where no stage is known), in
            `Profile.loops` (step, batch, compile) or in `Profile.host_functions` (call).
        lane: index in `Profile.lanes`.
        start_ns: begin.
        end_ns: end.
        inner_ns: time inside it that belongs to stages called from within.
    """

    kind: IntArray
    subject: IntArray
    lane: IntArray
    start_ns: IntArray
    end_ns: IntArray
    inner_ns: IntArray

    def __len__(self) -> int:
        return len(self.kind)
