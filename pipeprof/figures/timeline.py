"""What every thread, worker and device did in a stretch of the run, and what the training did meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeprof.analysis.findings import Findings
from pipeprof.figures.figure import Figure, Json, Table, View, label
from pipeprof.figures.moments import Moment, moments
from pipeprof.figures.theme import COMPUTE, INPUT, LEGEND, OTHER, UNKNOWN, WAIT, WAIT_SHADE
from pipeprof.recording import UNKNOWN_NS, Loop, Profile, Role, SpanKind
from pipeprof.series import IntArray
from pipeprof.wording import clean, count, duration, percent

MOST_LANES = 18
MOST_BARS = 2_000

_WORK, _WAIT, _STEP = (tuple(SpanKind).index(kind) for kind in SpanKind)
_ROLES = (Role.MAIN, Role.TRAINING, Role.INPUT, Role.WORKER, Role.DEVICE, Role.OTHER)
_PIXELS = 1_400
_MOST_BANDS = 80
_MS = 1e6

# A row or a colour: the stage, or one of these.
_COMPUTE, _WAITING, _UNKNOWN_STEP, _ELSE, _DEVICE = -1, -2, -3, -4, -5

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the picture; ``pieces`` are intervals by what they were."""

    name: str
    role: Role
    pieces: dict[int, list[Interval]]


def timeline_figure(findings: Findings) -> Figure | None:
    """Stretches of the main loop; None where no single steps were kept."""
    if findings.main is None:
        return None
    loop = findings.main.loop
    views = tuple(_view(moment, findings, loop) for moment in moments(findings.profile, loop))
    if not views:
        return None
    return Figure(key="timeline", title="Who was busy when", choice="Window", views=views)


def _view(moment: Moment, findings: Findings, loop: Loop) -> View:
    profile = findings.profile
    rows, left_out = _rows(moment, profile, loop)
    depths = [_depth(number, profile) for number in range(len(profile.stages))]
    waits = rows[0].pieces.get(_WAITING, [])
    length_ms = (moment.end_ns - moment.start_ns) / _MS
    scale, unit = (1.0, "ms") if length_ms < 4_000 else (1e-3, "s")
    begins = f"{(moment.start_ns - profile.run.start_ns) / 1e9:.2f} s after the run began"
    return View(
        name=moment.name,
        says=_says(rows, left_out),
        traces=tuple(_traces(rows, moment, findings, depths, scale)),
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
            "shapes": [_band(interval, moment, scale) for interval in sorted(waits)[:_MOST_BANDS]],
        },
        table=_table(rows, moment, profile),
        start_ms=(moment.start_ns - profile.run.start_ns) / _MS,
        end_ms=(moment.end_ns - profile.run.start_ns) / _MS,
    )


def _rows(moment: Moment, profile: Profile, loop: Loop) -> tuple[list[_Row], int]:
    """The training's row first, then the busiest lanes by role; and how many were left out."""
    work = _work_by_lane(moment, profile)
    lanes = sorted(work, key=lambda lane: -_busy_ns(work[lane]))
    kept = sorted(
        lanes[:MOST_LANES], key=lambda lane: (_ROLES.index(profile.lanes[lane].role), lane)
    )
    names = Counter(profile.lanes[lane].name for lane in kept)
    seen: Counter[str] = Counter()
    rows = [_Row("training", Role.TRAINING, _training(moment, profile, loop))]
    for lane in kept:
        name = profile.lanes[lane].name
        seen[name] += 1
        shown = f"{name} {seen[name]}" if names[name] > 1 else name
        shown = f"{shown}: input" if lane == loop.lane else shown
        rows.append(_Row(shown, profile.lanes[lane].role, work[lane]))
    return rows, len(lanes) - len(kept)


def _work_by_lane(moment: Moment, profile: Profile) -> dict[int, dict[int, list[Interval]]]:
    spans = profile.spans
    inside = (spans.end_ns > moment.start_ns) & (spans.start_ns < moment.end_ns)
    chosen = np.flatnonzero(inside & (spans.kind == _WORK))
    work: dict[int, dict[int, list[Interval]]] = defaultdict(lambda: defaultdict(list))
    for lane, stage, start, end in zip(
        spans.lane[chosen].tolist(),
        spans.subject[chosen].tolist(),
        np.maximum(spans.start_ns[chosen], moment.start_ns).tolist(),
        np.minimum(spans.end_ns[chosen], moment.end_ns).tolist(),
        strict=True,
    ):
        of_stage = stage if stage >= 0 else _ELSE
        kind = _DEVICE if profile.lanes[lane].role is Role.DEVICE else of_stage
        work[lane][kind].append((start, end))
    return work


def _training(moment: Moment, profile: Profile, loop: Loop) -> dict[int, list[Interval]]:
    """Computing and waiting of the loop; a step whose wait was not kept stays whole."""
    number = next(index for index, each in enumerate(profile.loops) if each is loop)
    spans, steps = profile.spans, loop.steps
    waits = dict(zip(steps.start_ns.tolist(), steps.wait_ns.tolist(), strict=True))
    chosen = (spans.kind == _STEP) & (spans.subject == number)
    chosen &= (spans.start_ns >= moment.start_ns) & (spans.end_ns <= moment.end_ns)
    pieces: dict[int, list[Interval]] = defaultdict(list)
    for start, end in zip(
        spans.start_ns[chosen].tolist(), spans.end_ns[chosen].tolist(), strict=True
    ):
        wait = waits.get(start, UNKNOWN_NS)
        if wait == UNKNOWN_NS:
            pieces[_UNKNOWN_STEP].append((start, end))
            continue
        pieces[_COMPUTE].append((start + wait, end))
        if wait:
            pieces[_WAITING].append((start, start + wait))
    return pieces


