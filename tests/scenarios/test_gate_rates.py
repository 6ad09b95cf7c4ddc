"""How often a gate is right is counted rightly; on made runs, of which it is known."""

import pytest

from pipeprof.scenarios.validation.gate_rates import RecordedSide, measure_rates
from tests.analysis.comparing.test_run_comparison import run


def side(compute_ms: float, first: int) -> RecordedSide:
    runs = tuple(run(compute_ms, first + number) for number in range(6))
    return RecordedSide(quiet=runs, loaded=runs)


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize(("slower_ms", "caught"), [(12.5, 6), (10.0, 0)])
def test_slower_runs_are_caught_and_equal_ones_are_not(
    group: int, slower_ms: float, caught: int
) -> None:
    found = measure_rates(side(10.0, 0), side(slower_ms, 100), group, comparisons=6)
    assert (found.comparisons, found.false_alarms, found.caught) == (6, 0, caught)


def test_runs_that_differ_by_themselves_cause_false_alarms_where_single_ones_are_compared() -> None:
    """Nothing in one run shows that others of its kind take half as long again."""

    def side_apart(first: int) -> RecordedSide:
        runs = tuple(run(15.0 if number % 2 else 10.0, first + number) for number in range(6))
        return RecordedSide(quiet=runs, loaded=runs)

    single, several = (
        measure_rates(side_apart(0), side_apart(100), group, comparisons=20) for group in (1, 3)
    )
    assert single.false_alarms > 2
    assert several.false_alarms == 0
