"""Readings of models stay within a share of the training thread's time, and never become too rare."""

from itertools import pairwise

import pytest

from pipeprof.capture.probes.tfdata.reading_budget import (
    FIRST_NS,
    LONGEST_REST_NS,
    MOST_OF_REST,
    MOST_RATIO,
    ReadingBudget,
)

MS = 1_000_000
BEGIN_NS = 1_000_000 * MS


def readings(cost_ns: int, *, first_ns: int = 0) -> list[int]:
    """When the readings that are asked for every 10 ms of 100 s had room; the first may be dearer."""
    budget = ReadingBudget(BEGIN_NS)
    taken: list[int] = []
    for now in range(BEGIN_NS, BEGIN_NS + 100_000 * MS, 10 * MS):
        if budget.has_room(now):
            budget.spend(cost_ns if taken or not first_ns else first_ns, now)
            taken.append(now)
    return taken


def test_readings_take_their_share_and_no_more() -> None:
    may_ns = FIRST_NS + MOST_RATIO * 100_000 * MS
    taken_ns = len(readings(MS)) * MS
    assert may_ns - MS <= taken_ns <= may_ns + MS


def test_cheap_readings_are_all_taken() -> None:
    assert len(readings(20_000)) == 10_000


@pytest.mark.parametrize("cost_ms", [2, 20])
def test_dear_readings_become_rare_but_go_on(cost_ms: int) -> None:
    taken = readings(cost_ms * MS)
    rests = [later - earlier for earlier, later in pairwise(taken)]
    assert rests[-1] == max(LONGEST_REST_NS, cost_ms * MS / MOST_OF_REST)


def test_one_reading_that_took_long_delays_the_next_ones_once() -> None:
    taken = readings(MS // 2, first_ns=60 * MS)
    assert taken[1] - taken[0] == 60 * MS / MOST_OF_REST
    assert taken[2] - taken[1] <= LONGEST_REST_NS


def test_the_first_readings_may_follow_each_other_closely() -> None:
    budget = ReadingBudget(BEGIN_NS)
    budget.spend(FIRST_NS // 2, BEGIN_NS)
    assert budget.has_room(BEGIN_NS)
    budget.spend(FIRST_NS // 2, BEGIN_NS)
    assert not budget.has_room(BEGIN_NS)
