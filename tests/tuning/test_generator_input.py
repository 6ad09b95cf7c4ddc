"""A generator that runs ahead in a thread gives the same, raises the same, and ends with its reader."""

import threading
from collections.abc import Iterator

import pytest

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import AddPrefetch, BackgroundThread, ShardedProcesses
from pipeprof.tuning.generator_input import ahead, edited_generator


def numbers(count: int = 20) -> Iterator[int]:
    yield from range(count)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "batches ahead"]


def test_all_batches_come_in_their_order() -> None:
    assert list(ahead(numbers(), 3)) == list(range(20))
    assert threads() == []


def test_it_runs_on_a_thread_of_its_own_and_not_further_than_it_may() -> None:
    made: list[tuple[int, str]] = []
    full = threading.Event()

    def noting() -> Iterator[int]:
        for number in range(100):
            made.append((number, threading.current_thread().name))
            if number == 4:  # one is taken, three lie ready, and this one waits
                full.set()
            yield number

    batches = ahead(noting(), 3)
    assert next(batches) == 0
    assert full.wait(10)
    batches.close()  # type: ignore[attr-defined]
    assert {name for _, name in made} == {"batches ahead"}
    assert len(made) <= 6
    assert threads() == []


def test_what_it_raises_is_raised_where_the_batch_is_taken() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    batches = ahead(failing(), 3)
    assert next(batches) == 1
    with pytest.raises(KeyError, match="no more"):
        next(batches)
    assert threads() == []


def test_edits_of_a_generator() -> None:
    assert list(edited_generator(numbers, None, ())) == list(range(20))
    assert list(edited_generator(numbers, None, [BackgroundThread()])) == list(range(20))
    with pytest.raises(TuningRefused, match="cannot be changed by prefetch"):
        edited_generator(numbers, None, [AddPrefetch()])
    with pytest.raises(TuningRefused, match="other processes cannot import the function"):
        edited_generator(numbers, None, [ShardedProcesses(processes=2)])


def shard_of_numbers(shard: tuple[int, int] = (0, 1)) -> Iterator[int]:
    index, count = shard
    yield from range(index, 20, count)


@pytest.mark.integration
def test_processes_make_a_part_each() -> None:
    name = f"{__name__}:shard_of_numbers"
    made = edited_generator(shard_of_numbers, name, [ShardedProcesses(processes=2)])
    assert sorted(made) == list(range(20))


def broken_shard(shard: tuple[int, int] = (0, 1)) -> Iterator[int]:
    raise SystemExit(3)


@pytest.mark.integration
def test_a_process_that_dies_is_said() -> None:
    made = edited_generator(
        broken_shard, f"{__name__}:broken_shard", [ShardedProcesses(processes=2)]
    )
    with pytest.raises(TuningRefused, match="ended with exit code 3"):
        list(made)
