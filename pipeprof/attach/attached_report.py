"""What was seen of a training from outside, as text for a terminal and as JSON."""

import json
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeprof.analysis.verdict_kinds import Bound
from pipeprof.attach.attached_verdict import GlimpseFindings, ThreadFinding
from pipeprof.report.numbers import count, percent
from pipeprof.report.plain_text import clean
from pipeprof.report.sentences import sentence
from pipeprof.report.text_layout import (
    GAP,
    INDENT,
    MISSING,
    Column,
    column_table,
    flow,
    indented,
    labelled,
    page,
    shorten,
    shorten_location,
    shown,
)
from pipeprof.report.verdict_names import VERDICTS

LEAST_WIDTH = 40

_LABEL_WIDTH = 5
_MOST_ROWS = 10
_STYLES = {
    Bound.INPUT: "bold red",
    Bound.COMPUTE: "bold green",
    Bound.BALANCED: "bold yellow",
    Bound.UNKNOWN: "bold",
}
_HOW_SURE = ((0.75, "very likely"), (0.6, "likely"), (0.0, "perhaps"))


def render_glimpse(
    found: GlimpseFindings, *, width: int = 80, color: bool = False, ascii_only: bool = False
) -> str:
    """What is said of a training, without a line end after the last line.

    Args:
        found: what to say.
        width: columns of the screen; fewer than `LEAST_WIDTH` count as that many.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows nothing but ASCII.
    """
    width = max(width, LEAST_WIDTH)
    why = Text(f"{'Why':{_LABEL_WIDTH}}", "bold")
    following = Text(f"{'Next':{_LABEL_WIDTH}}", "bold")
    sections = (
        indented(Text("\n".join(flow(_heading(found, width), width - INDENT)))),
        labelled(Text(f"{VERDICTS[found.bound]} ", _STYLES[found.bound]), [Text(_how_sure(found))]),
        labelled(why, [Text(sentence(each)) for each in found.evidence]),
        _lines(found, width),
        _threads(found, width),
        labelled(following, [Text("To have it measured, stage by stage: pipeprof run SCRIPT")]),
    )
    return page(sections, width=width, color=color, ascii_only=ascii_only)


def _heading(found: GlimpseFindings, width: int) -> tuple[str, ...]:
    glimpse = found.glimpse
    command = glimpse.processes[0].command if glimpse.processes else ""
    return (
        shorten(f"process {glimpse.pid}: {clean(command)}", width - INDENT),
        count(len(glimpse.processes), "process"),
        count(len(glimpse.threads), "thread"),
        f"watched for {glimpse.duration_ns / 1e9:.1f} s from outside",
    )


def _how_sure(found: GlimpseFindings) -> str:
    if found.bound is Bound.UNKNOWN:
        return "this cannot be told from outside"
    word = next(word for least, word in _HOW_SURE if found.confidence >= least)
    return f"{word} (confidence {percent(found.confidence)}: seen from outside, not measured)"


def _lines(found: GlimpseFindings, width: int) -> RenderableType | None:
    lines = found.hot_lines
    if not lines:
        return None
    columns = (
        Column(
            header="batches made at",
            cells=tuple(shown(line.location.short) for line in lines),
            least=12,
            shorten=shorten_location,
        ),
        Column(header="share", cells=tuple(percent(line.share) for line in lines), right=True),
        Column(
            header="", cells=tuple(shown(line.text or line.function) for line in lines), least=12
        ),
    )
    left = INDENT + _LABEL_WIDTH + GAP
    return Padding(column_table(columns, width - left), (0, 0, 0, left))


def _threads(found: GlimpseFindings, width: int) -> RenderableType:
    rows = found.threads[:_MOST_ROWS]
    columns = (
        Column(header="Thread", cells=tuple(map(_name, rows)), least=12),
        Column(header="role", cells=tuple(row.role.value for row in rows)),
        Column(header="CPU", cells=tuple(percent(row.cpu_ratio) for row in rows), right=True),
        Column(
            header="GIL",
            cells=tuple(
                MISSING if row.gil_ratio is None else percent(row.gil_ratio) for row in rows
            ),
            right=True,
        ),
        Column(header="doing", cells=tuple(map(_doing, rows)), least=12),
    )
    return indented(column_table(columns, width - INDENT))


def _name(row: ThreadFinding) -> str:
    return f"{shown(row.name)} ({row.count})" if row.count > 1 else shown(row.name)


def _doing(row: ThreadFinding) -> str:
    said = ", ".join(f"{doing.value} {percent(share)}" for doing, share in row.doing[:3])
    return said or MISSING


def glimpse_json(found: GlimpseFindings) -> str:
    """The same as strict JSON, indented; ratios are 0 to 1."""
    glimpse = found.glimpse
    said: dict[str, Any] = {
        "format": 1,
        "pid": glimpse.pid,
        "watched_s": round(glimpse.duration_ns / 1e9, 3),
        "cores": glimpse.cores,
        "diagnosis": {
            "bound": found.bound.value,
            "confidence": round(found.confidence, 4),
            "evidence": list(found.evidence),
        },
        "hot_lines": [
            {
                "location": str(line.location),
                "function": line.function,
                "text": line.text,
                "share": round(line.share, 4),
            }
            for line in found.hot_lines
        ],
        "threads": [
            {
                "name": row.name,
                "role": row.role.value,
                "count": row.count,
                "cpu_ratio": round(row.cpu_ratio, 4),
                "queued_ratio": round(row.queued_ratio, 4),
                "gil_ratio": None if row.gil_ratio is None else round(row.gil_ratio, 4),
                "doing": {doing.value: round(share, 4) for doing, share in row.doing},
            }
            for row in found.threads
        ],
        "processes": [
            {
                "pid": process.pid,
                "command": process.command,
                "cpu_ratio": round(process.cpu_ns / max(glimpse.duration_ns, 1), 4),
            }
            for process in glimpse.processes
        ],
    }
    return json.dumps(said, indent=2, allow_nan=False)
