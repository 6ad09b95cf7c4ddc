"""The stages of an input as a table of text: what each costs, how parallel it is, where it ran."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.analysis.findings.findings import Bottleneck, StageFinding
from pipeprof.recording.stage import Stage
from pipeprof.report.names.stage_labels import (
    ESTIMATED_FROM,
    added_by,
    as_it_runs,
    distinct_names,
    ran_on,
    stage_cost,
    where,
    worth_a_row,
)
from pipeprof.report.numbers import count, duration, few_digits, level, percent
from pipeprof.report.plain_text import MISSING, shorten_location, shown
from pipeprof.report.text_layout import INDENT, Column, cells, column_table, flow, indented

MOST_STAGES = 12


def stage_table(
    stages: Sequence[StageFinding], slowest: Bottleneck | None, width: int
) -> RenderableType | None:
    """A row for each of the dearest stages, in their order; ``slowest`` is marked."""
    if not stages:
        return None
    listed, minor = worth_a_row(stages, slowest)
    by_cost = sorted(listed, key=lambda found: found.cost_ms, reverse=True)
    dearest = {found.index for found in by_cost[:MOST_STAGES]}
    rows = [found for found in listed if found.index in dearest]
    table = column_table(_stage_columns(rows, slowest), width)
    notes = _running_lines([found.stage for found in rows], width - INDENT)
    if any(found.estimated_ratio >= ESTIMATED_FROM for found in rows):
        notes.append("about: in part estimated, where tf.data kept no count of it")
    left_out = by_cost[MOST_STAGES:]
    folded = ((left_out, ""), (minor, f" ({added_by(minor)})"))
    notes[:0] = [_in_a_line(stages, whose) for stages, whose in folded if stages]
    return Group(table, *(indented(Text(note, "dim")) for note in notes))


def _in_a_line(stages: Sequence[StageFinding], whose: str) -> str:
    cost = duration(sum(found.cost_ms for found in stages))
    return f"and {count(len(stages), 'more stage')}{whose}, {cost} of work per step in all"


def _running_lines(stages: Sequence[Stage], width: int) -> list[str]:
    """What tf.data made of what was written, where that is something else."""
    different = dict.fromkeys(map(as_it_runs, stages))
    pieces = [shown(piece) for piece in different if piece is not None]
    return flow((f"tf.data runs {pieces[0]}", *pieces[1:]), width) if pieces else []


def _stage_columns(stages: Sequence[StageFinding], slowest: Bottleneck | None) -> list[Column]:
    marked = [slowest is not None and found.index == slowest.index for found in stages]
    names = [
        f"{'> ' if mark else '  '}{shown(name)}"
        for mark, name in zip(marked, distinct_names(stages), strict=True)
    ]
    columns = (
        Column(header="  Stage", cells=tuple(names), least=12),
        Column(
            header="where",
            cells=cells(where(found.stage) for found in stages),
            least=12,
            shorten=shorten_location,
        ),
        Column(
            header="work/step",
            cells=tuple(map(stage_cost, stages)),
            right=True,
        ),
        Column(header="parallel", cells=cells(map(_parallel, stages))),
        Column(header="buffer", cells=cells(map(_buffer, stages))),
        Column(header="CPU", cells=cells(map(_cpu, stages)), right=True),
        Column(header="ran on", cells=cells(map(_lanes, stages)), least=8),
    )
    styles = tuple("bold" if mark else "" for mark in marked)
    return [replace(column, styles=styles) for column in columns if set(column.cells) != {MISSING}]


def _parallel(found: StageFinding) -> str | None:
    if found.parallelism is None:
        return None
    return f"{few_digits(found.parallelism)}{' auto' if found.autotuned else ''}"


def _buffer(found: StageFinding) -> str | None:
    if found.buffer_mean is None:
        return None
    size = "" if found.buffer_size is None else f"/{found.buffer_size}"
    return f"{level(found.buffer_mean)}{size}"


def _cpu(found: StageFinding) -> str | None:
    return None if found.cpu_ratio is None else percent(found.cpu_ratio)


def _lanes(found: StageFinding) -> str | None:
    lanes = ran_on(found.lanes)
    return lanes.replace("TensorFlow thread", "TF thread") if lanes else None
