"""What a stream can show, and reports written to it accordingly."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

from rich.console import Console

from pipeprof.analysis.findings import Findings
from pipeprof.surfaces.terminal import render_report, render_side_by_side

_BEYOND_ASCII = "…·\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What a stream can show; the names are those of the renderers' arguments.

    Attributes:
        width: its columns.
        color: whether it shows ANSI colours; not in a pipe, nor where ``NO_COLOR`` is set.
        ascii_only: whether its encoding knows nothing but ASCII.
    """

    width: int
    color: bool
    ascii_only: bool

    @classmethod
    def of(cls, stream: TextIO) -> "Screen":
        """What this stream can show."""
        console = Console(file=stream)
        return cls(
            width=console.width,
            color=console.color_system is not None and not console.no_color,
            ascii_only=not _encodes(stream),
        )


def _encodes(stream: TextIO) -> bool:
    try:
        _BEYOND_ASCII.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def write_report(findings: Findings, stream: TextIO) -> None:
    """Writes the report on one run."""
    stream.write(render_report(findings, **asdict(Screen.of(stream))) + "\n")


def write_side_by_side(named: Sequence[tuple[str, Findings]], stream: TextIO) -> None:
    """Writes several runs as one table."""
    stream.write(render_side_by_side(named, **asdict(Screen.of(stream))) + "\n")
