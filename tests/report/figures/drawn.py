"""What a figure draws, found by name, and looked at by Plotly itself."""

import json
from typing import Any

import plotly.graph_objects

from pipeprof.report.figures.figure import Figure, View, to_plain


def view(figure: Figure | None, number: int = 0) -> View:
    """A view of a figure that is there and that Plotly takes."""
    assert figure is not None
    expect_valid(figure)
    return figure.views[number]


def expect_valid(figure: Figure) -> None:
    """Plotly knows every property and value of it, and it is strict JSON."""
    for each in figure.views:
        plotly.graph_objects.Figure({"data": list(each.traces), "layout": each.layout})
    json.dumps(to_plain(figure), allow_nan=False)


def trace(drawn: View, name: str) -> dict[str, Any]:
    """The one trace of a name."""
    (found,) = [each for each in drawn.traces if each.get("name") == name]
    return found
