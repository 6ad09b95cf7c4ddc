"""The noise is that of made runs of which it is known."""

import numpy as np
import pytest

from pipeprof.analysis.comparing.run_noise import (
    Measured,
    range_of,
    range_of_difference,
    student_95,
)


def measured(value: float, spread: float = 0.0, seed: int = 0) -> Measured:
    found = Measured.of_blocks(np.random.default_rng(seed).normal(value, spread, 24))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("freedom", "expected"), [(6, 2.447), (10, 2.228), (12, 2.179), (30, 2.042), (1000, 1.962)]
)
def test_students_quantile_is_that_of_its_tables(freedom: int, expected: float) -> None:
    assert student_95(freedom) == pytest.approx(expected, abs=0.02)


def test_single_runs_without_noise_differ_by_what_is_assumed() -> None:
    found = range_of_difference([measured(10.0)], [measured(10.0)], assumed=0.02)
    assert found.high == pytest.approx(student_95(6) * 2**0.5 * 0.2, rel=1e-6)
    assert found.low == pytest.approx(-found.high)


def test_runs_that_agree_narrow_the_range_and_runs_that_do_not_widen_it() -> None:
    def width(*values: float) -> float:
        found = range_of([measured(value) for value in values])
        return found.high - found.low

    assert width(10.0, 10.0, 10.0) < width(10.0) / 1.7
    assert width(8.0, 10.0, 12.0) > 3 * width(10.0, 10.0, 10.0)


def test_a_range_nearly_always_holds_what_is_true() -> None:
    """Runs that differ by 5 % of their value, against a fiftieth that is assumed."""
    random = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        runs = [measured(value) for value in random.normal(10.0, 0.5, 12)]
        found = range_of_difference(runs[:6], runs[6:])
        held += found.low < 0.0 < found.high
    assert 170 <= held <= 200


def test_blocks_that_do_not_have_a_quantity_do_not_count() -> None:
    found = Measured.of_blocks(np.array([1.0, np.nan, 3.0]))
    assert found is not None
    assert found.value == 2.0
    assert Measured.of_blocks(np.array([np.nan])) is None
