"""Collecting in bounded memory: nothing is lost when bins widen, and nothing grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector.growing_series import (
    BINS,
    FIRST_WIDTH_NS,
    BinnedRows,
    BinnedSums,
    GaugeBins,
    HistogramBins,
    LatestRows,
)
from pipeprof.recording.series import HISTOGRAM_BINS, Binned, IntArray
from tests.builders import MS, SECOND, START_NS

TIMES = st.integers(0, 3 * BINS * FIRST_WIDTH_NS)


def ints(*values: int) -> IntArray:
    return np.array(values, np.int64)


# Sums in time bins


@given(st.lists(st.tuples(TIMES, st.integers(0, 2), st.integers(0, 10**12)), max_size=30))
def test_sums_are_kept_by_row_wherever_they_fall(added: list[tuple[int, int, int]]):
    sums = BinnedSums(2, START_NS, rows=3)
    for time, row, value in added:
        sums.add(ints(START_NS + time), ints(value, 1).reshape(1, 2), ints(row))
    for row in range(3):
        mine = [value for _, its_row, value in added if its_row == row]
        frozen = sums.freeze(row)
        assert frozen.total().tolist() == [sum(mine), len(mine)]
        assert len(frozen.sums) <= BINS
        assert bool(frozen.sums[-1:].any()) is bool(mine)


@given(st.lists(TIMES, min_size=1, max_size=30))
def test_a_time_lies_in_its_bin_also_after_bins_have_widened(times: list[int]):
    sums = BinnedSums(1, START_NS)
    for time in times:
        sums.add(ints(START_NS + time), np.ones((1, 1), np.int64))
    frozen = sums.freeze()
    expected = np.bincount(np.array(times) // frozen.width_ns, minlength=len(frozen.sums))
    assert frozen.sums[:, 0].tolist() == expected.tolist()
    assert BINS * frozen.width_ns <= max(BINS * FIRST_WIDTH_NS, 2 * max(times))


SPANS = st.tuples(TIMES, st.integers(0, 400 * MS), st.integers(0, 10**10))


@given(st.lists(SPANS, min_size=1, max_size=20))
def test_what_is_spread_adds_up_and_lies_between_begin_and_end(spans: list[tuple[int, int, int]]):
    start, length, value = np.array(spans, np.int64).T
    sums = BinnedSums(1, 0)
    sums.spread(start, start + length, value[:, None])
    frozen = sums.freeze()
    assert frozen.total().tolist() == [sum(value)]
    before = int(start.min()) - frozen.width_ns
    behind = int((start + length).max()) + frozen.width_ns
    assert frozen.between(before, behind)[0] == pytest.approx(sum(value))


def test_work_is_spread_evenly_over_its_time():
    sums = BinnedSums(1, 0)
    sums.spread(ints(0), ints(10 * FIRST_WIDTH_NS - 1), ints(1_000).reshape(1, 1))
    assert sums.freeze().sums[:, 0].tolist() == [100] * 10


def test_rows_grow_without_losing_what_is_there():
    sums = BinnedSums(1, 0, rows=0)
    sums.grow(1)
    sums.add(ints(5), ints(7).reshape(1, 1), ints(0))
    sums.grow(3)
    sums.grow(2)
    assert [sums.freeze(row).total().tolist() for row in range(3)] == [[7], [0], [0]]
    assert len(sums.freeze(2).sums) == 0


def test_nothing_added_changes_nothing():
    sums = BinnedSums(2, 0)
    none = np.empty((0, 2), np.int64)
    sums.add(ints(), none)
    sums.spread(ints(), ints(), none)
    assert len(sums.freeze().sums) == 0


def test_what_ends_before_it_begins_or_before_the_start_still_counts():
    sums = BinnedSums(1, START_NS)
    sums.spread(ints(START_NS + 9, 3), ints(START_NS + 5, 2), ints(1, 2).reshape(2, 1))
    assert sums.freeze().total().tolist() == [3]


@given(
    st.lists(st.tuples(TIMES, st.integers(0, 1)), max_size=20),
    st.lists(st.tuples(TIMES, st.integers(0, 1)), max_size=20),
)
def test_sums_go_on_where_they_were_stored(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
):
    def add(sums: BinnedSums, added: list[tuple[int, int]]) -> None:
        for time, row in added:
            sums.add(ints(time), ints(1).reshape(1, 1), ints(row))

    whole, first = BinnedSums(1, 0, rows=2), BinnedSums(1, 0, rows=2)
    add(whole, before + after)
    add(first, before)
    resumed = BinnedSums.resume(first.state())
    add(resumed, after)
    for row in range(2):
        assert resumed.freeze(row).width_ns == whole.freeze(row).width_ns
        assert resumed.freeze(row).sums.tolist() == whole.freeze(row).sums.tolist()


@pytest.mark.parametrize(
    ("width_ns", "shape"), [(0, (1, 1)), (-5, (1, 1)), (MS, (BINS + 1, 1)), (MS, (1, 2))]
)
def test_what_is_no_collection_is_not_gone_on_with(width_ns: int, shape: tuple[int, int]):
    stored = Binned(start_ns=0, width_ns=width_ns, sums=np.zeros(shape, np.int64))
    with pytest.raises(ValueError, match=r"bins|broadcast"):
        BinnedSums.resume(BinnedRows(channels=1, start_ns=0, rows=(stored,)))


def test_rows_of_different_widths_are_not_gone_on_with():
    stored = [
        Binned(start_ns=0, width_ns=width, sums=np.zeros((1, 1), np.int64))
        for width in (MS, 2 * MS)
    ]
    with pytest.raises(ValueError, match="wide"):
        BinnedSums.resume(BinnedRows(channels=1, start_ns=0, rows=tuple(stored)))


# The latest rows


@given(st.integers(1, 10), st.lists(st.integers(0, 25), max_size=20))
def test_the_latest_rows_stay(most: int, counts: list[int]):
    latest, written = LatestRows(most, 1), 0
    seen = []
    for count in counts:
        latest.add(np.arange(written, written + count, dtype=np.int64)[:, None])
        written += count
        expected = list(range(max(written - most, 0), written))
        seen.append((latest.rows(), expected))
        assert latest.capacity <= max(4 * most, 1)
    for rows, expected in seen:  # what was handed out does not change any more
        assert rows[:, 0].tolist() == expected


# Levels

READINGS = st.lists(st.tuples(TIMES, st.integers(0, 20)), max_size=30).map(sorted)


@given(READINGS, READINGS)
def test_a_gauge_counts_its_readings(before: list[tuple[int, int]], after: list[tuple[int, int]]):
    bins = GaugeBins(START_NS)
    for part in (before, after):
        for time, level in part:
            bins.add(ints(START_NS + time), ints(level))
        bins = GaugeBins.resume(bins.freeze())
    levels = [level for _, level in before + after]
    gauge = bins.freeze()
    assert int(gauge.counts.sum()) == len(levels)
    assert int(gauge.sums.sum()) == sum(levels)
    assert int(gauge.zeros.sum()) == levels.count(0)
    assert gauge.high() == max(levels, default=None)
    assert gauge.last == (levels[-1] if levels else None)
    assert gauge.mean() == (pytest.approx(sum(levels) / len(levels)) if levels else None)
    read = gauge.counts > 0
    means = gauge.sums[read] / gauge.counts[read]
    assert (gauge.lows[read] <= means).all()
    assert (gauge.highs[read] >= means).all()


def test_a_bin_keeps_its_lowest_and_highest_also_after_bins_have_widened():
    bins = GaugeBins(0)
    bins.add(ints(0, FIRST_WIDTH_NS, 2 * FIRST_WIDTH_NS), ints(5, 3, 9))
    bins.add(ints(BINS * FIRST_WIDTH_NS), ints(0))
    gauge = bins.freeze()
    assert gauge.width_ns == 2 * FIRST_WIDTH_NS
    assert (gauge.lows[:2].tolist(), gauge.highs[:2].tolist()) == ([3, 9], [5, 9])
    assert gauge.zeros[-1] == 1
    times, means = gauge.points()
    assert times.tolist() == [FIRST_WIDTH_NS, 3 * FIRST_WIDTH_NS, (BINS + 1) * FIRST_WIDTH_NS]
    assert means.tolist() == [4, 9, 0]


# Durations


@given(
    st.lists(st.integers(1_000, 3600 * SECOND), min_size=1, max_size=200),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
)
def test_a_quantile_is_within_two_percent(durations: list[int], share: float):
    bins = HistogramBins()
    bins.add(np.array(durations, np.int64))
    histogram = HistogramBins.resume(bins.freeze()).freeze()
    rank = int(share * (len(durations) - 1))
    assert histogram.quantile_ns(share) == pytest.approx(sorted(durations)[rank], rel=0.02)
    assert histogram.mean_ns() == pytest.approx(sum(durations) / len(durations))
    assert histogram.count == len(durations)


def test_a_histogram_takes_any_duration():
    bins = HistogramBins()
    bins.add(ints(-5, 0, 2**62))
    histogram = bins.freeze()
    assert (histogram.count, histogram.sum_ns) == (3, 2**62)
    assert len(histogram.counts) <= HISTOGRAM_BINS


def test_an_empty_histogram_shows_nothing():
    histogram = HistogramBins().freeze()
    assert (histogram.mean_ns(), histogram.quantile_ns(0.5), len(histogram.counts)) == (
        None,
        None,
        0,
    )
