"""Arithmetic of intervals, compared with counting single nanoseconds."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.recording.intervals import in_order, intersection, near, time_inside
from pipeprof.recording.series import IntArray

INTERVALS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda each: (each[0], sum(each))),
    max_size=8,
)


def intervals(pairs: list[tuple[int, int]]) -> IntArray:
    return in_order(np.array(pairs, np.int64).reshape(-1, 2))


def moments(pairs: IntArray) -> set[int]:
    return {at for start, end in pairs.tolist() for at in range(start, end)}


@given(INTERVALS, INTERVALS)
def test_an_intersection_has_the_moments_of_both_and_each_once(
    ones: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    both = intersection(intervals(ones), intervals(others))
    expected = moments(intervals(ones)) & moments(intervals(others))
    assert moments(both) == expected
    assert int((both[:, 1] - both[:, 0]).sum()) == len(expected)


@given(INTERVALS, INTERVALS)
def test_the_time_inside_counts_each_moment_once(
    pairs: list[tuple[int, int]], ranges: list[tuple[int, int]]
) -> None:
    asked = intervals(ranges)
    found = time_inside(intervals(pairs), *asked.T)
    covered = moments(intervals(pairs))
    assert found.tolist() == [len(covered & {*range(s, e)}) for s, e in asked.tolist()]


@given(INTERVALS, st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 30))
def test_the_time_inside_of_steps_is_that_of_any_ranges(
    pairs: list[tuple[int, int]], lengths: list[int], begin: int
) -> None:
    edges = begin + np.concatenate([[0], np.cumsum(lengths)])
    covered = moments(intervals(pairs))
    found = time_inside(intervals(pairs), edges[:-1], edges[1:])
    expected = [len(covered & {*range(s, e)}) for s, e in itertools.pairwise(edges)]
    assert found.tolist() == expected


@given(INTERVALS, INTERVALS.filter(bool))
def test_what_is_near_overlaps_the_time_of_the_others(
    pairs: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    asked = intervals(others)
    first, last = int(asked[0, 0]), int(asked[-1, 1])
    found = near(intervals(pairs), asked)
    expected = [[s, e] for s, e in intervals(pairs).tolist() if e > first and s < last]
    assert found.tolist() == expected
