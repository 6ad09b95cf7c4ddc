from statistics import mean

import pytest

from pipeprof.capture.probes.loops.sampling_pace import SamplingPace


def mean_pause_s(pace: SamplingPace) -> float:
    return mean(pace.next_pause_s() for _ in range(400))


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
            passed_s += pace.next_pause_s()
            pace.looked(needed=True)
            spent_s += look_s
        pace.cost(16 * look_s, passed_s - before_s, 16)
    assert spent_s <= 0.003 * passed_s
