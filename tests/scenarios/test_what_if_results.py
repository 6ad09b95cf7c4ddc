"""When a prediction beside what was measured is right."""

from dataclasses import replace

import pytest

from pipeprof.scenarios.what_if_results import Prediction, all_right, median_error

NEAR = Prediction(
    training="generator",
    text="prefetch=yes",
    today_ms=30.0,
    predicted_ms=20.0,
    low_ms=19.0,
    high_ms=21.0,
    measured_ms=20.5,
)


@pytest.mark.parametrize(
    ("text", "measured_ms", "right"),
    [
        ("prefetch=yes", 20.5, True),  # in the interval
        ("prefetch=yes", 24.0, True),  # within 25 %
        ("prefetch=yes", 27.0, False),
        ("input=free", 22.0, True),  # within 10 %
        ("input=free", 23.0, False),
    ],
)
def test_an_interval_that_holds_or_a_small_error_is_right(
    text: str, measured_ms: float, right: bool
) -> None:
    assert replace(NEAR, text=text, measured_ms=measured_ms).is_right is right


def test_an_interval_that_holds_excuses_an_error() -> None:
    wide = replace(NEAR, low_ms=10.0, measured_ms=12.0)
    assert wide.error == pytest.approx(2 / 3)
    assert wide.is_held
    assert wide.is_right


def test_the_median_of_all_errors_has_to_be_small() -> None:
    far = replace(NEAR, measured_ms=24.0)
    assert all_right([NEAR, NEAR, far])
    assert median_error([NEAR, far, far]) == pytest.approx(1 / 6)
    assert not all_right([NEAR, far, far])
    assert NEAR.row[-2:] == ("-2%", "right")
