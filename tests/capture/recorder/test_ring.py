"""The ring: what was written comes out once, whole and in order, or is counted as dropped."""

import errno
import multiprocessing
import os
import struct
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.recorder.records import RECORD, Records
from pipeprof.capture.recorder.ring import (
    HEADER,
    MAGIC,
    RingReader,
    anonymous_ring,
    create_ring,
    writer,
)
from pipeprof.errors import RunDamaged

CODE = 7 << 24


def write_numbers(write: Callable[..., None], first: int, count: int) -> None:
    """Writes records that each hold their number in all fields, so that a torn one shows."""
    for number in range(first, first + count):
        write(CODE, number, number, number, number)


def numbers_of(records: Records) -> list[int]:
    """The numbers of records, each of them whole."""
    for name in ("end_ns", "inner", "value"):
        np.testing.assert_array_equal(records["start_ns"], records[name])
    assert (records["code"] == CODE).all()
    numbers: list[int] = records["start_ns"].tolist()
    return numbers


def test_records_come_out_once_and_in_order():
    ring = anonymous_ring(pid=1, capacity=8)
    write, reader = writer(ring), RingReader(ring)
    assert numbers_of(reader.read()) == []
    write_numbers(write, 0, 3)
    assert numbers_of(reader.read()) == [0, 1, 2]
    assert numbers_of(reader.read()) == []
    write_numbers(write, 3, 1)
    assert numbers_of(reader.read()) == [3]
    assert (reader.position, reader.dropped) == (4, 0)


def test_a_read_goes_on_behind_the_border_of_a_lap():
    ring = anonymous_ring(pid=1, capacity=8)
    write, reader = writer(ring), RingReader(ring)
    write_numbers(write, 0, 6)
    reader.read()
    write_numbers(write, 6, 6)
    assert numbers_of(reader.read()) == [6, 7, 8, 9, 10, 11]


@given(
    capacity=st.integers(1, 12),
    turns=st.lists(st.integers(0, 40), max_size=12),
)
def test_every_record_is_delivered_or_counted(capacity: int, turns: list[int]):
    ring = anonymous_ring(pid=1, capacity=capacity)
    write, reader = writer(ring), RingReader(ring)
    written, delivered = 0, []
    for count in turns:
        write_numbers(write, written, count)
        written += count
        new = numbers_of(reader.read())
        # Of what came since the last look, all but the oldest of a full ring, without a hole.
        assert new == list(range(written - min(count, capacity - 1), written))
        delivered += new
    assert reader.position == written
    assert reader.dropped == written - len(delivered)


@given(capacity=st.integers(1, 12), before=st.integers(0, 30), more=st.integers(0, 30))
def test_another_reader_goes_on_at_a_position(capacity: int, before: int, more: int):
    ring = anonymous_ring(pid=1, capacity=capacity)
    write, first = writer(ring), RingReader(ring)
    write_numbers(write, 0, before)
    first.read()
    second = RingReader(ring, first.position)
    write_numbers(write, before, more)
    assert numbers_of(second.read()) == numbers_of(first.read())
    assert second.position == before + more


@given(unread=st.integers(0, 8), count=st.integers(1, 8))
def test_it_shows_whether_so_many_wait(unread: int, count: int):
    ring = anonymous_ring(pid=1, capacity=8)
    write, reader = writer(ring), RingReader(ring)
    write_numbers(write, 0, 5)
    reader.read()
    write_numbers(write, 5, unread)
    assert reader.waits_at_least(count) == (unread >= count)


