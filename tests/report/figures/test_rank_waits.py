from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.figures.rank_waits import MOST_COLUMNS, MOST_ROWS, ranks_figure
from tests import builders, ranks
from tests.report.figures.drawn import trace, view


def of_ranks(profiles: list[ranks.Profile], shown: int = 0) -> Findings:
    found = ranks.of_profiles(profiles)
    return replace(analyse(profiles[shown]), ranks=found)


def test_a_row_for_each_rank_and_a_column_for_each_step() -> None:
    drawn = view(ranks_figure(of_ranks(ranks.in_lock_step(ranks.waits(2, 30, 2)))))
    heat = trace(drawn, "wait")
    assert heat["y"] == ["rank 0", "rank 1", "rank 2"]
    assert heat["x"] == list(range(100))
    assert heat["z"][1][50] > 5 * heat["z"][0][50]
    assert "(rank 1)" in drawn.caption


def test_a_rank_that_died_has_no_waits_from_then_on() -> None:
    profiles = ranks.in_lock_step(ranks.waits(2, 30, 2))
    profiles[2] = ranks.cut_off(profiles[2], 40)
    row = trace(view(ranks_figure(of_ranks(profiles))), "wait")["z"][2]
    assert row[39] is not None
    assert row[40] is None


def test_of_many_ranks_and_steps_some_are_drawn_the_slow_one_too() -> None:
    means = [2.0] * (MOST_ROWS + 61)
    means[57] = 30.0
    drawn = view(ranks_figure(of_ranks(ranks.in_lock_step(ranks.waits(*means, steps=200)), 57)))
    heat = trace(drawn, "wait")
    assert len(heat["y"]) <= MOST_ROWS
    assert "rank 57" in heat["y"]
    assert len(heat["x"]) <= MOST_COLUMNS
    assert f"of {len(means)} ranks are drawn" in drawn.caption


@pytest.mark.parametrize("wait", [None, 0])
def test_a_process_that_trains_alone_has_no_such_figure(wait: int | None) -> None:
    assert ranks_figure(analyse(builders.profile(loops=(builders.loop(wait_ns=wait),)))) is None
