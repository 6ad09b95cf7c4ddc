"""Runs beside each other as text for a terminal, a pipe or a log."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.analysis.comparing.gate import GateResult
from pipeprof.analysis.comparing.run_comparison import Comparison
from pipeprof.report.plain_text import clean, shorten
from pipeprof.report.runs.run_comparison_text import (
    COMPARED_COLUMNS,
    ComparedRow,
    Mark,
    compared_rows,
    names_of,
    noise_sentence,
    outcome_sentence,
    outcome_word,
    trouble_sentences,
    verdict_sentence,
    whole_sentences,
    work_sentences,
)
from pipeprof.report.text_layout import (
    INDENT,
    Column,
    column_table,
    indented,
    labelled,
    page,
)
from pipeprof.surfaces.texts.terminal import LEAST_WIDTH

_STYLES = {Mark.WORSE: "bold red", Mark.BETTER: "bold green", Mark.NOISE: "dim"}


def render_comparison(
    comparison: Comparison,
    outcomes: Sequence[GateResult] = (),
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """The comparison, without a line end after its last line.

    Args:
        comparison: the runs.
        outcomes: what became of the conditions of a gate.
        width: columns of the screen; fewer than `LEAST_WIDTH` count as that many.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows nothing but ASCII.
    """
    width = max(width, LEAST_WIDTH)
    sections = (
        _named("before", names_of(comparison.before)),
        _named("after", names_of(comparison.after)),
        _labelled("Note", trouble_sentences(comparison)),
        _labelled("Work", work_sentences(comparison)),
        indented(column_table(_columns(comparison), width - INDENT)),
        _labelled("So", [verdict_sentence(comparison), *whole_sentences(comparison)]),
        _gate(outcomes),
        indented(Text(noise_sentence(comparison), "dim")),
    )
    joined = Group(*(each for each in sections[:2] if each is not None))
    return page((joined, *sections[2:]), width=width, color=color, ascii_only=ascii_only)


def _named(label: str, names: str) -> RenderableType:
    return labelled(Text(f"{label:6}", "bold"), [Text(clean(names))])


def _labelled(label: str, sentences: Sequence[str]) -> RenderableType | None:
    if not sentences:
        return None
    return labelled(Text(f"{label:4}", "bold"), [Text(clean(each)) for each in sentences])


def _gate(outcomes: Sequence[GateResult]) -> RenderableType | None:
    if not outcomes:
        return None
    lines = []
    for outcome in outcomes:
        style = "bold red" if outcome.fails else "bold green"
        line = Text(f"{outcome_word(outcome)}  ", style)
        lines.append(line.append(clean(outcome_sentence(outcome)), "default"))
    return labelled(Text("Gate", "bold"), lines)


def _cells(row: ComparedRow) -> list[str]:
    """The texts of a row, each on one line; the name of a part is indented."""
    name, *others = map(clean, row.cells)
    return [f"  {name}" if row.is_part else name, *others]


def _columns(comparison: Comparison) -> list[Column]:
    rows = compared_rows(comparison)
    texts = [_cells(row) for row in rows]
    marks = tuple(_STYLES.get(row.mark, "") if row.mark else "" for row in rows)
    columns = []
    for number, header in enumerate(COMPARED_COLUMNS):
        last = number == len(COMPARED_COLUMNS) - 1
        columns.append(
            Column(
                header=header,
                cells=tuple(cells[number] for cells in texts),
                styles=marks if last else (),
                right=0 < number < len(COMPARED_COLUMNS) - 1,
                least=12 if number == 0 else None,
                shorten=shorten,
            )
        )
    return columns