class RacingReader(RingReader):
    """A reader that a writer overtakes while it reads: some records are written at each look."""

    def __init__(self, *args: object, meanwhile: Callable[[], None]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._meanwhile = meanwhile

    def _is_written(self, number: int) -> bool:
        answer = super()._is_written(number)
        self._meanwhile()
        return answer


@given(
    capacity=st.integers(2, 12),
    turns=st.lists(st.integers(0, 30), max_size=6),
    races=st.lists(st.integers(0, 15), max_size=30),
)
def test_no_stale_record_comes_out_while_the_writer_laps(
    capacity: int, turns: list[int], races: list[int]
):
    ring = anonymous_ring(pid=1, capacity=capacity)
    write = writer(ring)
    written = 0

    def write_more(count: int) -> None:
        nonlocal written
        write_numbers(write, written, count)
        written += count

    pending = iter(races)
    reader = RacingReader(ring, meanwhile=lambda: write_more(next(pending, 0)))
    delivered: list[int] = []
    for count in turns:
        write_more(count)
        delivered += numbers_of(reader.read())
    pending = iter(())
    delivered += numbers_of(reader.read())
    delivered += numbers_of(reader.read())
    assert delivered == sorted(set(delivered))
    assert reader.position == written
    assert len(delivered) + reader.dropped == written


@pytest.mark.parametrize("begun", range(RECORD.size))
def test_a_record_that_is_being_overwritten_is_not_delivered(begun: int):
    """The next write clears the slot and fills it anew; here it stopped after some bytes."""
    ring = anonymous_ring(pid=1, capacity=4)
    write = writer(ring)
    write_numbers(write, 0, 4)
    reader = RingReader(ring)
    ring[HEADER.size : HEADER.size + begun] = bytes(begun)
    assert numbers_of(reader.read()) == [1, 2, 3]
    assert reader.dropped == 1


class InterruptedWriteError(Exception):
    """What a signal handler raises."""


def call_between(write: Callable[..., None], action: Callable[[], None]) -> Callable[..., None]:
    """Calls ``write``; between its packing and its moving on, does something else once."""

    def interrupted(*values: int) -> None:
        def trace(frame: object, event: str, function: object) -> None:
            if event == "c_return" and getattr(function, "__name__", "") == "pack_into":
                sys.setprofile(None)
                action()

        sys.setprofile(trace)
        try:
            write(*values)
        finally:
            sys.setprofile(None)

    return interrupted


@pytest.mark.parametrize("at", range(5))
def test_an_interrupted_writer_goes_on_in_order(at: int):
    def interrupt() -> None:
        raise InterruptedWriteError

    ring = anonymous_ring(pid=1, capacity=4)
    write, reader = writer(ring), RingReader(ring)
    write_numbers(write, 0, at)
    with pytest.raises(InterruptedWriteError):
        call_between(write, interrupt)(CODE, 99, 99, 99, 99)
    write_numbers(write, at, 2)
    expected = list(range(at + 2))[-3:]
    assert numbers_of(reader.read()) == expected
    assert len(expected) + reader.dropped == at + 2


@pytest.mark.parametrize("at", range(5))
def test_a_signal_handler_may_record_in_the_midst_of_a_write(at: int):
    ring = anonymous_ring(pid=1, capacity=4)
    write, reader = writer(ring), RingReader(ring)
    write_numbers(write, 0, at)
    call_between(write, lambda: write(CODE, 50, 50, 50, 50))(CODE, 99, 99, 99, 99)
    assert numbers_of(reader.read())[-1] == 50  # one of the two is lost, the order is not
    write_numbers(write, 51, 2)
    assert numbers_of(reader.read()) == [51, 52]


def test_a_value_that_does_not_fit_leaves_the_ring_in_order():
    ring = anonymous_ring(pid=1, capacity=4)
    write, reader = writer(ring), RingReader(ring)
    write_numbers(write, 0, 5)
    with pytest.raises(struct.error):
        write(CODE, 1 << 70, 0, 0, 0)
    write_numbers(write, 5, 1)
    assert numbers_of(reader.read()) == [3, 4, 5]


def test_another_process_reads_what_this_one_writes(tmp_path: Path):
    path = tmp_path / "a.ring"
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_write_in_child, args=(path, theirs))
    child.start()
    theirs.close()
    assert ours.recv() == "ready"
    reader = RingReader.open(path)
    delivered = []
    while len(delivered) + reader.dropped < 20_000:
        delivered += numbers_of(reader.read())
    child.join()
    ours.close()
    assert delivered == sorted(set(delivered))
    assert len(delivered) + reader.dropped == 20_000


def _write_in_child(path: Path, pipe: Connection) -> None:
    write = writer(create_ring(path, pid=os.getpid(), capacity=64))
    pipe.send("ready")
    write_numbers(write, 0, 20_000)
    pipe.close()


def test_a_ring_file_reserves_its_space_and_is_no_ones_else(tmp_path: Path):
    path = tmp_path / "a.ring"
    create_ring(path, pid=7, capacity=16)
    assert path.stat().st_blocks * 512 >= path.stat().st_size == HEADER.size + 16 * RECORD.size
    with pytest.raises(FileExistsError):
        create_ring(path, pid=7, capacity=16)


def test_a_ring_that_finds_no_room_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        create_ring(tmp_path / "a.ring", pid=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"too short",
        bytes(HEADER.size),
        HEADER.pack(b"PPRING99", RECORD.size, 1, 1) + bytes(RECORD.size),
        HEADER.pack(MAGIC, RECORD.size + 8, 1, 1) + bytes(RECORD.size + 8),
        HEADER.pack(MAGIC, RECORD.size, 0, 1),
        HEADER.pack(MAGIC, RECORD.size, 2, 1) + bytes(RECORD.size),
        HEADER.pack(MAGIC, RECORD.size, 2**32 - 1, 1) + bytes(RECORD.size),
    ],
)
def test_what_is_no_ring_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "a.ring"
    path.write_bytes(content)
    with pytest.raises(RunDamaged, match="expected a ring of records"):
        RingReader.open(path)


def test_a_ring_of_absurd_size_is_refused(tmp_path: Path):
    path = tmp_path / "a.ring"
    path.write_bytes(HEADER.pack(MAGIC, RECORD.size, 1 << 30, 1))
    os.truncate(path, HEADER.size + RECORD.size * (1 << 30))
    with pytest.raises(RunDamaged):
        RingReader.open(path)


def test_no_reader_begins_before_the_begin():
    with pytest.raises(RunDamaged):
        RingReader(anonymous_ring(pid=1, capacity=4), -1)
