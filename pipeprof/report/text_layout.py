"""Layout of plain text: pieces that flow, labelled paragraphs, tables whose columns shrink, pages.

Nothing but a line of code is ever wider than the page. Knows nothing of findings.
"""

from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.report.plain_text import MISSING, shorten, shown

INDENT = 2
GAP = 2
BETWEEN = " · "

_ASCII = {"…": "~", "·": "|", MISSING: "-", "█": "#", "◆": "o", "┊": "|"}


def cells(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Texts of a table's column; None is shown as missing."""
    return tuple(MISSING if text is None else shown(text) for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        header: its title.
        cells: one text a row.
        styles: one rich style a row, or none at all.
        right: whether it is set flush right, as numbers are.
        least: to how many cells it may shrink; None when it keeps its width.
        shorten: how a text in it is made shorter.
    """

    header: str
    cells: tuple[str, ...]
    styles: tuple[str, ...] = ()
    right: bool = False
    least: int | None = None
    shorten: Callable[[str, int], str] = shorten

    @property
    def width(self) -> int:
        """The width at which nothing of it is cut."""
        return max(cell_len(text) for text in (self.header, *self.cells))

    @property
    def least_width(self) -> int:
        """The width below which it is not worth showing."""
        return self.width if self.least is None else min(self.least, self.width)


def column_table(columns: Sequence[Column], width: int) -> Table:
    """A table that is at most ``width`` wide.

    Where there is no room, the rightmost columns are left out until the rest can shrink enough; then
    gaps become narrower, and at last columns shrink, the widest first.
    """
    kept = list(columns)
    while _total((column.least_width for column in kept), 1) > width:
        kept.pop()
    gap = GAP if _total((column.width for column in kept), GAP) <= width else 1
    widths = _fit(kept, width, gap)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    for column, room in zip(kept, widths, strict=True):
        table.add_column(
            Text(column.shorten(column.header, room)),
            justify="right" if column.right else "left",
            width=room,
            no_wrap=True,
        )
    for row in range(len(columns[0].cells)):
        pairs = zip(kept, widths, strict=True)
        table.add_row(*(_cell(column, row, room) for column, room in pairs))
    return table


def _cell(column: Column, row: int, width: int) -> Text:
    style = column.styles[row] if column.styles else ""
    return Text(column.shorten(column.cells[row], width), style)


def _total(widths: Iterable[int], gap: int) -> int:
    return sum(width + gap for width in widths) - gap


def _fit(columns: Sequence[Column], width: int, gap: int) -> list[int]:
    widths = [column.width for column in columns]
    while _total(widths, gap) > width:
        shrinkable = [
            place for place, column in enumerate(columns) if widths[place] > column.least_width
        ]
        widths[max(shrinkable, key=widths.__getitem__)] -= 1
    return widths


def flow(pieces: Iterable[str], width: int) -> list[str]:
    """Pieces in as few lines as hold them, each line with as many as fit."""
    lines: list[str] = []
    for piece in pieces:
        if lines and cell_len(f"{lines[-1]}{BETWEEN}{piece}") <= width:
            lines[-1] += f"{BETWEEN}{piece}"
        else:
            lines.append(piece)
    return lines


def code_block(text: str, style: str = "") -> Text:
    """A line of code: it stays whole, so that it can be pasted however wide the page is."""
    return Text(text, style, no_wrap=True, overflow="ignore")


def labelled(label: Text, lines: Iterable[Text]) -> RenderableType:
    """Paragraphs, and lines of `code_block`, that hang beside a label."""
    beside = cell_len(label.plain)
    parts: list[RenderableType] = []
    for is_code, run in groupby(lines, key=lambda line: bool(line.no_wrap)):
        if is_code:  # a table would cut it
            margin = " " * (INDENT + beside + GAP)
            parts += [code_block(margin).append_text(line) for line in run]
            continue
        grid = Table.grid(padding=(0, GAP, 0, 0))
        grid.add_column(no_wrap=True, min_width=beside)
        grid.add_column(overflow="fold")
        for number, line in enumerate(run):
            grid.add_row(Text() if number or parts else label, line)
        parts.append(indented(grid))
    return Group(*parts)


def indented(content: RenderableType) -> RenderableType:
    """Content that keeps off the left edge."""
    return Padding(content, (0, 0, 0, INDENT))


def page(
    sections: Iterable[RenderableType | None], *, width: int, color: bool, ascii_only: bool
) -> str:
    """Sections with an empty line between them, without a line end after the last line."""
    stream = StringIO()
    console = Console(
        file=stream,
        width=width,
        color_system="standard" if color else None,
        force_terminal=color,
        force_jupyter=False,
        no_color=not color,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    for number, section in enumerate(each for each in sections if each is not None):
        if number:
            console.print()
        console.print(section, crop=False)
    text = "\n".join(line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n"))
    return "".join(map(_ascii, text)) if ascii_only else text


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    return _ASCII.get(character, "?" * cell_len(character))
