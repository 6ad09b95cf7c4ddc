import itertools
from statistics import mean

import pytest

from pipeprof.capture.probes.loops.sampling_pace import SamplingPace


def mean_pause_s(pace: SamplingPace) -> float:
    pace.begin(0.0)
    dues_s = [0.0, *(pace.next_due_s() for _ in range(400))]
    return mean(after - before for before, after in itertools.pairwise(dues_s))


def saved(pace: SamplingPace) -> SamplingPace:
    pace.cost(0.000_05 * 16, 10.0, 16)
    return pace


def test_it_looks_often_at_first_and_usually_later() -> None:
    pace = saved(SamplingPace())
    assert mean_pause_s(pace) == pytest.approx(1 / 60, rel=0.1)
    assert pace.weight == 1
    for _ in range(2000):
        pace.looked(needed=True)
    assert mean_pause_s(pace) == pytest.approx(1 / 20, rel=0.1)
    assert pace.weight == 3


def test_looks_that_nothing_needs_become_rare_until_one_is_needed() -> None:
    pace = saved(SamplingPace())
    for _ in range(21):
        pace.looked(needed=False)
    assert mean_pause_s(pace) == pytest.approx(0.2, rel=0.1)
    assert pace.weight == 1
    pace.looked(needed=True)
    assert mean_pause_s(pace) == pytest.approx(1 / 60, rel=0.1)


def test_what_needs_few_looks_saves_them_for_later() -> None:
    pace = SamplingPace()
    pace.looked(needed=True, seldom=True)
    assert mean_pause_s(pace) == pytest.approx(0.2, rel=0.1)
    assert pace.weight == 12
    for _ in range(3):
        pace.cost(16 * 0.000_25, 16 * 0.2, 16)
    pace.looked(needed=True)
    assert mean_pause_s(pace) == pytest.approx(1 / 60, rel=0.1)


@pytest.mark.parametrize("look_s", [0.000_02, 0.000_2, 0.003])
def test_all_looks_together_cost_no_more_than_their_share_of_a_core(look_s: float) -> None:
    pace, passed_s, spent_s = SamplingPace(), 0.0, 0.0
    while passed_s < 100:
        before_s = passed_s
        for _ in range(16):
            passed_s = pace.next_due_s()
            pace.looked(needed=True)
            spent_s += look_s
        pace.cost(16 * look_s, passed_s - before_s, 16)
    assert spent_s <= 0.003 * passed_s


def stood_for(pace: SamplingPace, start_s: float, held_s: float) -> tuple[float, float]:
    """What looks stand for while a call holds the GIL for so long, and in as much time after it.

    A look that is due while the call runs is taken when it ends.
    """
    pace.begin(0.0)
    held = free = 0.0
    while (due_s := pace.next_due_s()) < start_s + 2 * held_s:
        now_s = max(due_s, start_s + held_s) if due_s > start_s else due_s
        pace.taken(now_s)
        weight = pace.weight + sum(missed.weight for missed in pace.missed)
        if start_s < due_s < start_s + held_s:
            held += weight
        elif due_s >= start_s + held_s:
            free += weight
        pace.looked(needed=True, seldom=True)
    return held, free


@pytest.mark.parametrize("held_s", [0.3, 3.0])
def test_a_look_stands_for_those_that_were_due_while_it_waited_for_the_gil(held_s: float) -> None:
    found = []
    for start in range(400):
        pace = SamplingPace()
        pace.looked(needed=True, seldom=True)
        found.append(stood_for(pace, 1 + start / 1000, held_s))
    held, free = (mean(samples) / 60 for samples in zip(*found, strict=True))
    assert held == pytest.approx(held_s, rel=0.05)
    assert free == pytest.approx(held_s, rel=0.05)


def test_a_look_in_time_stands_for_itself_alone() -> None:
    pace = saved(SamplingPace())
    pace.begin(0.0)
    pace.taken(pace.next_due_s() + 0.001)
    assert not pace.missed


def test_of_very_many_missed_looks_few_are_told_apart_and_none_is_lost() -> None:
    pace = saved(SamplingPace())
    pace.begin(0.0)
    pace.taken(pace.next_due_s() + 600)
    assert len(pace.missed) <= 64
    assert sum(missed.weight for missed in pace.missed) == pytest.approx(36_000, rel=0.05)
    ages_s = [missed.age_s for missed in pace.missed]
    assert ages_s == sorted(ages_s, reverse=True)
    assert 0 <= ages_s[-1] < ages_s[0] < 600
