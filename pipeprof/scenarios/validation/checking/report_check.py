"""One thing that a report has to state, and whether it does."""

import enum

from pipeprof.recording.light_dataclasses import dataclass


class Agreement(enum.Enum):
    """The result of one comparison."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"  # the report has no such key


class Point(enum.Enum):
    """What a report is compared in. The values are what it is called, before what it is of."""

    BOUND = "bound"
    CAUSE = "cause"
    BOTTLENECK = "bottleneck"
    BOTTLENECK_LINE = "line of bottleneck"
    BOTTLENECK_KIND = "kind of bottleneck"
    HELD_UP = "held up by its input"
    WAIT = "wait of a step"
    STEP = "step"
    STEP_CALLBACKS = "callbacks of a step"
    WALL_WAIT = "wall_wait_ratio"
    WALL_HOST = "wall_host_ratio"
    IDEAL_STEP = "ideal step"
    ACCOUNT = "account"
    SHARE = "share of"
    NAME = "name of"
    LINE = "line of"
    COST = "cost of"
    COPIES = "copies of"
    LOOPS = "loops of"
    STEPS = "steps of"
    EPOCHS = "epochs of"
    EPOCH_WAITS = "waiting of epochs"
    ADVICE = "advice"
    REMARK = "remark"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCheck:
    """One comparison of a report with what is true.

    Attributes:
        point: what is compared.
        of: of what it is: a stage, a part, a kind of loop; None where there is one such point.
        outcome: of the comparison.
        expected: what is true.
        found: what the report has; None where it has nothing.
        error: of numbers, in the unit of their tolerance: a ratio of the true value for costs, times and
            limits, a difference for shares.
    """

    point: Point
    of: str | None = None
    outcome: Agreement
    expected: object
    found: object = None
    error: float | None = None

    @property
    def what(self) -> str:
        """What is compared, in words: ``bound``, ``cost of decode``, ``share of callbacks``."""
        return self.point.value if self.of is None else f"{self.point.value} {self.of}"

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
