"""What a picture is: data that plotly.js draws, a caption, and a table of its values.

Plotly itself is not imported: its data are dictionaries and lists, which tests have Plotly check.
"""

import html
from collections.abc import Iterator
from dataclasses import asdict, field
from typing import Any

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.report.plain_text import clean

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under headings; what a picture shows, for those who cannot see it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One state of a picture; a reader chooses between them by name.

    Attributes:
        name: what is chosen by (``slowest step``).
        caption: what is to be seen, in a sentence or two of plain text.
        traces: Plotly's traces.
        layout: Plotly's layout, without colours of the page (`theme.TEMPLATES` has them).
        table: what the picture shows, as text.
        start_ms: where a stretch of time that is shown begins, from the run's start, or None.
        end_ms: where it ends, or None.
    """

    name: str
    caption: str
    traces: tuple[Json, ...]
    layout: Json
    table: Table
    start_ms: float | None = None
    end_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture.

    Attributes:
        key: one word for programs (``steps``).
        title: its heading.
        choice: what its views differ in (``Time range``); shown where there are several.
        views: at least one.
    """

    key: str
    title: str
    choice: str = ""
    views: tuple[View, ...] = field(default_factory=tuple)


def to_plain(figure: Figure) -> Json:
    """The figure as JSON knows it."""
    return asdict(figure)


def short(text: str, width: int = 40) -> str:
    """A name from the run, fit for a screen and not endless."""
    plain = clean(text)
    return f"{plain[: width - 1]}…" if len(plain) > width else plain


def label(text: str, width: int = 40) -> str:
    """A name for Plotly, cut to fit and without the markup that Plotly takes in texts."""
    return html.escape(short(text, width), quote=False)


def stacked(panels: int, gap: float = 0.12) -> Iterator[tuple[float, float]]:
    """The vertical stretch of each of several panels below each other, the uppermost first."""
    height = (1 - gap * (panels - 1)) / panels
    for number in range(panels):
        top = 1 - number * (height + gap)
        yield max(top - height, 0.0), top
