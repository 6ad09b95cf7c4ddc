"""Readings of models stay within a share of the training thread's time."""

from pipeprof.capture.probes.tfdata.reading_budget import FIRST_NS, MOST_RATIO, ReadingBudget

BEGIN_NS = 1_000_000_000_000
SECOND_NS = 1_000_000_000


def readings(cost_ns: int, *, seconds: int, a_second: int) -> int:
    """How many of the readings that are asked for have room."""
    budget, count = ReadingBudget(BEGIN_NS), 0
    for at in range(seconds * a_second):
        if budget.has_room(BEGIN_NS + at * SECOND_NS // a_second):
            budget.spend(cost_ns)
            count += 1
    return count


def test_dear_readings_take_their_share_and_no_more():
    cost_ns = 2_000_000
    may_ns = FIRST_NS + MOST_RATIO * 100 * SECOND_NS
    taken_ns = readings(cost_ns, seconds=100, a_second=10) * cost_ns
    assert may_ns - cost_ns <= taken_ns <= may_ns + cost_ns


def test_cheap_readings_are_all_taken():
    assert readings(100_000, seconds=100, a_second=10) == 1000


def test_the_first_readings_may_follow_each_other_closely():
    budget = ReadingBudget(BEGIN_NS)
    budget.spend(FIRST_NS // 2)
    assert budget.has_room(BEGIN_NS)
    budget.spend(FIRST_NS // 2)
    assert not budget.has_room(BEGIN_NS)
    assert budget.has_room(BEGIN_NS + round(FIRST_NS / MOST_RATIO))
