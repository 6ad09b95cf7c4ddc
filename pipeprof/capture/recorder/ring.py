"""A ring of fixed-size records in a mapped file: one writer, one reader, no lock.

Writing is one `struct.pack_into` at the next slot. The kernel owns the mapped pages, so the records
survive the death of the process. Each record ends with the number of the lap in which it was written;
by this number the reader, in this process or another, now or after a crash, knows new records
from old ones and notices when it was overrun. It knows bytes only, not what they are about.

File: a header of `HEADER` (magic, record size, capacity, process id), then the slots.
"""

import bisect
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeprof.capture.recorder.records import RECORD, RECORD_DTYPE, Records
from pipeprof.errors import RunDamaged

Write = Callable[[int, int, int, int, int], None]

MAGIC = b"PPRING01"
HEADER = struct.Struct("<8sIIQ40x")
CAPACITY = 16384
MOST_CAPACITY = 1 << 20


def create_ring(path: Path, *, pid: int, capacity: int = CAPACITY) -> mmap.mmap:
    """Makes a ring file and maps it.

    Its space is reserved at once, so that a full disk is an error here. A later write to a page without
    space would kill the process.

    Args:
        path: the new file.
        pid: process that writes the ring.
        capacity: records that it holds.

    Raises:
        OSError: the file cannot be made, or the disk is full.
    """
    size = HEADER.size + capacity * RECORD.size
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size)
        ring = mmap.mmap(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)
    _write_header(ring, capacity, pid)
    return ring


def anonymous_ring(*, pid: int, capacity: int = CAPACITY) -> mmap.mmap:
    """A ring in memory, for where no file can be made."""
    ring = mmap.mmap(-1, HEADER.size + capacity * RECORD.size)
    _write_header(ring, capacity, pid)
    return ring


def _write_header(ring: mmap.mmap, capacity: int, pid: int) -> None:
    # The magic comes last: a reader that finds it finds the whole header.
    HEADER.pack_into(ring, 0, bytes(len(MAGIC)), RECORD.size, capacity, pid)
    ring[: len(MAGIC)] = MAGIC


def writer(ring: mmap.mmap) -> Write:
    """The function that appends a record to a ring: ``write(code, start_ns, end_ns, inner, value)``.

    It is a closure because that is fastest in Python. A signal handler that raises or records may
    interrupt it anywhere: the record is then whole, or the next one overwrites it, and the ring stays
    in order.
    """
    pack = RECORD.pack_into
    size = RECORD.size
    first = HEADER.size
    last = len(ring) - size
    offset = first
    lap = 1

    def write(code: int, start_ns: int, end_ns: int, inner: int, value: int) -> None:
        nonlocal offset, lap
        here, now = offset, lap
        pack(ring, here, start_ns, end_ns, inner, value, code, now)
        if here != last:
            offset = here + size
        else:
            lap, offset = now + 1, first

    return write


class RingReader:
    """Reads new records from a ring, in the order in which they were written.

    A record that the writer may be overwriting is not read: of a ring full of unread records, all but the
    oldest can be read.

    Attributes:
        position: how many records were written before the next one to read.
        dropped: how many records were overwritten before they were read.
        capacity: how many records the ring holds.
    """

    def __init__(self, ring: mmap.mmap, position: int = 0) -> None:
        """Makes a reader.

        Args:
            ring: the mapped ring.
            position: how many records to skip, because they were read before.

        Raises:
            RunDamaged: these are not the bytes of a ring.
        """
        if len(ring) < HEADER.size:
            raise RunDamaged("expected a ring of records, found a file too short to be one")
        magic, record_size, capacity, _ = HEADER.unpack_from(ring)
        known = magic == MAGIC and record_size == RECORD.size
        whole = len(ring) >= HEADER.size + record_size * capacity
        if not known or not whole or not 0 < capacity <= MOST_CAPACITY or position < 0:
            raise RunDamaged(
                "expected a ring of records, found a file that is none or is cut short"
            )
        self.capacity: int = capacity
        self._slots: Records = np.frombuffer(ring, RECORD_DTYPE, capacity, HEADER.size)
        self._laps: npt.NDArray[np.uint32] = self._slots["lap"]
        self.position = position
        self.dropped = 0

    @classmethod
    def open(cls, path: Path, position: int = 0) -> "RingReader":
        """Maps a ring file for reading.

        Raises:
            RunDamaged: the file is no ring.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise RunDamaged(f"expected a ring of records in {path.name}, found an empty file")
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), position)

    def waits_at_least(self, count: int) -> bool:
        """Whether at least ``count`` records, up to the capacity, are written and not read yet."""
        return self._is_written(self.position + count - 1)

    def count_unread(self) -> int:
        """How many records are written and not read yet, overwritten ones among them."""
        return self._count_written() - self.position

    def read(self) -> Records:
        """The records written since the last call, without those that were overwritten."""
        # Twice, because new records may continue in the next lap.
        parts = [part for part in (self._read_lap(), self._read_lap()) if len(part)]
        return np.concatenate(parts) if parts else np.empty(0, RECORD_DTYPE)

    def _read_lap(self) -> Records:
        """The new records up to the end of the lap."""
        self._drop(self._count_lost())
        lap, slot = divmod(self.position, self.capacity)
        end = slot + bisect.bisect_left(
            range(slot, self.capacity), True, key=lambda at: int(self._laps[at]) <= lap
        )
        records: Records = self._slots[slot:end].copy()
        whole = records["lap"] == lap + 1
        if not whole.all():
            records = records[: int(whole.argmin())]
        # The writer may have overwritten records during the copy, the oldest first.
        lost = min(self._count_lost(), len(records))
        self._drop(lost)
        records = records[lost:]
        self.position += len(records)
        return records

    def _drop(self, count: int) -> None:
        self.position += count
        self.dropped += count

    def _count_lost(self) -> int:
        """How many unread records are overwritten, or may be being overwritten now."""
        if not self._is_written(self.position + self.capacity - 1):
            return 0
        return max(self._count_written() - self.capacity + 1 - self.position, 0)

    def _is_written(self, number: int) -> bool:
        lap, slot = divmod(number, self.capacity)
        return int(self._laps[slot]) > lap

    def _count_written(self) -> int:
        """How many records have been written until now."""
        laps = self._laps.copy()
        newest = int(laps.max())
        return (newest - 1) * self.capacity + int(np.flatnonzero(laps == newest)[-1]) + 1
