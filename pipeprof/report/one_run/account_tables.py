"""Tables of text beside the account: the places of the host's time, and the loops of a run."""

from collections.abc import Sequence

from rich.console import RenderableType

from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.headings import Heading, Holds
from pipeprof.report.numbers import duration, percent_within
from pipeprof.report.one_run.host_rows import HOST_COLUMNS, HostRow, host_rows
from pipeprof.report.one_run.loop_rows import LOOP_COLUMNS, loop_rows
from pipeprof.report.plain_text import MISSING, shorten_location
from pipeprof.report.text_layout import Column, cells, column_table

MOST_PLACES = 8
MOST_LOOPS = 6


def host_table(findings: Findings, width: int) -> RenderableType | None:
    """The dearest places of the host's time; None where the host takes little.

    None too where no place of the user's is among them: the account has the rest.
    """
    rows = host_rows(findings)[:MOST_PLACES]
    if all(row.name is None or row.framework for row in rows):
        return None
    return _table(HOST_COLUMNS, [host_cells(row) for row in rows], width)


def host_cells(row: HostRow) -> tuple[str | None, ...]:
    """Texts of a row, one for each of `HOST_COLUMNS`."""
    return (
        row.label,
        row.location.short if row.location else None,
        None if row.calls is None else f"{row.calls:,}",
        duration(row.ns / 1e6),
        percent_within(row.ratio, row.error),
    )


def loop_table(findings: Findings, width: int) -> RenderableType | None:
    """The loops of a run; None where the main one is alone."""
    rows = loop_rows(findings, MOST_LOOPS)
    return _table(LOOP_COLUMNS, [row.cells for row in rows], width) if rows else None


def _table(
    headings: Sequence[Heading], rows: Sequence[tuple[str | None, ...]], width: int
) -> RenderableType:
    columns = []
    for number, heading in enumerate(headings):
        title = f"  {heading.title.capitalize()}" if number == 0 else heading.title
        texts = cells(row[number] for row in rows)
        if number == 0:
            texts = tuple(f"  {text}" for text in texts)
        elif set(texts) == {MISSING}:
            continue
        columns.append(_column(title, texts, heading.holds))
    return column_table(columns, width)


def _column(title: str, texts: tuple[str, ...], holds: Holds) -> Column:
    match holds:
        case Holds.NAME:
            return Column(header=title, cells=texts, least=18)
        case Holds.PLACE:
            return Column(header=title, cells=texts, least=12, shorten=shorten_location)
        case Holds.NUMBER:
            return Column(header=title, cells=texts, right=True)
        case Holds.TEXT:
            return Column(header=title, cells=texts)
