"""The tables of a validation: confusion of bounds and causes, and errors. Text in Markdown."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeprof.scenarios.validation.outcome import Agreement, ReportCheck

# What the names of checks begin with, and how their errors are written.
NUMBERS = (
    ("cost of ", "costs", "%"),
    ("share of ", "shares", "points"),
    ("wait of a step", "waits against the script's own clock", "%"),
    ("wall_", "ratios of wall time", "points"),
    ("ideal step", "ideal step against the ceiling", "%"),
)


# What the names of the other checks begin with.
NAMES = (
    ("bound", "bound"),
    ("cause", "cause"),
    ("bottleneck", "bottleneck, or that there is none"),
    ("line of bottleneck", "its line"),
    ("kind of bottleneck", "its kind, where it is no function"),
    ("name of ", "names of what the host does"),
    ("line of ", "its lines"),
    ("loops of ", "loops"),
    ("steps of ", "steps"),
    ("epochs of ", "epochs"),
    ("account", "accounts that add up"),
    ("held up", "held up by its input, or not"),
    ("advice", "advice"),
    ("remark", "remarks"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run of a planted training.

    Attributes:
        name: of the training.
        round: in which it ran, from 1.
        checks: of its report; empty if it failed.
        failure: why there is no report, if there is none.
    """

    name: str
    round: int
    checks: tuple[ReportCheck, ...] = ()
    failure: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return self.failure is None and not self.differing

    @property
    def differing(self) -> tuple[ReportCheck, ...]:
        """What is wrong or missing."""
        return tuple(check for check in self.checks if check.outcome is not Agreement.RIGHT)


def line_of(result: Result) -> str:
    """The line of one run: what differs, what is missing last and by name only."""
    if result.failure is not None:
        return f"FAILED  {result.name}: {result.failure}"
    if result.is_right:
        return f"ok      {result.name}: {len(result.checks)} checks"
    wrong = [str(check) for check in result.differing if check.outcome is Agreement.WRONG]
    missing = [check.what for check in result.differing if check.outcome is Agreement.MISSING]
    if missing:
        wrong.append(f"missing: {', '.join(missing)}")
    return f"differs {result.name}: {'; '.join(wrong)}"


def render_tables(results: Sequence[Result]) -> str:
    """All tables of a validation."""
    checks = [check for result in results for check in result.checks]
    blocks = [_confusion(what, checks) for what in ("bound", "cause")]
    return "\n\n".join([_sum(results), *blocks, _names(checks), _errors(checks)])


def _confusion(what: str, checks: Iterable[ReportCheck]) -> str:
    """Rows: what is true; columns: what the reports have."""
    pairs: Counter[tuple[str, str]] = Counter()
    for check in checks:
        if check.what == what and isinstance(check.expected, tuple):
            is_right = check.outcome is Agreement.RIGHT
            found = "missing" if check.outcome is Agreement.MISSING else str(check.found)
            pairs[found if is_right else str(check.expected[0]), found] += 1
    names = sorted({name for pair in pairs for name in pair})
    rows = ([row, *(str(pairs[row, column] or "·") for column in names)] for row in names)
    return markdown_table([f"{what}: true \\ found", *names], rows)


def _names(checks: Sequence[ReportCheck]) -> str:
    """How often what is no number was right; a check counts in the row of its longest beginning."""
    rows = []
    for prefix, what in NAMES:
        of_kind = [check for check in checks if _row_of(check) == prefix]
        right = sum(check.outcome is Agreement.RIGHT for check in of_kind)
        rows.append([what, str(len(of_kind)), str(right)])
    return markdown_table(["what", "compared", "right"], rows)


def _row_of(check: ReportCheck) -> str | None:
    fitting = [prefix for prefix, _ in NAMES if check.what.startswith(prefix)]
    return max(fitting, key=len, default=None)


def _errors(checks: Sequence[ReportCheck]) -> str:
    return markdown_table(
        ["what", "compared", "right", "missing", "median error", "90 % within", "largest"],
        (_error_row(prefix, what, unit, checks) for prefix, what, unit in NUMBERS),
    )


def _error_row(prefix: str, what: str, unit: str, checks: Iterable[ReportCheck]) -> list[str]:
    of_kind = [check for check in checks if check.what.startswith(prefix)]
    right = sum(check.outcome is Agreement.RIGHT for check in of_kind)
    missing = sum(check.outcome is Agreement.MISSING for check in of_kind)
    errors = sorted(abs(check.error) for check in of_kind if check.error is not None)
    spread = ["", "", ""]
    if errors:
        ninety = errors[min(len(errors) - 1, int(0.9 * len(errors)))]
        numbers = (statistics.median(errors), ninety, errors[-1])
        spread = [f"{100 * number:.1f} {unit}" for number in numbers]
    return [what, str(len(of_kind)), str(right), str(missing), *spread]


def _sum(results: Sequence[Result]) -> str:
    names = {result.name for result in results}
    always = names - {result.name for result in results if not result.is_right}
    return (
        f"{len(always)} of {len(names)} trainings right in all points"
        f"{'' if len(results) == len(names) else ' and all rounds'}."
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""

    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines())
