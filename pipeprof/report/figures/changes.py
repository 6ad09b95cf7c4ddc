"""What changed between two groups of runs, each change with the range in which it lies."""

from pipeprof.analysis.comparing.run_comparison import ComparedQuantity, Comparison
from pipeprof.analysis.comparing.run_quantities import Group, Unit
from pipeprof.report.figures.figure import Figure, Json, Table, View, label
from pipeprof.report.figures.theme import INPUT, LEGEND, UNKNOWN, WAIT
from pipeprof.report.runs.run_comparison_text import (
    compared_groups,
    compared_row,
    range_text,
    row_label,
)

_ROW_HEIGHT = 26
_NAME_WIDTH = 34

_BETTER, _WORSE, _NOISE = INPUT[0], WAIT, UNKNOWN


def changes_figure(comparison: Comparison) -> Figure | None:
    """The changes of what is measured in milliseconds per step; None where there are none."""
    rows = [row for row in _per_step(comparison) if row.change is not None]
    if not rows:
        return None
    kinds = (
        ("longer", _WORSE, [row for row in rows if row.is_worse is True]),
        ("shorter", _BETTER, [row for row in rows if row.is_worse is False]),
        ("not larger than the noise", _NOISE, [row for row in rows if row.is_worse is None]),
    )
    places = {id(row): number for number, row in enumerate(rows)}
    view = View(
        name="",
        caption=(
            "Milliseconds per step, after less before. The line shows where a change lies at 95 %; "
            "one that may be nothing is grey."
        ),
        traces=tuple(_points(name, color, kept, places) for name, color, kept in kinds if kept),
        layout={
            "height": 110 + _ROW_HEIGHT * len(rows),
            "margin": {"l": 8, "r": 16, "t": 36, "b": 44},
            "hovermode": "closest",
            "showlegend": True,
            "legend": LEGEND,
            "xaxis": {"title": {"text": "ms per step; left of 0 is faster"}, "zeroline": True},
            "yaxis": {
                "tickvals": list(range(len(rows))),
                "ticktext": [f"{label(_name(row), _NAME_WIDTH)} " for row in rows],
                "range": [len(rows) - 0.5, -0.5],
                "zeroline": False,
                "fixedrange": True,
            },
        },
        table=Table(
            columns=("", "before", "after", "change", "", "it lies within"),
            rows=tuple((_name(row), *compared_row(row).cells[1:], range_text(row)) for row in rows),
        ),
    )
    return Figure(key="compared-changes", title="What changed in a step", views=(view,))


def _per_step(comparison: Comparison) -> list[ComparedQuantity]:
    return [
        row
        for _, rows in compared_groups(comparison)
        for row in rows
        if row.quantity.unit is Unit.MS and row.quantity.group is not Group.ACCOUNT
    ]


def _name(row: ComparedQuantity) -> str:
    name = row_label(row)
    return f"stage {name}" if row.quantity.group is Group.STAGE else name


def _points(name: str, color: str, rows: list[ComparedQuantity], places: dict[int, int]) -> Json:
    ranges = [(row.change or 0.0, row.difference) for row in rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [round(change, 4) for change, _ in ranges],
        "y": [places[id(row)] for row in rows],
        "marker": {"color": color, "size": 9},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [round(max(r.high - c, 0.0), 4) if r else 0.0 for c, r in ranges],
            "arrayminus": [round(max(c - r.low, 0.0), 4) if r else 0.0 for c, r in ranges],
            "color": color,
            "thickness": 2,
            "width": 0,
        },
        "hovertext": [_hover(row) for row in rows],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _hover(row: ComparedQuantity) -> str:
    shown = compared_row(row)
    return (
        f"<b>{label(_name(row))}</b><br>{shown.before} before, {shown.after} after<br>"
        f"{shown.change}, between {range_text(row)}"
    )
