"""Arithmetic of time intervals: arrays with a row an interval, its begin and end in nanoseconds.

'In order' means ordered by begin. Intervals of one array may overlap, unless the docstring excludes it.
"""

import numpy as np

from pipeprof.recording.series import IntArray


def no_intervals() -> IntArray:
    """An array without intervals."""
    return np.empty((0, 2), np.int64)


def in_order(*parts: IntArray) -> IntArray:
    """All intervals of several arrays as one array, in order."""
    rows: IntArray = np.concatenate(parts)
    if (rows[1:, 0] < rows[:-1, 0]).any():
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return rows


def disjoint(intervals: IntArray) -> IntArray:
    """Cuts intervals so that none overlap.

    Args:
        intervals: intervals in order.

    Returns:
        A row for each of them, without the time that earlier ones cover; its length may be 0.
    """
    ends = np.maximum.accumulate(intervals[:, 1])
    starts = np.maximum(intervals[:, 0], np.concatenate([intervals[:1, 0], ends[:-1]]))
    return np.column_stack([starts, np.maximum(starts, ends)])


def joined(intervals: IntArray, gap_ns: int = 0) -> IntArray:
    """Joins intervals that overlap or lie close together.

    Args:
        intervals: intervals in order.
        gap_ns: neighbours that lie at most this far apart become one.

    Returns:
        The joined intervals, in order and without overlap.
    """
    starts, ends = intervals[:, 0], np.maximum.accumulate(intervals[:, 1])
    begins = np.ones(len(intervals), bool)
    begins[1:] = starts[1:] > ends[:-1] + gap_ns
    lasts = np.append(begins[1:], True)[: len(intervals)]
    return np.column_stack([starts[begins], ends[lasts]])


def near(intervals: IntArray, others: IntArray) -> IntArray:
    """The intervals that overlap the time from the first begin to the last end of some others.

    Both are in order.
    """
    if not len(others):
        return no_intervals()
    found: IntArray = intervals[: np.searchsorted(intervals[:, 0], others[-1, 1])]
    last = found[:, 1] > others[0, 0]
    if last.all():
        return found
    first = int(last.argmax())
    return found[first:] if last[first:].all() else found[last]


def intersection(intervals: IntArray, others: IntArray) -> IntArray:
    """The time that lies in intervals of both arrays, without overlap; each array is in order."""
    if not len(intervals) or not len(others):
        return no_intervals()
    (starts, ends), (other_starts, other_ends) = disjoint(intervals).T, disjoint(others).T
    # Of each interval: the first of the others that ends after its begin, and how many from there on begin
    # before its end.
    first = np.searchsorted(other_ends, starts, "right")
    counts = np.maximum(np.searchsorted(other_starts, ends, "left") - first, 0)
    of = np.repeat(np.arange(len(starts)), counts)
    with_other = np.arange(len(of)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    pieces = np.column_stack(
        [
            np.maximum(starts[of], other_starts[with_other]),
            np.minimum(ends[of], other_ends[with_other]),
        ]
    )
    both: IntArray = pieces[pieces[:, 1] > pieces[:, 0]]
    return both


def time_inside(intervals: IntArray, start_ns: IntArray, end_ns: IntArray) -> IntArray:
    """How many nanoseconds of each time range lie in some intervals.

    Args:
        intervals: intervals in order.
        start_ns: begins of the time ranges.
        end_ns: their ends.

    Returns:
        One number a time range; time in several intervals counts once.
    """
    if not len(intervals):
        return np.zeros(len(start_ns), np.int64)
    starts, ends = disjoint(intervals).T
    before = np.concatenate([[0], np.cumsum(ends - starts)])

    def until(times: IntArray) -> IntArray:
        index = np.searchsorted(starts, times, side="right")
        previous = np.maximum(index - 1, 0)
        partial = np.minimum(times, ends[previous]) - starts[previous]
        total: IntArray = np.where(index > 0, before[previous] + partial, 0)
        return total

    if len(start_ns) > 1 and (start_ns[1:] == end_ns[:-1]).all():  # steps, one after the other
        return np.diff(until(np.concatenate([start_ns[:1], end_ns])))
    return until(end_ns) - until(start_ns)
