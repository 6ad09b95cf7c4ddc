"""The colours of all pictures.

Those of the data serve light and dark pages alike: each has a contrast of at least 3 to 1 with both,
and people who cannot see red and green as different can use them (after Okabe and Ito). What belongs to
the page, its text and grid, comes as one of two Plotly templates.
"""

from pipeprof.report.figures.figure import Json

# Time lost waiting, and the stage it is lost to; the training's own work; what is not known.
WAIT = "#d55e00"
COMPUTE = "#2f7fc1"
UNKNOWN = "#8b8f98"

# Input work of stages, threads and processes, the dearest first; all others share the last.
INPUT = ("#12936b", "#b0629c", "#a8860b", "#3793a3", "#7d6bc4")
OTHER = "#8b8f98"

SHADE = "rgba(139,143,152,0.16)"
WAIT_SHADE = "rgba(213,94,0,0.10)"
LINE = "#8b8f98"

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


def _template(text: str, muted: str, grid: str, popup: str) -> Json:
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "zerolinecolor": grid,
        "tickcolor": grid,
        "tickfont": {"color": muted},
        "title": {"font": {"color": muted, "size": 12}, "standoff": 8},
        "automargin": True,
    }
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 12, "color": text},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"font": {"color": text}, "bgcolor": "rgba(0,0,0,0)"},
            "hoverlabel": {
                "bgcolor": popup,
                "bordercolor": grid,
                "font": {"family": FONT, "size": 12, "color": text},
                "align": "left",
            },
        }
    }


TEMPLATES: dict[str, Json] = {
    "light": _template("#1f2328", "#59636e", "#e3e6ea", "#ffffff"),
    "dark": _template("#e6e8eb", "#9aa4af", "#353a42", "#23272e"),
}

LEGEND: Json = {
    "orientation": "h",
    "traceorder": "normal",
    "x": 0,
    "xanchor": "left",
    "y": 1.0,
    "yanchor": "bottom",
}
