"""How a share of waiting is written beside the verdict that it leads to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.verdicts.bounds import bound_by_wait
from pipeprof.report.numbers import wait_percent


@pytest.mark.parametrize(
    ("ratio", "bound", "written"),
    [
        (0.742, Bound.INPUT, "74 %"),
        (0.204, Bound.INPUT, "20 %"),
        (0.20, Bound.INPUT, "20 %"),
        (0.199999, Bound.BALANCED, "19.99 %"),
        (0.1996, Bound.BALANCED, "19.96 %"),
        (0.196, Bound.BALANCED, "19.6 %"),
        (0.194, Bound.BALANCED, "19 %"),
        (0.05, Bound.BALANCED, "5.0 %"),
        (0.0497, Bound.COMPUTE, "4.97 %"),
        (0.0493, Bound.COMPUTE, "4.9 %"),
        (0.0003, Bound.COMPUTE, "<0.1 %"),
        (0.0, Bound.COMPUTE, "0 %"),
        (1.0, Bound.INPUT, "100 %"),
    ],
)
def test_a_share_of_waiting_has_the_digits_that_its_verdict_needs(
    ratio: float, bound: Bound, written: str
) -> None:
    assert (bound_by_wait(ratio), wait_percent(ratio)) == (bound, written)


@given(st.floats(0.001, 1.0))
def test_what_is_written_leads_to_the_same_verdict(ratio: float) -> None:
    written = float(wait_percent(ratio).removesuffix(" %"))
    assert bound_by_wait(written / 100) is bound_by_wait(ratio)
    assert abs(written - 100 * ratio) <= 0.5
