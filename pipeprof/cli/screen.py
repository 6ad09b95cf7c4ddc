"""Writes reports to a stream in a form that the stream can show."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from rich.console import Console

from pipeprof.analysis.comparing.classic_answers import ClassicAnswer
from pipeprof.analysis.comparing.gate import GateResult
from pipeprof.analysis.comparing.run_comparison import Comparison
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.tuning_outcome import TuningOutcome
from pipeprof.report.runs.runs_table import RunRow
from pipeprof.surfaces.texts.terminal import render_report, render_side_by_side

_BEYOND_ASCII = "…·\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What a stream can show. The attributes are named as the arguments of the renderers.

    Attributes:
        width: columns.
        color: whether to write ANSI colours; False for a pipe, and where ``NO_COLOR`` is set.
        ascii_only: whether its encoding has only ASCII characters.
    """

    width: int
    color: bool
    ascii_only: bool

    @classmethod
    def of(cls, stream: TextIO) -> "Screen":
        """The abilities of a stream."""
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
    """Writes a table that compares several runs."""
    stream.write(render_side_by_side(named, **asdict(Screen.of(stream))) + "\n")


def read_script(script: Path) -> str:
    """A script's text, with the ends of lines that it has."""
    return script.read_bytes().decode(errors="replace")


def write_tuning(outcome: TuningOutcome, stream: TextIO, script: Path | None) -> None:
    """Writes what tuning found; the changes of a script as a diff, where its lines are plain enough."""
    from pipeprof.surfaces.texts.tuning_screen import render_tuning

    source = None if script is None else read_script(script)
    text = render_tuning(outcome, source=source, file=str(script), **asdict(Screen.of(stream)))
    stream.write(text + "\n")


def write_comparison(
    comparison: Comparison, outcomes: Sequence[GateResult], stream: TextIO
) -> None:
    """Writes runs side by side, with what became of a gate's conditions."""
    from pipeprof.surfaces.texts.compared_terminal import render_comparison

    text = render_comparison(comparison, outcomes, **asdict(Screen.of(stream)))
    stream.write(text + "\n")


def write_runs(rows: Sequence[RunRow], stream: TextIO) -> None:
    """Writes a table of runs."""
    from pipeprof.surfaces.texts.runs_terminal import render_runs

    stream.write(render_runs(rows, **asdict(Screen.of(stream))) + "\n")


def write_answers(answers: Sequence[ClassicAnswer], stream: TextIO) -> None:
    """Writes questions with their measured answers."""
    from pipeprof.surfaces.texts.classic_terminal import render_answers

    stream.write(render_answers(answers, **asdict(Screen.of(stream))) + "\n")
