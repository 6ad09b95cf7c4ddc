"""A gate for CI: expressions such as ``step_ms>+5%``, and whether a comparison breaks them.

An expression is a quantity's name, ``>`` or ``<``, and a limit. With a sign (``+5%``, ``-2``) the limit is
a change from the first group to the second, in per cent or in the quantity's own unit; without one it is
a value that the second group must not reach.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from pipeprof.analysis.comparing.run_comparison import ComparedQuantity, Comparison
from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass

_EXPRESSION = re.compile(
    r"\s*(?P<name>[^<>]+?)\s*(?P<sign>[<>])\s*(?P<limit>[+-]?\s*[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)"
    r"\s*(?P<percent>%?)\s*"
)
_MOST_NAMES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must not be.

    Attributes:
        text: as the user wrote it.
        name: name of the quantity.
        above: whether it must not be more than the limit; else it must not be less.
        limit: the limit.
        change: whether the limit is one of the change, and not of the value.
        relative: whether the change is a part of the first value.
    """

    text: str
    name: str
    above: bool
    limit: float
    change: bool
    relative: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What became of a condition.

    Attributes:
        condition: the condition.
        row: its quantity.
        reached: whether the measured value is beyond the limit.
        beyond_noise: whether it is so beyond the noise; only then the gate fails.
    """

    condition: Condition
    row: ComparedQuantity
    reached: bool
    beyond_noise: bool

    @property
    def fails(self) -> bool:
        """Whether the gate fails by it."""
        return self.reached and self.beyond_noise


def parse_condition(text: str) -> Condition:
    """Reads an expression.

    Raises:
        UsageError: it is none.
    """
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"expected an expression such as 'step_ms>+5%' or 'wall_wait_ratio>0.10', received {text!r}."
        )
    limit = match["limit"].replace(" ", "")
    change = limit[0] in "+-"
    percent = bool(match["percent"])
    if percent and not change:
        raise UsageError(
            f"expected a change with its sign before the per cent, such as '+5%', received {text!r}."
        )
    return Condition(
        text=text.strip(),
        name=match["name"],
        above=match["sign"] == ">",
        limit=float(limit) / (100 if percent else 1),
        change=change,
        relative=percent,
    )


def check(comparison: Comparison, conditions: Sequence[Condition]) -> tuple[GateResult, ...]:
    """What became of each condition.

    Raises:
        UsageError: the runs cannot be compared, or a quantity does not exist or was not measured.
    """
    forbidding = comparison.work.forbids_gate
    if forbidding:
        first = forbidding[0]
        what = first.aspect.value.replace("_", " ")
        raise UsageError(
            f"expected runs that can be compared, found another {what}: {first.before} against "
            f"{first.after}. Record both in one way."
        )
    return tuple(_outcome(comparison, condition) for condition in conditions)


def _outcome(comparison: Comparison, condition: Condition) -> GateResult:
    row = comparison.row(condition.name)
    if row is None:
        raise UsageError(
            f"expected the name of a quantity in {condition.text!r}, received {condition.name!r}: "
            f"these runs have {_names(comparison, condition.name)}."
        )
    if condition.change:
        reached, beyond = _of_change(condition, row)
    else:
        reached, beyond = _of_value(condition, row)
    return GateResult(condition=condition, row=row, reached=reached, beyond_noise=beyond)


def _names(comparison: Comparison, wanted: str) -> str:
    """The names that an expression may have, those like the one that was written first."""
    names = [row.quantity.name for row in comparison.rows]
    alike = get_close_matches(wanted, names)
    names = [*alike, *(name for name in names if name not in alike)]
    others = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {others} more" if others > 0 else "")


def _of_change(condition: Condition, row: ComparedQuantity) -> tuple[bool, bool]:
    """A part that only the second group has grew from nothing; one that only the first has is gone."""
    if row.before is None and row.after is None:
        raise _not_measured(condition)
    before, after = row.before or 0.0, row.after or 0.0
    limit = condition.limit * before if condition.relative else condition.limit
    change = after - before
    reached = change > limit if condition.above else change < limit
    if row.difference is None:
        one_sided = abs(change) > row.least
        return reached, one_sided
    away = row.difference.low > 0 if change > 0 else row.difference.high < 0
    return reached, away and abs(change) > row.least


def _of_value(condition: Condition, row: ComparedQuantity) -> tuple[bool, bool]:
    if row.after is None or row.after_range is None:
        return False, False
    if condition.above:
        return row.after > condition.limit, row.after_range.low > condition.limit
    return row.after < condition.limit, row.after_range.high < condition.limit


def _not_measured(condition: Condition) -> UsageError:
    return UsageError(f"expected a measured quantity, received {condition.name!r}: no run has it.")
