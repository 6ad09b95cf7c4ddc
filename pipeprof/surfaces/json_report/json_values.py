"""Numbers as the JSON report has them: JSON knows no infinity, and null is what was not measured."""

import math

from pipeprof.analysis.findings.findings import Interval


def number(value: float | None) -> float | None:
    """Four decimals, which are enough for milliseconds, seconds and ratios."""
    return round(value, 4) if value is not None and math.isfinite(value) else None


def whole(value: float | None) -> int | None:
    """The nearest whole number."""
    return round(value) if value is not None and math.isfinite(value) else None


def interval(found: Interval | None) -> list[float | None] | None:
    """``[low, high]``."""
    return None if found is None else [number(found.low), number(found.high)]
