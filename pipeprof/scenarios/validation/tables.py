"""The tables of a validation: confusion of bounds and causes, and errors. Text in Markdown."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.scenarios.validation.checking.report_check import Agreement, Point, ReportCheck

# Points that are numbers, and how their errors are written.
NUMBERS = (
    ((Point.COST,), "costs", "%"),
    ((Point.SHARE,), "shares", "points"),
    ((Point.WAIT,), "waits against the script's own clock", "%"),
    ((Point.WALL_WAIT, Point.WALL_HOST), "ratios of wall time", "points"),
    ((Point.IDEAL_STEP,), "ideal step against the ceiling", "%"),
)

# The other points.
NAMES = (
    (Point.BOUND, "bound"),
    (Point.CAUSE, "cause"),
    (Point.BOTTLENECK, "bottleneck, or that there is none"),
    (Point.BOTTLENECK_LINE, "its line"),
    (Point.BOTTLENECK_KIND, "its kind, where it is no function"),
    (Point.NAME, "names of what the host does"),
    (Point.LINE, "its lines"),
    (Point.LOOPS, "loops"),
    (Point.STEPS, "steps"),
    (Point.EPOCHS, "epochs"),
    (Point.ACCOUNT, "accounts that add up"),
    (Point.HELD_UP, "held up by its input, or not"),
    (Point.ADVICE, "advice"),
    (Point.REMARK, "remarks"),
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
    blocks = [_confusion(point, checks) for point in (Point.BOUND, Point.CAUSE)]
    return "\n\n".join([_sum(results), *blocks, _names(checks), _errors(checks)])


def _confusion(point: Point, checks: Iterable[ReportCheck]) -> str:
    """Rows: what is true; columns: what the reports have."""
    pairs: Counter[tuple[str, str]] = Counter()
    for check in checks:
        if check.point is point and isinstance(check.expected, tuple):
            is_right = check.outcome is Agreement.RIGHT
            found = "missing" if check.outcome is Agreement.MISSING else str(check.found)
            pairs[found if is_right else str(check.expected[0]), found] += 1
    names = sorted({name for pair in pairs for name in pair})
    rows = ([row, *(str(pairs[row, column] or "·") for column in names)] for row in names)
    return markdown_table([f"{point.value}: true \\ found", *names], rows)


def _names(checks: Sequence[ReportCheck]) -> str:
    """How often what is no number was right."""
    rows = []
    for point, what in NAMES:
        of_kind = [check for check in checks if check.point is point]
        right = sum(check.outcome is Agreement.RIGHT for check in of_kind)
        rows.append([what, str(len(of_kind)), str(right)])
    return markdown_table(["what", "compared", "right"], rows)


def _errors(checks: Sequence[ReportCheck]) -> str:
    return markdown_table(
        ["what", "compared", "right", "missing", "median error", "90 % within", "largest"],
        (_error_row(points, what, unit, checks) for points, what, unit in NUMBERS),
    )


def _error_row(
    points: Sequence[Point], what: str, unit: str, checks: Iterable[ReportCheck]
) -> list[str]:
    of_kind = [check for check in checks if check.point in points]
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
