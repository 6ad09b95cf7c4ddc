"""What a step is made of and what a training would gain with input for free, in words."""

from dataclasses import replace

import pytest

from pipeprof.analysis.findings.findings import Interval, LimitSource, LoopOnFreeInput
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.findings.wall_evidence_kinds import HostAtWork
from pipeprof.report.one_run.verdict_text import gain_with_free_input, speed
from tests.builders import diagnosis


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


@pytest.mark.parametrize(("own_code", "rest"), [(0.4, "compute and own code"), (0.0, "compute")])
def test_what_no_clock_takes_apart_in_a_step_is_said_to_be_both(own_code: float, rest: str) -> None:
    host = HostAtWork(
        ratio=own_code + 0.1,
        callbacks_ratio=0.1,
        between_ratio=0.0,
        own_code_ratio=own_code,
        places=(),
    )
    said = replace(diagnosis(Bound.HOST), evidence=(host,))
    assert f" + {rest} " in next(iter(speed(said)))
