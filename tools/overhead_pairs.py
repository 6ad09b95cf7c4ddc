"""Comparisons in alternating pairs, and where the median of what they found lies.

Machines are shared and noisy, and their disturbances last for seconds: many short pairs that take turns in
going first are better than a few long ones.
"""

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

# What one side of a pair measured: seconds of one or several clocks.
Times = tuple[float, ...]
Side = Callable[[], Times]

# A comparison that is not to end before its interval is this narrow: one percentage point to each side.
NARROW = 0.01


@dataclass(kw_only=True)
class Pairs:
    """Makes the pairs of comparisons, and keeps them from one start of this program to the next.

    Attributes:
        least: how many pairs each comparison has at least.
        until_narrow: whether a comparison of ratios goes on until its interval is narrow.
        seconds: after so long no further pair of a comparison is begun.
        file: where pairs are kept, or None.
        found: the pairs of each comparison, without and with what is measured.
    """

    least: int
    until_narrow: bool = False
    seconds: float = math.inf
    file: Path | None = None
    found: dict[str, list[tuple[Times, Times]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file is not None:
            with suppress(FileNotFoundError):
                kept = json.loads(self.file.read_text())
                self.found = {
                    name: [(tuple(bare), tuple(watched)) for bare, watched in pairs]
                    for name, pairs in kept.items()
                }

    def compare(
        self, name: str, bare: Side, watched: Side, *, narrow: bool = False, times: int = 1
    ) -> list[tuple[Times, Times]]:
        """All pairs of a comparison: those that were kept, and new ones.

        Args:
            name: identifies the comparison.
            bare: does the work without what is measured.
            watched: does it with that.
            narrow: whether `until_narrow` is meant for it; its ratios are of the first clock.
            times: how many times as many pairs it has at least, because they are short.
        """
        pairs = self.found.setdefault(name, [])
        begin_s = time.monotonic()
        if not self._is_enough(pairs, narrow=narrow, times=times):
            bare()
            watched()
        while not self._is_enough(pairs, narrow=narrow, times=times):
            if time.monotonic() - begin_s > self.seconds:
                break
            if len(pairs) % 2:
                after = watched()
                pairs.append((bare(), after))
            else:
                pairs.append((bare(), watched()))
            self._keep()
        return pairs

    def _is_enough(self, pairs: Sequence[tuple[Times, Times]], *, narrow: bool, times: int) -> bool:
        if len(pairs) < self.least * times:
            return False
        if not (narrow and self.until_narrow):
            return True
        low, high = where_the_median_lies(ratios(pairs))
        return high - low < 2 * NARROW

    def _keep(self) -> None:
        if self.file is not None:
            self.file.write_text(json.dumps(self.found))


def ratios(pairs: Sequence[tuple[Times, Times]], clock: int = 0) -> list[float]:
    """By which part the second of each pair took longer than the first."""
    return [watched[clock] / bare[clock] - 1 for bare, watched in pairs]


def differences(
    pairs: Sequence[tuple[Times, Times]], clock: int = 0, *, of: float = 1.0
) -> list[float]:
    """How much longer the second of each pair took than the first, divided by a number."""
    return [(watched[clock] - bare[clock]) / of for bare, watched in pairs]


def where_the_median_lies(values: Sequence[float]) -> tuple[float, float]:
    """An interval that holds the true median with 90 % confidence (by the sign test)."""
    ordered, count = sorted(values), len(values)
    chances = accumulate(math.comb(count, above) / 2**count for above in range(count))
    outside = sum(1 for chance in chances if chance <= 0.05)
    lowest = max(outside - 1, 0)
    return ordered[lowest], ordered[-1 - lowest]


def as_percent(values: Sequence[float]) -> str:
    """The median of ratios with its interval."""
    return _with_interval(values, lambda value: f"{value:+.1%}")


def as_number(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """The median of numbers with its interval."""
    return _with_interval(values, lambda value: f"{value:.{digits}f}") + f" {unit}"


def _with_interval(values: Sequence[float], show: Callable[[float], str]) -> str:
    low, high = where_the_median_lies(values)
    return f"{show(statistics.median(values))} ({show(low)} to {show(high)}; {len(values)} pairs)"
