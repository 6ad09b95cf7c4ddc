"""The lines that take the time, as a table for a terminal."""

from collections.abc import Sequence

from rich.padding import Padding

from pipeprof.analysis.findings.findings import HotLine
from pipeprof.report.numbers import percent
from pipeprof.report.plain_text import shorten_location, shown
from pipeprof.report.text_layout import Column, column_table


def hot_line_table(header: str, lines: Sequence[HotLine], left: int, width: int) -> Padding:
    """The table.

    Args:
        header: what the lines are.
        lines: dearest first. Of a line whose text could not be read, the function is shown.
        left: columns of the screen to leave free on its left.
        width: columns of the screen.
    """
    columns = (
        Column(
            header=header,
            cells=tuple(shown(line.location.short) for line in lines),
            least=12,
            shorten=shorten_location,
        ),
        Column(header="share", cells=tuple(percent(line.share) for line in lines), right=True),
        Column(
            header="", cells=tuple(shown(line.text or line.function) for line in lines), least=12
        ),
    )
    return Padding(column_table(columns, width - left), (0, 0, 0, left))
