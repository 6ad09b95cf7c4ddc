"""Records of one process together with their subjects and the lanes that wrote them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeprof.capture.recorder.records import Records
from pipeprof.recording.series import BoolArray, IntArray


@dataclass(frozen=True, slots=True)
class Events:
    """Records of one process.

    Attributes:
        pid: the process.
        records: the records, in the order in which they were written.
        targets: index in the registry of the subject of each record, or -1.
        lanes: index in the registry of the lane that wrote each record, or -1.
    """

    pid: int
    records: Records
    targets: IntArray
    lanes: IntArray

    def __getitem__(self, name: str) -> IntArray:
        column: IntArray = self.records[name]
        return column

    def only(self, chosen: BoolArray) -> "Events":
        """The events for which ``chosen`` is true."""
        return Events(self.pid, self.records[chosen], self.targets[chosen], self.lanes[chosen])

    def each_target(self) -> "Iterator[tuple[int, Events]]":
        """The index of each subject, with its events."""
        for target in sorted(set(self.targets.tolist())):
            yield target, self.only(self.targets == target)


def columns_of(*columns: IntArray | int) -> IntArray:
    """A table of columns; a single number fills its column."""
    length = max((len(c) for c in columns if not isinstance(c, int)), default=1)
    table = np.empty((length, len(columns)), np.int64)
    for position, column in enumerate(columns):
        table[:, position] = column
    return table
