"""Records of one process together with their subjects and the lanes that wrote them."""

from collections.abc import Iterator

import numpy as np

from pipeprof.capture.recorder.records import KIND_SHIFT, Records
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class Events:
    """Records of one process, a column for each number: all that is done with them is done with columns.

    Attributes:
        pid: the process.
        start_ns: when each record's event began.
        end_ns: when it ended.
        inner: the number ``inner`` of each.
        value: the number ``value`` of each.
        targets: index in the registry of the subject of each record, or -1.
        lanes: index in the registry of the lane that wrote each record, or -1.
    """

    pid: int
    start_ns: IntArray
    end_ns: IntArray
    inner: IntArray
    value: IntArray
    targets: IntArray
    lanes: IntArray

    def __len__(self) -> int:
        return len(self.start_ns)

    def at(self, chosen: "BoolArray | IntArray | slice") -> "Events":
        """Some of the events: those for which ``chosen`` is true, or those at its positions."""
        columns = (self.start_ns, self.end_ns, self.inner, self.value, self.targets, self.lanes)
        return Events(self.pid, *(column[chosen] for column in columns))

    def each_target(self) -> "Iterator[tuple[int, Events]]":
        """The index of each subject, with its events."""
        found = distinct(self.targets)
        for target in found:
            yield target, self if len(found) == 1 else self.at(self.targets == target)


def kinds_of(records: Records) -> IntArray:
    """The number of each record's kind."""
    return (records["code"] >> KIND_SHIFT).astype(np.uint8)


def distinct(numbers: IntArray) -> list[int]:
    """The numbers that occur among some indices, in order; none of them is less than -1."""
    if not len(numbers):
        return []
    lowest = int(numbers.min())
    if lowest == int(numbers.max()):
        return [lowest]
    found: list[int] = (np.flatnonzero(np.bincount(numbers + 1)) - 1).tolist()
    return found


def columns_of(*columns: IntArray | int) -> IntArray:
    """A table of columns; a single number fills its column."""
    length = max((len(c) for c in columns if not isinstance(c, int)), default=1)
    # Column by column in memory, because that is how it is written and added up.
    table: IntArray = np.empty((len(columns), length), np.int64).T
    for position, column in enumerate(columns):
        table[:, position] = column
    return table
