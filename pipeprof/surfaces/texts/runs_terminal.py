"""The runs of a log folder as a table for a terminal, a pipe or a log."""

from collections.abc import Sequence

from rich.text import Text

from pipeprof.report.plain_text import clean
from pipeprof.report.runs.runs_table import RUNS_COLUMNS, RunRow, runs_cells
from pipeprof.report.text_layout import INDENT, Column, column_table, indented, page
from pipeprof.surfaces.texts.terminal import LEAST_WIDTH


def render_runs(
    rows: Sequence[RunRow], *, width: int = 80, color: bool = False, ascii_only: bool = False
) -> str:
    """The table, without a line end after its last line; arguments as of `render_report`."""
    width = max(width, LEAST_WIDTH)
    readable = [row for row in rows if row.problem is None]
    problems = [f"{row.name} cannot be read: {row.problem}" for row in rows if row.problem]
    sections = [indented(Text(clean(problem))) for problem in problems]
    if readable:
        sections.insert(0, indented(column_table(_columns(readable), width - INDENT)))
    if not rows:
        sections.append(indented(Text("No run is like that.")))
    return page(sections, width=width, color=color, ascii_only=ascii_only)


def _columns(rows: Sequence[RunRow]) -> list[Column]:
    cells = [tuple(map(clean, runs_cells(row))) for row in rows]
    return [
        Column(
            header=header,
            cells=tuple(row[number] for row in cells),
            right=number > 1,
            least=12 if number == 0 else None,
        )
        for number, header in enumerate(RUNS_COLUMNS)
    ]
