"""The pipeline as a graph from its sources down to the training, each stage with what it costs."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.findings import Bottleneck, Findings, LoopFinding, StageFinding
from pipeprof.report.figures.figure import Figure, Json, Table, View, label, short
from pipeprof.report.figures.flow import Flow, lay_out
from pipeprof.report.figures.stage_text import (
    buffer_fill,
    calls_at_once,
    elements_of,
    explain,
    notes_below,
)
from pipeprof.report.figures.theme import COMPUTE, INPUT, LINE, OTHER, WAIT
from pipeprof.report.names.stage_labels import (
    added_by,
    name_with_copies,
    ran_on,
    runs_as,
    where,
    worth_a_row,
)
from pipeprof.report.numbers import count, duration, percent

MOST_ROWS = 28
MOST_TABLE_ROWS = 300

_ROW_PX = 44
_MOST_COLUMNS = 8
_BAR_HEIGHT = 0.55

# The graph and its labels take so much of the width; on a narrow page that is so many pixels, into
# which labels have to fit at this many pixels for a letter.
_GRAPH_END = 0.44
_BARS_START = 0.46
_GRAPH_WIDTH = 12.5
_GRAPH_PX = 300
_LABELS_PX = _GRAPH_PX - 30
_NAME_PX = 7.4
_NOTE_PX = 5.9
_NONE = "\N{EN DASH}"

_NAMES = ("written as", "runs as")
_REST = ("work per step", "at once", "buffer", "elements", "on a CPU", "ran on")
_COLUMNS = ("stage", "where", *_NAMES, *_REST)
_WITHOUT_NAMES = ("stage", "where", *_REST)


def pipeline_figure(findings: Findings) -> Figure | None:
    """The stages of the main loop; None where none was seen."""
    main, stages = findings.main, findings.stages
    if main is None or not stages:
        return None
    slowest = main.diagnosis.bottleneck
    flow = lay_out(stages, findings.profile.stages, MOST_ROWS)
    view = View(
        name="",
        caption=" ".join(_caption(flow, slowest)),
        traces=(
            _edges(flow),
            *_bars(flow, slowest),
            *_training_bars(main, len(flow.rows)),
            _nodes(flow, slowest),
        ),
        layout={
            "height": 70 + _ROW_PX * (len(flow.rows) + 1),
            "margin": {"l": 8, "r": 16, "t": 12, "b": 44},
            "showlegend": False,
            "barmode": "overlay",
            "bargap": 0.45,
            "hovermode": "closest",
            "xaxis": {
                "domain": [0, _GRAPH_END],
                "visible": False,
                "range": [-0.5, _GRAPH_WIDTH - 0.5],
                "fixedrange": True,
            },
            "yaxis": {
                "range": [len(flow.rows) + 0.6, -0.6],
                "visible": False,
                "fixedrange": True,
            },
            "xaxis2": {
                "domain": [_BARS_START, 1],
                "anchor": "y",
                "title": {"text": "ms per step"},
                "range": [0, _longest_ms(flow, main) * 1.2],
                "fixedrange": True,
                "zeroline": True,
            },
            "annotations": [
                *_labels(flow, slowest),
                _text("<b>training step</b>", flow, len(flow.rows)),
            ],
        },
        table=_table(stages, slowest),
    )
    return Figure(key="pipeline", title="Input pipeline", views=(view,))


def paced_ms(found: StageFinding) -> float:
    """Time that a stage takes for a step when all of its calls run side by side."""
    return 1_000 / found.capacity_per_s if found.capacity_per_s else found.cost_ms


def _longest_ms(flow: Flow, main: LoopFinding) -> float:
    step_ms = main.diagnosis.step_ms
    return max([*(each.cost_ms for each in flow.rows), step_ms.mean if step_ms else 0.0, 1e-3])


def _caption(flow: Flow, slowest: Bottleneck | None) -> Iterator[str]:
    yield "From top to bottom: each stage feeds the one below it, the last the training."
    if any(paced_ms(each) < 0.99 * each.cost_ms for each in flow.rows):
        yield "Pale: its work. Strong: what is left of it with its calls side by side."
    if slowest is not None:
        yield f"The bottleneck is {short(slowest.stage)}."
    if flow.left_out:
        cost = duration(sum(each.cost_ms for each in flow.left_out))
        yield f"{count(len(flow.left_out), 'more stage')}, {cost} of work per step in all, not drawn."


def _column(column: int) -> float:
    return 0.5 * min(column, _MOST_COLUMNS)


def _edges(flow: Flow) -> Json:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row, (column, into) in enumerate(zip(flow.columns, flow.into, strict=True)):
        end = len(flow.rows) if into is None else into
        target = 0 if into is None else flow.columns[into]
        xs += [_column(column), _column(column), _column(target), None]
        ys += [row, end - 0.5 if column != target else end, end, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": xs,
        "y": ys,
        "line": {"color": LINE, "width": 2},
        "hoverinfo": "skip",
    }


def _color(found: StageFinding, slowest: Bottleneck | None) -> str:
    if slowest is not None and found.index == slowest.index:
        return WAIT
    return INPUT[0]


def _nodes(flow: Flow, slowest: Bottleneck | None) -> Json:
    end = len(flow.rows)
    lit = [slowest is not None and each.index == slowest.index for each in flow.rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [*map(_column, flow.columns), 0],
        "y": [*range(end), end],
        "marker": {
            "size": [*(18 if each else 12 for each in lit), 14],
            "symbol": [*("diamond" if each else "circle" for each in lit), "square"],
            "color": [*(_color(each, slowest) for each in flow.rows), COMPUTE],
            "opacity": 1,
            "line": {"width": 0},
        },
        "hovertext": [*map(explain, flow.rows), "the training"],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _bars(flow: Flow, slowest: Bottleneck | None) -> Iterator[Json]:
    colors = [_color(each, slowest) for each in flow.rows]
    work = [round(each.cost_ms, 4) for each in flow.rows]
    paced = [round(min(paced_ms(each), each.cost_ms), 4) for each in flow.rows]
    hover = [explain(each) for each in flow.rows]
    for values, opacity, text in ((work, 0.3, True), (paced, 1.0, False)):
        yield {
            "type": "bar",
            "orientation": "h",
            "xaxis": "x2",
            "x": values,
            "y": list(range(len(values))),
            "width": _BAR_HEIGHT,
            "marker": {"color": colors, "opacity": opacity, "line": {"width": 0}},
            "hovertext": hover,
            "hovertemplate": "%{hovertext}<extra></extra>",
            **(
                {
                    "text": [f" {duration(each.cost_ms)}" for each in flow.rows],
                    "textposition": "outside",
                    "cliponaxis": False,
                }
                if text
                else {}
            ),
        }


def _training_bars(main: LoopFinding, row: int) -> Iterator[Json]:
    sentences = main.diagnosis
    if sentences.step_ms is None:
        return
    known = sentences.wait_ms is not None and sentences.compute_ms is not None
    parts = (
        (("wait", WAIT, sentences.wait_ms), ("compute", COMPUTE, sentences.compute_ms))
        if known
        else (("step, wait not known", OTHER, sentences.step_ms),)
    )
    base = 0.0
    for name, color, part in parts:
        value = part.mean if part else 0.0
        yield {
            "type": "bar",
            "orientation": "h",
            "xaxis": "x2",
            "base": [round(base, 4)],
            "x": [round(value, 4)],
            "y": [row],
            "width": _BAR_HEIGHT,
            "marker": {"color": color, "line": {"width": 0}},
            "hovertext": [f"{name} {duration(value)}"],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
        base += value


def _labels(flow: Flow, slowest: Bottleneck | None) -> Iterator[Json]:
    room_px = _LABELS_PX - _label_column(flow) / _GRAPH_WIDTH * _GRAPH_PX
    for row, found in enumerate(flow.rows):
        lit = slowest is not None and found.index == slowest.index
        mark = " · bottleneck" if lit else ""
        name = label(name_with_copies(found), int(room_px / _NAME_PX) - len(mark))
        notes = notes_below(found, int(room_px / _NOTE_PX))
        second = f"<br><span style='font-size:11px;opacity:0.7'>{notes}</span>" if notes else ""
        yield _text(f"<b>{name}</b>{mark}{second}", flow, row)


def _label_column(flow: Flow) -> float:
    """All labels begin beside the rightmost branch."""
    return _column(max(flow.columns))


def _text(text: str, flow: Flow, row: int) -> Json:
    return {
        "x": _label_column(flow),
        "y": row,
        "xshift": 16,
        "xanchor": "left",
        "align": "left",
        "showarrow": False,
        "text": text,
    }


def _table(stages: tuple[StageFinding, ...], slowest: Bottleneck | None) -> Table:
    listed, minor = worth_a_row(stages, slowest)
    by_cost = sorted(listed, key=lambda each: -each.cost_ms)
    dearest = {each.index for each in by_cost[:MOST_TABLE_ROWS]}
    # Only tf.data runs something else than what was written.
    of_tf_data = any(each.stage.runs_as for each in stages)
    all_columns = _COLUMNS if of_tf_data else _WITHOUT_NAMES
    cells = [_cells(each, slowest) for each in listed if each.index in dearest]
    filters = any("elements" in row for row in cells)
    columns = tuple(column for column in all_columns if filters or column != "elements")
    if minor:
        cells.append(_cells_of_several(minor))
    return Table(
        columns=columns,
        rows=tuple(tuple(row.get(column, _NONE) for column in columns) for row in cells),
    )


def _cells(each: StageFinding, slowest: Bottleneck | None) -> dict[str, str]:
    """What is known of a stage, by column."""
    mark = " (bottleneck)" if slowest and each.index == slowest.index else ""
    calls = None if each.parallelism is None else calls_at_once(each).replace(" at once", "")
    values = {
        "where": where(each.stage),
        "written as": each.stage.written,
        "runs as": runs_as(each.stage),
        "at once": calls,
        "buffer": None if each.buffer_mean is None else buffer_fill(each),
        "elements": elements_of(each),
        "on a CPU": None if each.cpu_ratio is None else percent(each.cpu_ratio),
        "ran on": ran_on(each.lanes),
    }
    known = {column: value for column, value in values.items() if value}
    return {
        "stage": f"{name_with_copies(each)}{mark}",
        "work per step": duration(each.cost_ms),
        **known,
    }


def _cells_of_several(minor: Sequence[StageFinding]) -> dict[str, str]:
    return {
        "stage": count(len(minor), "more stage"),
        "where": f"({added_by(minor)})",
        "work per step": duration(sum(each.cost_ms for each in minor)),
    }
