"""What every thread, worker and device did in a stretch of the run, and what the training did meanwhile."""

from collections.abc import Sequence

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.intervals import joined, no_intervals
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.report.figures.activity import (
    COMPUTING,
    DEVICE_BUSY,
    UNKNOWN_STEP,
    WAITING,
    ActivityRow,
    busy_ns,
    drawn_overlap_ratio,
    rows_of,
)
from pipeprof.report.figures.figure import Figure, Json, Table, View, label
from pipeprof.report.figures.theme import COMPUTE, INPUT, LEGEND, OTHER, UNKNOWN, WAIT, WAIT_SHADE
from pipeprof.report.figures.time_ranges import TimeRange, time_ranges
from pipeprof.report.numbers import count, duration, percent
from pipeprof.report.plain_text import clean

MOST_BARS = 2_000

_PIXELS = 1_400
_MOST_BANDS = 80
_MS = 1e6


def timeline_figure(findings: Findings) -> Figure | None:
    """Stretches of the main loop; None where no single steps were kept."""
    if findings.main is None:
        return None
    loop = findings.main.loop
    views = tuple(
        _view(time_range, findings, loop) for time_range in time_ranges(findings.profile, loop)
    )
    if not views:
        return None
    return Figure(key="timeline", title="Activity over time", choice="Time range", views=views)


