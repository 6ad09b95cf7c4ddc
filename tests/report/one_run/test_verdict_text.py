"""What a training would gain with input for free, in words."""

import pytest

from pipeprof.analysis.findings.findings import Interval, LimitSource, LoopOnFreeInput
from pipeprof.report.one_run.verdict_text import gain_with_free_input


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (4.9, 5.1, "5.0 times as fast"),
        (4.0, 6.0, "5.0 times as fast (4.0 to 6.0)"),
        (4.0, 3.6e9, "5.0 times as fast (at least 4.0)"),
    ],
)
def test_a_gain_has_its_interval_where_that_says_something(
    low: float, high: float, said: str
) -> None:
    free = LoopOnFreeInput(
        wall_s=2.0,
        wall_interval=Interval(low=1.0, high=3.0),
        speedup=5.0,
        speedup_interval=Interval(low=low, high=high),
        known=LimitSource.ESTIMATED,
    )
    assert gain_with_free_input(free) == said
