"""Stacked bars of the parts of accounts: a colour a part, hatched where two parts share one."""

from collections.abc import Sequence

from pipeprof.analysis.findings.account_findings import Account
from pipeprof.recording.account import Part
from pipeprof.report.figures.figure import Json, label
from pipeprof.report.figures.theme import COMPUTE, INPUT, UNKNOWN, WAIT
from pipeprof.report.names.part_names import PART_NAMES, shown_parts
from pipeprof.report.numbers import duration, percent

_GREEN, _PURPLE, _OCHRE, _TEAL, _VIOLET = INPUT

# A part that is less of the longest bar has no room for its time.
_WRITTEN_FROM = 0.06

# Colour and hatching of each part.
PART_STYLES: dict[Part, tuple[str, str]] = {
    Part.STARTUP: (UNKNOWN, ""),
    Part.COMPILE: (_VIOLET, ""),
    Part.EPOCH_START: (WAIT, "/"),
    Part.WAIT: (WAIT, ""),
    Part.COMPUTE: (COMPUTE, ""),
    Part.CALLBACKS: (_PURPLE, ""),
    Part.VALIDATION: (_GREEN, ""),
    Part.BETWEEN_EPOCHS: (_TEAL, ""),
    Part.OWN_CODE: (_OCHRE, ""),
    Part.SHUTDOWN: (UNKNOWN, "/"),
    Part.OTHER: (UNKNOWN, "."),
}


def stacked_parts(
    accounts: Sequence[tuple[str, Account]],
    places: Sequence[float],
    *,
    upright: bool = False,
    width: float | None = None,
    written: bool = False,
) -> tuple[Json, ...]:
    """Traces of stacked bars, one trace a part, in seconds.

    Args:
        accounts: what each bar shows, with its name.
        places: where each bar stands on the other axis.
        upright: whether bars stand on the horizontal axis.
        width: how thick a bar is, or None for Plotly's choice.
        written: whether the time of each part is written into its bar, where that can be read.
    """
    by_bar = [{each.part: each.ns for each in shown_parts(account)} for _, account in accounts]
    longest_ns = max((account.wall_ns for _, account in accounts), default=0)
    traces = []
    for part in Part:
        seconds = [round(each.get(part, 0) / 1e9, 4) for each in by_bar]
        if not any(seconds):
            continue
        color, hatching = PART_STYLES[part]
        along, across = ("y", "x") if upright else ("x", "y")
        trace: Json = {
            "type": "bar",
            "orientation": "v" if upright else "h",
            "name": PART_NAMES[part],
            along: seconds,
            across: list(places),
            "marker": {
                "color": color,
                "line": {"width": 0},
                "pattern": {
                    "shape": hatching,
                    "bgcolor": color,
                    "fgcolor": "#ffffff",
                    "size": 7,
                    "solidity": 0.2,
                },
            },
            "hovertext": [
                _hover(name, account, part, each.get(part, 0))
                for (name, account), each in zip(accounts, by_bar, strict=True)
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
        if width is not None:
            trace["width"] = width
        if written and not hatching:  # which would cross the figures out
            trace["text"] = [_written(each.get(part, 0), longest_ns) for each in by_bar]
            trace["textposition"] = "inside"
            trace["insidetextanchor"] = "middle"
            trace["textangle"] = 0
        traces.append(trace)
    return tuple(traces)


def _written(ns: int, longest_ns: int) -> str:
    """The time of a part that has room for it in its bar."""
    return duration(ns / 1e6) if ns >= _WRITTEN_FROM * longest_ns else ""


def _hover(name: str, account: Account, part: Part, ns: int) -> str:
    share = percent(ns / account.wall_ns) if account.wall_ns else ""
    return f"<b>{label(name)}</b><br>{PART_NAMES[part]} {duration(ns / 1e6)}, {share}"