def _view(time_range: TimeRange, findings: Findings, loop: Loop) -> View:
    profile = findings.profile
    rows, left_out = rows_of(time_range, profile, loop)
    depths = [_depth(number, profile) for number in range(len(profile.stages))]
    waits = rows[0].pieces.get(WAITING, no_intervals())
    length_ms = (time_range.end_ns - time_range.start_ns) / _MS
    scale, unit = (1.0, "ms") if length_ms < 4_000 else (1e-3, "s")
    begins = f"{duration((time_range.start_ns - profile.run.start_ns) / _MS)} after the run began"
    return View(
        name=time_range.name,
        caption=_caption(rows, left_out),
        traces=tuple(_traces(rows, time_range, findings, depths, scale)),
        layout={
            "barmode": "overlay",
            "height": 110 + 34 * len(rows),
            "margin": {"l": 8, "r": 16, "t": 44, "b": 48},
            "hovermode": "closest",
            "legend": LEGEND,
            "xaxis": {
                "title": {"text": f"{unit}, from {begins}"},
                "range": [0, length_ms * scale],
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": {
                "tickvals": list(range(len(rows))),
                "ticktext": [f"{label(row.name, 30)} " for row in rows],
                "range": [len(rows) - 0.4, -0.6],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
            "shapes": [
                _band(interval, time_range, scale) for interval in waits[:_MOST_BANDS].tolist()
            ],
        },
        table=_table(rows, time_range, profile),
        start_ms=(time_range.start_ns - profile.run.start_ns) / _MS,
        end_ms=(time_range.end_ns - profile.run.start_ns) / _MS,
    )


def _caption(rows: Sequence[ActivityRow], left_out: int) -> str:
    ratio = drawn_overlap_ratio(rows)
    sentences = ["Shaded: the training waits."] if WAITING in rows[0].pieces else []
    if ratio is not None:
        sentences.append(
            f"In this time range {percent(ratio)} of the input's work ran while the training computed."
        )
    if len(rows) == 1:
        sentences.append("The input's work was not recorded piece by piece.")
    if left_out:
        sentences.append(f"{count(left_out, 'lane')} with less work not drawn.")
    return " ".join(sentences)


def _depth(stage: int, profile: Profile) -> int:
    depth, at = 0, profile.stages[stage].parent
    while at is not None:
        depth, at = depth + 1, profile.stages[at].parent
    return depth


def _traces(
    rows: Sequence[ActivityRow],
    time_range: TimeRange,
    findings: Findings,
    depths: Sequence[int],
    scale: float,
) -> list[Json]:
    bars = _bars(rows, time_range)
    used = {kind for _, kind, _, _ in bars}
    colors = _colors(findings, used)
    # What lies within something else is drawn after it.
    order = sorted(used, key=lambda kind: (kind >= 0, depths[kind] if kind >= 0 else -kind, kind))
    others = [kind for kind in order if colors[kind] == OTHER]
    traces = []
    for kind in order:
        own = [bar for bar in bars if bar[1] == kind]
        name = _name(kind, findings.profile)
        grouped = kind in others and len(others) > 1
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": "other stages" if grouped else label(name, 32),
                "legendgroup": "other" if grouped else str(kind),
                "showlegend": not grouped or kind == others[0],
                "legendrank": 1_000 + list(colors).index(kind),
                "base": [_scaled(start - time_range.start_ns, scale) for _, _, start, _ in own],
                "x": [_scaled(end - start, scale) for _, _, start, end in own],
                "y": [row for row, _, _, _ in own],
                "width": 0.7,
                "marker": {"color": colors[kind], "line": {"width": 0}},
                "hovertext": [
                    f"<b>{label(name, 60)}</b><br>{duration((end - start) / _MS)}"
                    for _, _, start, end in own
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )
    return traces


def _scaled(length_ns: int, scale: float) -> float:
    return round(length_ns / _MS * scale, 4)


def _bars(rows: Sequence[ActivityRow], time_range: TimeRange) -> list[tuple[int, int, int, int]]:
    """Row, what it was, begin and end of all bars; pieces that stand too close to draw are one."""
    gap = (time_range.end_ns - time_range.start_ns) // _PIXELS
    while True:
        bars = [
            (number, kind, start, end)
            for number, row in enumerate(rows)
            for kind, pieces in row.pieces.items()
            for start, end in joined(pieces, gap - 1).tolist()
        ]
        if len(bars) <= MOST_BARS or gap > time_range.end_ns - time_range.start_ns:
            return bars
        gap = gap * 2 + 1


def _colors(findings: Findings, used: set[int]) -> dict[int, str]:
    """A colour for each, in the order of the legend."""
    main = findings.main
    slowest = main.diagnosis.bottleneck if main else None
    colors = {WAITING: WAIT, COMPUTING: COMPUTE, UNKNOWN_STEP: UNKNOWN, DEVICE_BUSY: COMPUTE}
    colors = {kind: color for kind, color in colors.items() if kind in used}
    by_cost = sorted(findings.stages, key=lambda each: -each.cost_ms)
    ranked = [each.index for each in by_cost if each.index in used]
    free = iter(INPUT)
    for index in (*ranked, *sorted(used - {*ranked, *colors})):
        is_slowest = slowest is not None and index == slowest.index
        colors[index] = WAIT if is_slowest else next(free, OTHER)
    return colors


def _name(kind: int, profile: Profile) -> str:
    named = {
        COMPUTING: "compute",
        WAITING: "wait",
        UNKNOWN_STEP: "step, wait not known",
        DEVICE_BUSY: "device busy",
    }
    if kind >= 0:
        return clean(profile.stages[kind].name)
    return named.get(kind, "input work")


def _band(interval: Sequence[int], time_range: TimeRange, scale: float) -> Json:
    start, end = interval
    return {
        "type": "rect",
        "x0": _scaled(start - time_range.start_ns, scale),
        "x1": _scaled(end - time_range.start_ns, scale),
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": WAIT_SHADE,
        "line": {"width": 0},
        "layer": "below",
    }


def _table(rows: Sequence[ActivityRow], time_range: TimeRange, profile: Profile) -> Table:
    length_ns = max(time_range.end_ns - time_range.start_ns, 1)
    return Table(
        columns=("lane", "role", "busy", "of the time range", "with"),
        rows=tuple(
            (
                row.name,
                row.role.value,
                duration(busy_ns(row.pieces) / _MS),
                percent(busy_ns(row.pieces) / length_ns),
                ", ".join(
                    f"{_name(kind, profile)} {duration(int((each[:, 1] - each[:, 0]).sum()) / _MS)}"
                    for kind, each in sorted(row.pieces.items())
                ),
            )
            for row in rows
        ),
    )
