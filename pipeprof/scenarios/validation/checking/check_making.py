"""Makes checks: a value against the right ones, or against where it has to lie."""

from typing import Any

from pipeprof.scenarios.validation.checking.report_check import Agreement, Point, ReportCheck
from pipeprof.scenarios.validation.checking.report_keys import NOTHING

SHARE_TOLERANCE = 0.03


def between(
    point: Point, found: float | None, low: float, high: float, of: str | None = None
) -> ReportCheck:
    """A number that has to lie between two others, or near one of them."""
    right = found is not None and low - SHARE_TOLERANCE <= found <= high + SHARE_TOLERANCE
    error = None if found is None else max(low - found, found - high, 0.0)
    expected = low if low == high else f"{low:.3g} to {high:.3g}"
    return ReportCheck(
        point=point, of=of, outcome=agreement(right), expected=expected, found=found, error=error
    )


def one_of(
    point: Point, found: object, right: tuple[Any, ...], of: str | None = None
) -> ReportCheck:
    """A value that has to be one of these."""
    if found is NOTHING:
        return missing(point, right, of)
    return ReportCheck(
        point=point, of=of, outcome=agreement(found in right), expected=right, found=found
    )


def agreement(right: object) -> Agreement:
    """Whether a value that the report has is right."""
    return Agreement.RIGHT if right else Agreement.WRONG


def missing(point: Point, expected: object, of: str | None = None) -> ReportCheck:
    """A value that the report does not have."""
    return ReportCheck(point=point, of=of, outcome=Agreement.MISSING, expected=expected)
