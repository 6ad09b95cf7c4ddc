import pytest

from pipeprof.report.numbers import (
    count,
    duration,
    parts,
    percent,
    percent_within,
    rate,
    size,
    times,
)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.0, "0 ms"),
        (0.004, "<0.01 ms"),
        (0.005, "0.01 ms"),
        (0.04, "0.04 ms"),
        (0.994, "0.99 ms"),
        (0.996, "1.0 ms"),
        (29.84, "29.8 ms"),
        (99.96, "100 ms"),
        (312.4, "312 ms"),
        (999.6, "1.0 s"),
        (1_234.0, "1.2 s"),
        (99_960.0, "100 s"),
    ],
)
def test_durations_have_the_digits_that_matter(ms: float, text: str):
    assert duration(ms) == text


def test_parts_of_a_duration_are_in_its_unit():
    assert parts(31.4, 23.31, 0.04) == ("23.3", "0.0")
    assert parts(1_200.0, 1_100.0, 100.0) == ("1.1", "0.1")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0, "0 %"),
        (0.0001, "<0.1 %"),
        (0.003, "0.3 %"),
        (0.0994, "9.9 %"),
        (0.0999, "10 %"),
        (0.742, "74 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages_have_a_digit_more_where_they_are_small(ratio: float, text: str):
    assert percent(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "error", "text"),
    [
        (0.244, 0.063, "24 ± 6 %"),
        (0.244, 0.01, "24 %"),
        (0.244, None, "24 %"),
        (0.031, 0.03, "3 ± 3 %"),
        (0.008, 0.002, "0.8 %"),
    ],
)
def test_how_far_off_a_share_may_be_stands_with_it_where_that_matters(
    ratio: float, error: float | None, text: str
):
    assert percent_within(ratio, error) == text


def test_counts_and_rates():
    assert count(1, "step") == "1 step"
    assert count(12_345, "step") == "12,345 steps"
    assert count(4, "process") == "4 processes"
    assert (rate(1_066.7), rate(12.34)) == ("1,067", "12.3")
    assert (times(3.86), times(1.02)) == ("3.9 times", "1.02 times")


def test_bytes_are_shown_in_a_fitting_unit() -> None:
    counts = (0, 999, 1_000, 38_500_000, 2.5e14)
    assert [size(each) for each in counts] == ["0 B", "999 B", "1.0 kB", "38.5 MB", "250 TB"]
