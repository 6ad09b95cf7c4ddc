"""Kept intervals: the first, the last, and a window whenever the run has doubled."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector.span_keeping import (
    BETWEEN,
    BETWEEN_FROM,
    COLUMNS,
    FIRST,
    LAST,
    SpanKeeper,
)
from pipeprof.recording.series import IntArray
from tests.memory import made_with_bytes


def rows(first: int, count: int) -> IntArray:
    """Intervals that hold their number in all columns."""
    numbers = np.arange(first, first + count, dtype=np.int64)
    return np.repeat(numbers[:, None], len(COLUMNS), axis=1)


def keeper_of(counts: list[int]) -> SpanKeeper:
    keeper, seen = SpanKeeper(), 0
    for count in counts:
        keeper.add(rows(seen, count))
        seen += count
    return keeper


def expected(seen: int) -> list[int]:
    begins = [BETWEEN_FROM << exponent for exponent in range(8)]
    between = [number for begin in begins for number in range(begin, begin + BETWEEN)]
    kept = {*range(FIRST), *between, *range(max(seen - LAST, 0), seen)}
    return sorted(number for number in kept if number < seen)


BATCHES = st.lists(st.sampled_from([1, 700, 5_000, 16_384, 70_000]), max_size=6)


@given(BATCHES)
def test_the_first_the_last_and_some_between_are_kept_once(counts: list[int]):
    spans = keeper_of(counts).freeze()
    assert spans.end_ns.tolist() == expected(sum(counts))
    for name in COLUMNS:
        assert getattr(spans, name).tolist() == spans.end_ns.tolist()


@given(BATCHES, BATCHES)
def test_keeping_goes_on_where_they_were_stored(before: list[int], after: list[int]):
    keeper = SpanKeeper.resume(keeper_of(before).state())
    seen = sum(before)
    for count in after:
        keeper.add(rows(seen, count))
        seen += count
    assert keeper.freeze().end_ns.tolist() == expected(seen)


def test_kept_intervals_do_not_hold_on_to_the_batches_they_came_in():
    keeper, held_bytes = made_with_bytes(lambda: keeper_of([100_000, 1]))
    kept_bytes = len(keeper.freeze().end_ns) * rows(0, 1).nbytes
    assert held_bytes < 4 * kept_bytes < rows(0, 100_000).nbytes


def test_intervals_come_in_the_order_of_their_ends():
    keeper = SpanKeeper()
    keeper.add(rows(0, 5)[::-1])
    assert keeper.freeze().end_ns.tolist() == [0, 1, 2, 3, 4]
