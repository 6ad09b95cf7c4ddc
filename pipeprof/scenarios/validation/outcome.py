"""One thing that a report has to state, and whether it does."""

import enum
from dataclasses import dataclass


class Agreement(enum.Enum):
    """The result of one comparison."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"  # the report has no such key


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCheck:
    """One comparison of a report with what is true.

    Attributes:
        what: is compared: `bound`, `cost of decode`, `share of callbacks`, …
        outcome: of the comparison.
        expected: what is true.
        found: what the report has; None where it has nothing.
        error: of numbers, in the unit of their tolerance: a ratio of the true value for costs, times and
            limits, a difference for shares.
    """

    what: str
    outcome: Agreement
    expected: object
    found: object = None
    error: float | None = None

    def __str__(self) -> str:
        """What differs, for the line of a scenario."""
        if self.outcome is Agreement.MISSING:
            return f"{self.what}: missing"
        return f"{self.what}: {self.found_text}, true is {self.expected_text}"

    @property
    def expected_text(self) -> str:
        """What is true, in short."""
        return _short(self.expected)

    @property
    def found_text(self) -> str:
        """What the report has, in short."""
        return _short(self.found)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, tuple):
        return " or ".join(map(_short, value))
    return str(value)
