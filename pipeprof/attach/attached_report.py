"""The report on a training that was observed from outside, as text for a terminal and as JSON."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.attach.attached_verdict import AttachedFindings, ThreadFinding
from pipeprof.report.names.verdict_names import VERDICT_STYLES, VERDICTS
from pipeprof.report.numbers import count, duration, percent
from pipeprof.report.one_run.attached_text import attached_sentence
from pipeprof.report.one_run.hot_line_table import hot_line_table
from pipeprof.report.plain_text import MISSING, clean, sentence, shorten, shown
from pipeprof.report.text_layout import (
    GAP,
    INDENT,
    Column,
    column_table,
    flow,
    indented,
    labelled,
    page,
)

LEAST_WIDTH = 40

_LABEL_WIDTH = 5
_MOST_ROWS = 10
_HOW_SURE = ((0.75, "very likely"), (0.6, "likely"), (0.0, "perhaps"))


def render_attached(
    found: AttachedFindings, *, width: int = 80, color: bool = False, ascii_only: bool = False
) -> str:
    """The report as text, without a line end after the last line.

    Args:
        found: the verdict and its evidence.
        width: columns of the screen, taken as at least `LEAST_WIDTH`.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows only ASCII.
    """
    width = max(width, LEAST_WIDTH)
    why = Text(f"{'Why':{_LABEL_WIDTH}}", "bold")
    following = Text(f"{'Next':{_LABEL_WIDTH}}", "bold")
    sections = (
        indented(Text("\n".join(flow(_heading(found, width), width - INDENT)))),
        labelled(
            Text(f"{VERDICTS[found.bound]} ", VERDICT_STYLES[found.bound]), [Text(_how_sure(found))]
        ),
        labelled(why, [Text(sentence(attached_sentence(each))) for each in found.evidence]),
        _lines(found, width),
        _threads(found, width),
        labelled(following, [Text("To measure it stage by stage: pipeprof run SCRIPT")]),
    )
    return page(sections, width=width, color=color, ascii_only=ascii_only)


def _heading(found: AttachedFindings, width: int) -> tuple[str, ...]:
    observation = found.observation
    command = observation.processes[0].command if observation.processes else ""
    return (
        shorten(f"process {observation.pid}: {clean(command)}", width - INDENT),
        count(len(observation.processes), "process"),
        count(len(observation.threads), "thread"),
        f"observed for {duration(observation.duration_ns / 1e6)} from outside",
    )


def _how_sure(found: AttachedFindings) -> str:
    if found.bound is Bound.UNKNOWN:
        return "no verdict is possible from outside"
    word = next(word for least, word in _HOW_SURE if found.confidence >= least)
    return f"{word} (confidence {percent(found.confidence)}: observed from outside, not measured)"


def _lines(found: AttachedFindings, width: int) -> RenderableType | None:
    lines = found.hot_lines
    if not lines:
        return None
    return hot_line_table("batches made at", lines, INDENT + _LABEL_WIDTH + GAP, width)


def _threads(found: AttachedFindings, width: int) -> RenderableType:
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
        Column(header="doing", cells=tuple(map(_activities, rows)), least=12),
    )
    return indented(column_table(columns, width - INDENT))


def _name(row: ThreadFinding) -> str:
    return f"{shown(row.name)} ({row.count})" if row.count > 1 else shown(row.name)


def _activities(row: ThreadFinding) -> str:
    return (
        ", ".join(f"{activity.value} {percent(share)}" for activity, share in row.activities[:3])
        or MISSING
    )


def render_attached_ranks(
    ranks: Sequence[tuple[int, AttachedFindings]],
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Ranks that train together, a row each, and the report on the one that most likely holds them up.

    Args:
        ranks: number and findings of each rank.
        width: columns of the screen, taken as at least `LEAST_WIDTH`.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows only ASCII.
    """
    room = max(width, LEAST_WIDTH) - INDENT
    worst = rank_at_fault(ranks)
    columns = (
        Column(header="rank", cells=tuple(f"{number:,}" for number, _ in ranks), right=True),
        Column(
            header="process",
            cells=tuple(str(found.observation.pid) for _, found in ranks),
            right=True,
        ),
        Column(
            header="verdict",
            cells=tuple(VERDICTS[found.bound] for _, found in ranks),
            styles=tuple(VERDICT_STYLES[found.bound] for _, found in ranks),
        ),
        Column(
            header="why",
            cells=tuple(shown(attached_sentence(found.evidence[0])) for _, found in ranks),
            least=20,
        ),
    )
    name = next(number for number, found in ranks if found is worst)
    table = page(
        (
            indented(column_table(columns, room)),
            indented(Text(f"Rank {name:,}{_why_shown(ranks)}:", "bold")),
        ),
        width=width,
        color=color,
        ascii_only=ascii_only,
    )
    report = render_attached(worst, width=width, color=color, ascii_only=ascii_only)
    return f"{table}\n\n{report}"


def _why_shown(ranks: Sequence[tuple[int, AttachedFindings]]) -> str:
    """Why one rank is reported in full. Where several wait, some wait only for the slowest of them."""
    waiting = sum(found.bound is Bound.INPUT for _, found in ranks)
    if waiting > 1:
        return f" ({waiting} ranks wait for data; which of them is late is not seen from outside)"
    return ", which the others most likely wait for" if waiting else ""


def rank_at_fault(ranks: Sequence[tuple[int, AttachedFindings]]) -> AttachedFindings:
    """The findings of the rank that seems to wait for its own data, the surest one; else the first's."""
    waiting = [found for _, found in ranks if found.bound is Bound.INPUT]
    return max(waiting, key=lambda found: found.confidence, default=ranks[0][1])


def attached_ranks_json(ranks: Sequence[tuple[int, AttachedFindings]]) -> str:
    """The reports on ranks that train together, as strict JSON."""
    report = {"format": 1, "ranks": [{"rank": number, **_report(found)} for number, found in ranks]}
    return json.dumps(report, indent=2, allow_nan=False)


def attached_json(found: AttachedFindings) -> str:
    """The report as strict JSON, indented; ratios are 0 to 1."""
    return json.dumps(_report(found), indent=2, allow_nan=False)


def _report(found: AttachedFindings) -> dict[str, Any]:
    observation = found.observation
    return {
        "format": 1,
        "pid": observation.pid,
        "watched_s": round(observation.duration_ns / 1e9, 3),
        "cores": observation.cores,
        "diagnosis": {
            "bound": found.bound.value,
            "confidence": round(found.confidence, 4),
            "evidence": list(map(attached_sentence, found.evidence)),
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
                "doing": {activity.value: round(share, 4) for activity, share in row.activities},
            }
            for row in found.threads
        ],
        "processes": [
            {
                "pid": process.pid,
                "command": process.command,
                "cpu_ratio": round(process.cpu_ns / max(observation.duration_ns, 1), 4),
            }
            for process in observation.processes
        ],
    }