def _busy_ns(pieces: dict[int, list[Interval]]) -> int:
    return sum(
        end - start for start, end in _union([each for one in pieces.values() for each in one])
    )


def _union(intervals: Sequence[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _overlap_ratio(rows: Sequence[_Row]) -> float | None:
    """The part of the input's work that ran while the training computed and did not wait.

    Work beside a step whose wait is not known is left out.
    """
    computing = _union(rows[0].pieces.get(_COMPUTE, []))
    waiting = _union(rows[0].pieces.get(_WAITING, []))
    work = [
        interval
        for row in rows[1:]
        if row.role is not Role.DEVICE
        for interval in _union([each for one in row.pieces.values() for each in one])
    ]
    beside, against = _shared_ns(work, computing), _shared_ns(work, waiting)
    return beside / (beside + against) if beside + against else None


def _shared_ns(work: Sequence[Interval], others: Sequence[Interval]) -> float:
    """How much of some work fell into other intervals, which do not overlap."""
    if not work or not others:
        return 0.0
    borders = np.array(others, np.int64).ravel()
    inside = np.arange(len(borders) - 1) % 2 == 0
    reached = np.concatenate([[0], np.cumsum(np.diff(borders) * inside)])
    at: IntArray = np.array(work, np.int64)
    shared = np.interp(at[:, 1], borders, reached) - np.interp(at[:, 0], borders, reached)
    return float(shared.sum())


def _says(rows: Sequence[_Row], left_out: int) -> str:
    ratio = _overlap_ratio(rows)
    said = ["Shaded: the training waits."] if rows[0].pieces.get(_WAITING) else []
    if ratio is not None:
        said.append(
            f"In this window {percent(ratio)} of the input's work ran while the training computed."
        )
    if len(rows) == 1:
        said.append("The input's work was not recorded piece by piece.")
    if left_out:
        said.append(f"{count(left_out, 'lane')} with less work not drawn.")
    return " ".join(said)


def _depth(stage: int, profile: Profile) -> int:
    depth, at = 0, profile.stages[stage].parent
    while at is not None:
        depth, at = depth + 1, profile.stages[at].parent
    return depth


def _traces(
    rows: Sequence[_Row], moment: Moment, findings: Findings, depths: Sequence[int], scale: float
) -> list[Json]:
    bars = _bars(rows, moment)
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
                "base": [_scaled(start - moment.start_ns, scale) for _, _, start, _ in own],
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


def _bars(rows: Sequence[_Row], moment: Moment) -> list[tuple[int, int, int, int]]:
    """Row, what it was, begin and end of all bars; pieces too close to tell apart become one."""
    gap = (moment.end_ns - moment.start_ns) // _PIXELS
    while True:
        bars = [
            (number, kind, start, end)
            for number, row in enumerate(rows)
            for kind, pieces in row.pieces.items()
            for start, end in _closed(pieces, gap)
        ]
        if len(bars) <= MOST_BARS or gap > moment.end_ns - moment.start_ns:
            return bars
        gap = gap * 2 + 1


def _closed(intervals: Sequence[Interval], gap: int) -> list[Interval]:
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start - joined[-1][1] < gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _colors(findings: Findings, used: set[int]) -> dict[int, str]:
    """A colour for each, in the order of the legend."""
    main = findings.main
    slowest = main.diagnosis.bottleneck if main else None
    colors = {_WAITING: WAIT, _COMPUTE: COMPUTE, _UNKNOWN_STEP: UNKNOWN, _DEVICE: COMPUTE}
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
        _COMPUTE: "compute",
        _WAITING: "wait",
        _UNKNOWN_STEP: "step, wait not known",
        _DEVICE: "device busy",
    }
    if kind >= 0:
        return clean(profile.stages[kind].name)
    return named.get(kind, "input work")


def _band(interval: Interval, moment: Moment, scale: float) -> Json:
    start, end = interval
    return {
        "type": "rect",
        "x0": _scaled(start - moment.start_ns, scale),
        "x1": _scaled(end - moment.start_ns, scale),
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": WAIT_SHADE,
        "line": {"width": 0},
        "layer": "below",
    }


def _table(rows: Sequence[_Row], moment: Moment, profile: Profile) -> Table:
    length_ns = max(moment.end_ns - moment.start_ns, 1)
    return Table(
        columns=("lane", "role", "busy", "of the window", "with"),
        rows=tuple(
            (
                row.name,
                row.role.value,
                duration(_busy_ns(row.pieces) / _MS),
                percent(_busy_ns(row.pieces) / length_ns),
                ", ".join(
                    f"{_name(kind, profile)} {duration(sum(end - start for start, end in each) / _MS)}"
                    for kind, each in sorted(row.pieces.items())
                ),
            )
            for row in rows
        ),
    )
