"""A ring of fixed-size records in a mapped file: one writer, one reader, no lock.

Writing is one `struct.pack_into` at the next slot. The kernel owns the mapped pages, so what was
written survives the death of the process. Each record ends with the number of the lap in which it
was written; by it the reader, in this process or another, now or after a crash, tells new records
from old ones and notices when it was overrun. It knows bytes only, not what they are about.

File: a header of `HEADER` (magic, record size, capacity, process id), then the slots.
"""

import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.records import RECORD, RECORD_DTYPE, Records

Write = Callable[[int, int, int, int, int], None]

MAGIC = b"PPRING01"
HEADER = struct.Struct("<8sIIQ40x")
CAPACITY = 16384


def create_ring(path: Path, *, pid: int, capacity: int = CAPACITY) -> mmap.mmap:
    """Makes a ring file and maps it.

    The space is reserved at once: on a full disk this fails here, while a write to an unreserved
    page would kill the process later.

    Raises:
        OSError: the file cannot be made, or there is no room for it.
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
    HEADER.pack_into(ring, 0, MAGIC, RECORD.size, capacity, pid)
    return ring


def anonymous_ring(*, pid: int, capacity: int = CAPACITY) -> mmap.mmap:
    """A ring in memory only, for when no file can be had."""
    ring = mmap.mmap(-1, HEADER.size + capacity * RECORD.size)
    HEADER.pack_into(ring, 0, MAGIC, RECORD.size, capacity, pid)
    return ring


def writer(ring: mmap.mmap) -> Write:
    """The function that appends a record: ``write(code, start_ns, end_ns, inner, value)``.

    It is a closure because that is the fastest thing Python has. It may be interrupted anywhere (by
    a signal handler that raises): then the record is whole or is overwritten by the next one.
    """
    pack = RECORD.pack_into
    size = RECORD.size
    first = HEADER.size
    last = len(ring) - size
    offset = first
    lap = 1

    def write(code: int, start_ns: int, end_ns: int, inner: int, value: int) -> None:
        nonlocal offset, lap
        pack(ring, offset, start_ns, end_ns, inner, value, code, lap)
        if offset != last:
            offset += size
        else:
            lap, offset = lap + 1, first

    return write


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands: the lap and the slot that come next."""

    lap: int = 1
    slot: int = 0

    def distance(self, before: "Position", capacity: int) -> int:
        """Records from another position in a ring of that capacity to this one."""
        return (self.lap - before.lap) * capacity + self.slot - before.slot


class RingReader:
    """Takes new records out of a ring, in the order in which they were written."""

    def __init__(self, ring: mmap.mmap, position: Position | None = None) -> None:
        """Reads on from ``position``, else from the beginning.

        Raises:
            RunDamaged: these are not the bytes of a ring.
        """
        if len(ring) < HEADER.size:
            raise RunDamaged("expected a ring of records, found a file too short to be one")
        magic, record_size, capacity, self.pid = HEADER.unpack_from(ring)
        whole = len(ring) >= HEADER.size + record_size * capacity
        if magic != MAGIC or record_size != RECORD.size or not whole or not capacity:
            raise RunDamaged(
                "expected a ring of records, found a file that is none or is cut short"
            )
        self._slots = np.frombuffer(ring, RECORD_DTYPE, capacity, HEADER.size)
        self.position = position or Position()
        self.dropped = 0

    @classmethod
    def open(cls, path: Path, position: Position | None = None) -> "RingReader":
        """Maps a ring file for reading.

        Raises:
            RunDamaged: the file is no ring.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise RunDamaged(f"expected a ring of records in {path.name}, found an empty file")
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), position)

    @property
    def capacity(self) -> int:
        """How many records the ring holds."""
        return len(self._slots)

    def waits_at_least(self, count: int) -> bool:
        """Whether so many records, fewer than the capacity, have not been read yet."""
        lap, slot = self.position.lap, self.position.slot + count - 1
        if slot >= self.capacity:
            lap, slot = lap + 1, slot - self.capacity
        return int(self._slots["lap"][slot]) >= lap

    def read(self) -> Records:
        """All records written since the last call; `dropped` counts those overwritten meanwhile."""
        parts = []
        while True:
            part = self._read_lap()
            if not len(part):
                break
            parts.append(part)
        return np.concatenate(parts) if parts else np.empty(0, RECORD_DTYPE)

    def _read_lap(self) -> Records:
        self._skip_overwritten()
        lap, slot = self.position.lap, self.position.slot
        ready = self._count_ready(lap, slot)
        records = self._slots[slot : slot + ready].copy()
        # The writer may have come round while the copy was made; it overwrites the oldest first.
        spoilt = ready - self._count_ready(lap, slot, ready)
        if spoilt:
            spoilt = min(spoilt + 1, ready)
            self.dropped += spoilt
        at_end = slot + ready == self.capacity
        self.position = Position(lap + 1, 0) if at_end else Position(lap, slot + ready)
        return records[spoilt:] if len(records[spoilt:]) or not at_end else self._read_lap()

    def _count_ready(self, lap: int, slot: int, among: int | None = None) -> int:
        end = self.capacity if among is None else slot + among
        fits = self._slots["lap"][slot:end] == lap
        if among is not None:
            return int(fits.sum())
        return len(fits) if fits.all() else int(fits.argmin())

    def _skip_overwritten(self) -> None:
        lap, slot = self.position.lap, self.position.slot
        if int(self._slots["lap"][slot]) <= lap:
            return
        laps = self._slots["lap"]
        newest = int(laps.max())
        head = int((laps == newest).sum())
        margin = self.capacity // 8
        resume = (newest - 1) * self.capacity + head + margin
        self.dropped += resume - (lap * self.capacity + slot)
        self.position = Position(*divmod(resume, self.capacity))
