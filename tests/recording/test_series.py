"""Sums and levels in time bins: what is read from them."""

import numpy as np

from pipeprof.analysis.measures.counted_time import CountedTime
from pipeprof.recording.series import Binned
from tests import builders
from tests.builders import SECOND, START_NS


def test_levels_in_holes_do_not_count_but_where_there_are_no_others():
    level = builders.gauge(2, 8, 8, 4)
    holes = ((START_NS + SECOND, START_NS + 3 * SECOND),)
    counted = CountedTime(start_ns=START_NS, end_ns=START_NS + 4 * SECOND, holes=holes, steps=9)
    assert (counted.level(level), counted.highest(level)) == (3.0, 4)
    only = CountedTime(
        start_ns=START_NS + SECOND, end_ns=START_NS + 3 * SECOND, holes=holes, steps=9
    )
    assert (only.level(level), only.empty_ratio(level)) == (8.0, 0.0)


def test_a_bin_that_is_cut_counts_in_part():
    binned = Binned(start_ns=100, width_ns=10, sums=np.array([[10], [20], [30]], np.int64))
    assert binned.between(100, 130).tolist() == [60]
    assert binned.between(105, 125).tolist() == [5 + 20 + 15]
    assert binned.between(0, 100).tolist() == binned.between(130, 990).tolist() == [0]
    assert binned.times_ns().tolist() == [105, 115, 125]


def test_the_mean_of_a_gauge_is_right_however_large_its_sum_is():
    terabytes = builders.gauge(*[5 * 10**18] * 4)  # what bins sum up to in months
    whole = CountedTime(start_ns=START_NS, end_ns=START_NS + 4 * SECOND, steps=4)
    assert terabytes.mean() == whole.level(terabytes) == 5e18
