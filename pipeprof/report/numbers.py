"""Numbers as people read them: times, shares, rates, bytes and counts.

The only place that chooses digits and units; every sentence, table and picture uses it.
"""

import math

from pipeprof.analysis.verdicts.bounds import bound_by_wait

_LEAST_MS = 0.005
_LEAST_ERROR = 0.025


def duration(ms: float) -> str:
    """Milliseconds in a fitting unit and as many digits as matter: ``29.8 ms``, ``1.2 s``."""
    if 0 < ms < _LEAST_MS:
        return "<0.01 ms"
    scale, unit, digits = _unit(ms)
    return f"{ms * scale:.{digits}f} {unit}"


def duration_range(low_ms: float, high_ms: float) -> str:
    """``9.1 to 10.4 ms``: the unit stands once where both have the same."""
    low, high = duration(low_ms), duration(high_ms)
    if 0 < low_ms < _LEAST_MS or _unit(low_ms)[1] != _unit(high_ms)[1]:
        return f"{low} to {high}"
    return f"{parts(low_ms, low_ms)[0]} to {high}"


def parts(ms: float, *parts_ms: float) -> tuple[str, ...]:
    """Parts of a duration as bare numbers, in the unit and the digits that it is shown in."""
    scale, _, digits = _unit(ms)
    return tuple(f"{part * scale:.{digits}f}" for part in parts_ms)


def _unit(ms: float) -> tuple[float, str, int]:
    if ms < 999.5:
        return 1.0, "ms", 0 if ms == 0 or ms >= 99.95 else 2 if ms < 0.995 else 1
    return 0.001, "s", 1 if ms < 99_950 else 0


def percent(ratio: float) -> str:
    """A ratio of 0 to 1 as ``74 %``, with a digit more where it is small."""
    share = 100 * ratio
    if 0 < share < 0.05:
        return "<0.1 %"
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"


def percent_within(ratio: float, error: float | None) -> str:
    """A ratio with how far off it may be, where that matters: ``24 ± 6 %``."""
    if error is None or error < _LEAST_ERROR:
        return percent(ratio)
    return f"{100 * ratio:.0f} ± {100 * error:.0f} %"


def wait_percent(ratio: float) -> str:
    """A wait ratio as people write it: with more digits where fewer would put it on a border.

    19.6 % is not input-bound, and neither would a reader believe it of '20 %'.
    """
    share = 100 * ratio
    if 0 < share < 0.05:
        return "<0.1 %"
    least = 1 if 0 < share < 9.95 else 0
    for digits in range(least, 3):
        written = round(share, digits)
        if bound_by_wait(written / 100) is bound_by_wait(ratio):
            return f"{written:.{digits}f} %"
    return f"{math.floor(100 * share) / 100:.2f} %"


def changed_by(ratio: float) -> str:
    """A change as a part of what was before, with its sign: ``+4.2 %``."""
    return f"{100 * ratio:+.1f} %"


def changed_between(low: float, high: float) -> str:
    """Where such a change lies: ``-1.0 to +4.2 %``."""
    return f"{100 * low:+.1f} to {changed_by(high)}"


def points(ratio: float) -> str:
    """The difference of two ratios in percentage points, with its sign: ``+4.2 points``."""
    return f"{100 * ratio:+.1f} points"


def points_between(low: float, high: float) -> str:
    """Where such a difference lies: ``-1.0 to +4.2 points``."""
    return f"{100 * low:+.1f} to {points(high)}"


def rate(per_s: float) -> str:
    """A number per second in as many digits as matter."""
    return f"{per_s:,.0f}" if per_s >= 99.5 else f"{per_s:.1f}"


def fixed(number: float, digits: int) -> str:
    """A number with ``digits`` decimals, as for a column of numbers: ``0.50``."""
    return f"{number:,.{digits}f}"


def size(count_bytes: float) -> str:
    """Bytes in a fitting unit: ``38.5 MB``."""
    value, unit = float(count_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 99.95 or unit == "B" else f"{value:.1f} {unit}"


def factor(number: float) -> str:
    """How much faster, as a bare number: ``3.9``, with a digit more where it is close to 1."""
    return f"{number:.1f}" if number >= 1.095 else f"{number:.2f}"


def times(number: float) -> str:
    """How much faster: ``3.9 times``."""
    return f"{factor(number)} times"


def count(number: int, noun: str) -> str:
    """A number and its noun: ``1 step``, ``312 steps``."""
    ending = "" if number == 1 else "es" if noun.endswith(("s", "tch")) else "s"
    return f"{number:,} {noun}{ending}"


def amount(number: float, noun: str) -> str:
    """A number that need not be whole, and its noun: ``1.5 cores``."""
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def level(mean: float) -> str:
    """A mean of small counts, as of elements in a buffer: ``1.4``."""
    return f"{mean:.1f}"


def few_digits(number: float) -> str:
    """A number in three digits at most, without zeros at its end: ``2``, ``1.75``."""
    return f"{number:.3g}"
