"""The runs of a log folder as a table: one row a run, sorted and filtered by what was measured."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO

from pipeprof.analysis.comparing.run_summary import flat_summary
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.errors import UsageError
from pipeprof.recording.account import Part
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import duration, percent, rate, wait_percent
from pipeprof.report.one_run.run_facts import started
from pipeprof.report.plain_text import MISSING

_TEXTS = ("name", "bound", "started", "backend", "input")
_OTHERS_NAMED = 20
_FILTER = re.compile(r"\s*(?P<name>[^<>=]+?)\s*(?P<sign>[<>=])\s*(?P<value>.+?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsColumn:
    """A column of the table.

    Attributes:
        header: its heading.
        key: the name of the text or number that it shows, by which rows are sorted and filtered.
        meaning: what it shows, in a few words.
    """

    header: str
    key: str
    meaning: str


COLUMNS = (
    RunsColumn(header="run", key="name", meaning="name of the run"),
    RunsColumn(header="verdict", key="bound", meaning="what the training waits for"),
    RunsColumn(header="steps", key="steps", meaning="steps of the training"),
    RunsColumn(header="step", key="step_ms", meaning="mean time of a step"),
    RunsColumn(header="wait/step", key="wait_ms", meaning="mean wait for data in a step"),
    RunsColumn(
        header="waiting",
        key="wall_wait_ratio",
        meaning="waiting for data, as a part of the training's time",
    ),
    RunsColumn(
        header="host",
        key="wall_host_ratio",
        meaning="callbacks and other Python code, as a part of the training's time",
    ),
    RunsColumn(
        header="samples/s", key="samples_per_s", meaning="samples a second, over the whole training"
    ),
)
RUNS_COLUMNS = tuple(column.header for column in COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run of a log folder.

    Attributes:
        name: its name.
        texts: what is not a number: ``name``, ``bound``, ``started``, ``backend``, ``input``.
        numbers: its flat summary; empty where it cannot be read.
        problem: why it cannot be read, or None.
    """

    name: str
    texts: Mapping[str, str]
    numbers: Mapping[str, float]
    problem: str | None = None


def run_row(name: str, findings: Findings) -> RunRow:
    """The row of a run that was read."""
    run, main = findings.profile.run, findings.main
    began = started(run)
    kind = main.loop.input.kind if main is not None else None
    texts = {
        "name": name,
        "bound": (main.diagnosis.bound if main is not None else Bound.UNKNOWN).value,
        "started": began.strftime("%Y-%m-%dT%H:%M:%SZ") if began else "",
        "backend": run.backend or "",
        "input": kind.value if kind is not None else "",
    }
    return RunRow(name=name, texts=texts, numbers=flat_summary(findings))


def account_shares(row: RunRow) -> tuple[tuple[Part, float], ...]:
    """The parts of the main loop's time that are more than nothing, as ratios of it, in their order."""
    shares = ((part, row.numbers.get(f"account/{part.value}/ratio", 0.0)) for part in Part)
    return tuple((part, ratio) for part, ratio in shares if ratio > 0)


def unreadable_row(name: str, problem: str) -> RunRow:
    """The row of a run that cannot be read."""
    texts = {"name": name, "bound": "unreadable"}
    return RunRow(name=name, texts=texts, numbers={}, problem=problem)


def chosen_rows(
    rows: Iterable[RunRow], conditions: Sequence[str], order: str | None
) -> list[RunRow]:
    """The rows for which all conditions hold, in an order.

    Args:
        rows: all rows.
        conditions: such as ``bound=input``, ``step_ms>10`` or ``account/wait/ratio<0.2``.
        order: name of a number or text to sort by, the least first, or the greatest with ``-`` before it;
            rows without it come last. None keeps the order.

    Raises:
        UsageError: no run has what a condition or the order names, or a condition is none.
    """
    found = list(rows)
    known = sorted({*_TEXTS, *(name for row in found for name in row.numbers)})
    for condition in conditions:
        found = [row for row in found if _holds(row, condition, known)]
    if order is None:
        return found
    name = order.removeprefix("-")
    _require_known(name, known)
    having = [row for row in found if name in row.numbers or name in row.texts]
    having.sort(
        key=lambda row: (row.numbers.get(name, 0.0), row.texts.get(name, "")),
        reverse=order.startswith("-"),
    )
    return having + [row for row in found if row not in having]


def _holds(row: RunRow, condition: str, known: Sequence[str]) -> bool:
    match = _FILTER.fullmatch(condition)
    if match is None:
        raise UsageError(
            f"expected a condition such as 'bound=input' or 'step_ms>10', received {condition!r}."
        )
    name, sign, value = match["name"], match["sign"], match["value"]
    _require_known(name, known)
    if name in _TEXTS:
        if sign != "=":
            raise UsageError(
                f"expected '=' behind {name}, which is a text, received {condition!r}."
            )
        return row.texts.get(name) == value
    try:
        limit = float(value)
    except ValueError:
        raise UsageError(
            f"expected a number behind {name}, received {value!r} in {condition!r}."
        ) from None
    number = row.numbers.get(name)
    if number is None:
        return False
    return number > limit if sign == ">" else number < limit if sign == "<" else number == limit


def _require_known(name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    usual = [column.key for column in COLUMNS]
    others = [each for each in known if each not in usual]
    more = f" and {len(others) - _OTHERS_NAMED} more" if len(others) > _OTHERS_NAMED else ""
    raise UsageError(
        f"expected the name of something that the runs have, received {name!r}: "
        f"{', '.join([*usual, *others[:_OTHERS_NAMED]])}{more} (pipeprof export --csv has all)."
    )


def runs_cells(row: RunRow) -> tuple[str, ...]:
    """The texts of a run that was read, one for each of `RUNS_COLUMNS`."""
    numbers = row.numbers

    def shown(name: str, write: Callable[[float], str]) -> str:
        return write(numbers[name]) if name in numbers else MISSING

    return (
        row.name,
        VERDICTS[Bound(row.texts["bound"])],
        shown("steps", "{:,.0f}".format),
        shown("step_ms", duration),
        shown("wait_ms", duration),
        shown("wall_wait_ratio", wait_percent),
        shown("wall_host_ratio", percent),
        shown("samples_per_s", rate),
    )


def runs_csv(rows: Sequence[RunRow]) -> str:
    """All texts and numbers of runs as CSV, with a line of names first."""
    names = list(dict.fromkeys(name for row in rows for name in row.numbers))
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_TEXTS, *names])
    for row in rows:
        texts = [_safe(row.texts.get(name, "")) for name in _TEXTS]
        writer.writerow([*texts, *(row.numbers.get(name, "") for name in names)])
    return stream.getvalue()


def _safe(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
