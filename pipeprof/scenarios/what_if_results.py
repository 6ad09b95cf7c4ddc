"""Predictions beside what was measured: rows of a table, and whether they are right. Pure."""

import statistics
from collections.abc import Sequence

from pipeprof.recording.light_dataclasses import dataclass

# What predictions have to keep: the median of errors, the largest without an interval that holds the
# truth, and that of a step with input for free.
MEDIAN_ERROR = 0.08
LARGEST_ERROR = 0.25
FREE_ERROR = 0.10

HEADER = ("training", "what if", "ms a step", "predicted", "from", "to", "measured", "error", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Milliseconds a step of one change.

    Attributes:
        training: the name of the case.
        text: what is supposed.
        today_ms: as it was recorded.
        predicted_ms: as the recording predicts it.
        low_ms: where the interval of that begins.
        high_ms: where it ends.
        measured_ms: that of the changed training.
    """

    training: str
    text: str
    today_ms: float
    predicted_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """What is predicted too much, or too little, as a part of what was measured."""
        return self.predicted_ms / self.measured_ms - 1.0

    @property
    def is_held(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.low_ms <= self.measured_ms <= self.high_ms

    @property
    def is_right(self) -> bool:
        """Whether it is as near as it has to be."""
        of_free = self.text == "input=free"
        return self.is_held or abs(self.error) <= (FREE_ERROR if of_free else LARGEST_ERROR)

    @property
    def row(self) -> tuple[str, ...]:
        """A row beneath `HEADER`."""
        times = (
            self.today_ms,
            self.predicted_ms,
            self.low_ms,
            self.high_ms,
            self.measured_ms,
        )
        verdict = "right" if self.is_right else "**not right**"
        return (
            self.training,
            f"`{self.text}`",
            *(f"{ms:.2f}" for ms in times),
            f"{self.error:+.0%}",
            verdict,
        )


def median_error(found: Sequence[Prediction]) -> float:
    """The median of the errors, whatever their direction."""
    return statistics.median(abs(each.error) for each in found)


def all_right(found: Sequence[Prediction]) -> bool:
    """Whether all are as near as they have to be, and their median too."""
    return median_error(found) <= MEDIAN_ERROR and all(each.is_right for each in found)
