"""Each step's time, as waiting and computing: all of a short loop, means of stretches of a long one."""

import numpy as np

from pipeprof.analysis.findings.findings import Findings, LoopFinding
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, Loop
from pipeprof.recording.series import FloatArray, IntArray
from pipeprof.report.figures.figure import Figure, Json, Table, View
from pipeprof.report.figures.theme import COMPUTE, LEGEND, SHADE, UNKNOWN, WAIT
from pipeprof.report.numbers import count, duration

MOST_BARS = 360
MOST_LOOPS = 6

# Callbacks are named from this part of the steps' time on.
_CALLBACKS_FROM = 0.01
_FEW = 10
_MOST_ROWS = 20
_MOST_EPOCH_LABELS = 10
_MOST_EPOCH_LINES = 60
_MS = 1e6

# A picture reaches so far above what nearly all of its bars need.
_NEARLY_ALL = 98
_HEADROOM = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bars:
    """Steps in the order of time, one or several a bar.

    Attributes:
        first: number of the first step of each.
        steps: how many steps each has.
        step_ms: mean duration.
        wait_ms: mean wait, NaN where it is not known.
    """

    first: FloatArray
    steps: FloatArray
    step_ms: FloatArray
    wait_ms: FloatArray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def compute_ms(self) -> FloatArray:
        return np.maximum(self.step_ms - self.wait_ms, 0.0)


def steps_figure(findings: Findings) -> Figure | None:
    """The steps of the main loop, and of others to choose; None where no loop took any."""
    ordered = sorted(findings.loops, key=lambda found: found is not findings.main)
    drawn = ((found, _bars(found.loop)) for found in ordered)
    views = [_view(found, bars, findings) for found, bars in drawn if len(bars)]
    if not views:
        return None
    return Figure(
        key="steps", title="Time of each step", choice="Loop", views=tuple(views[:MOST_LOOPS])
    )


def _view(found: LoopFinding, bars: "_Bars", findings: Findings) -> View:
    loop = found.loop
    top_ms = _top_ms(bars, loop)
    beyond = int((bars.step_ms > top_ms).sum())
    epochs = _epoch_starts(loop)
    return View(
        name=_name(found, findings),
        caption=" ".join(_caption(bars, loop, beyond)),
        traces=tuple(_traces(bars, _rest_of_step(loop))),
        layout={
            "barmode": "stack",
            "bargap": 0.0,
            "height": 320,
            "margin": {"l": 56, "r": 16, "t": 60, "b": 44},
            "xaxis": {
                "title": {"text": "step"},
                "range": [-0.5, loop.step_count - 0.5],
                "showgrid": False,
                **({"dtick": 1} if loop.step_count <= _FEW else {}),
            },
            "yaxis": {"title": {"text": "ms"}, "range": [0, top_ms], "rangemode": "tozero"},
            "legend": {**LEGEND, "y": 1.08},
            "shapes": [*_warmup(loop), *_epoch_lines(epochs)],
            "annotations": _epoch_labels(epochs, loop),
        },
        table=_table(bars),
    )


def _name(found: LoopFinding, findings: Findings) -> str:
    number = 1 + next(n for n, each in enumerate(findings.loops) if each is found)
    inside = "" if found.loop.parent is None else " (inside another loop)"
    return f"{number}. {found.loop.kind.value}, {count(found.loop.step_count, 'step')}{inside}"


def _bars(loop: Loop) -> _Bars:
    if len(loop.steps) == loop.step_count:
        return _bars_of_steps(loop)
    steps, step_ns, _, measured_ns, wait_ns, _ = loop.over_time.sums.astype(np.float64).T
    seen = steps > 0
    first = (np.cumsum(steps) - steps)[seen]
    with np.errstate(invalid="ignore", divide="ignore"):
        # A bin's mean wait is that of the steps whose wait is known, scaled to all of them.
        share = np.where(measured_ns > 0, wait_ns / measured_ns, np.nan)
        step_ms = step_ns / steps / _MS
    bars = _Bars(
        first=first,
        steps=steps[seen],
        step_ms=step_ms[seen],
        wait_ms=(share * step_ms)[seen],
    )
    return _merged(bars)


def _bars_of_steps(loop: Loop) -> _Bars:
    steps = loop.steps
    bars = _Bars(
        first=steps.ordinal.astype(np.float64),
        steps=np.ones(len(steps)),
        step_ms=(steps.end_ns - steps.start_ns) / _MS,
        wait_ms=np.where(steps.measured, steps.wait_ns / _MS, np.nan),
    )
    return _merged(bars)


def _merged(bars: _Bars) -> _Bars:
    """At most `MOST_BARS`: neighbours become one of their mean."""
    size = -(-len(bars.first) // MOST_BARS)
    if size <= 1:
        return bars
    begins = np.arange(0, len(bars.first), size)
    steps = np.add.reduceat(bars.steps, begins)
    known = np.isfinite(bars.wait_ms)
    waited = np.add.reduceat(np.where(known, bars.wait_ms, 0) * bars.steps, begins)
    measured = np.add.reduceat(known * bars.steps, begins)
    with np.errstate(invalid="ignore", divide="ignore"):
        wait_ms = np.where(measured > 0, waited / measured, np.nan)
    return _Bars(
        first=bars.first[begins],
        steps=steps,
        step_ms=np.add.reduceat(bars.step_ms * bars.steps, begins) / steps,
        wait_ms=wait_ms,
    )


def _top_ms(bars: _Bars, loop: Loop) -> float:
    """How high the picture reaches: single slow steps, as the very first, do not flatten it."""
    usual = bars.step_ms[bars.first >= loop.warmup_steps]
    usual = usual if len(usual) else bars.step_ms
    most = float(np.percentile(usual, _NEARLY_ALL)) * _HEADROOM
    return min(most, float(bars.step_ms.max()) * 1.05) or 1.0


def _caption(bars: _Bars, loop: Loop, beyond: int) -> list[str]:
    known = np.isfinite(bars.wait_ms)
    sentences = ["Shaded: the warm-up."] if loop.warmup_steps else []
    if (bars.steps > 1).any():
        sentences.append(
            f"Each bar is the mean of about {count(round(float(np.median(bars.steps))), 'step')}."
        )
    if not known.all():
        sentences.append("Where no wait is known, a step is shown whole, in grey.")
    if beyond:
        which = "bar is" if beyond == 1 else "bars are"
        most = duration(float(bars.step_ms.max()))
        sentences.append(f"{beyond} {which} taller than the picture, up to {most}.")
    return sentences


def _rest_of_step(loop: Loop) -> str:
    """What a step is made of besides waiting; how long callbacks took is not known step by step."""
    step_ns, called_ns = (
        int(loop.over_time.sums[:, LOOP_CHANNELS.index(name)].sum())
        for name in ("step_ns", "callback_ns")
    )
    return "compute and callbacks" if called_ns >= _CALLBACKS_FROM * step_ns > 0 else "compute"


def _traces(bars: _Bars, rest: str) -> list[Json]:
    known = np.isfinite(bars.wait_ms)
    hover = [
        _hover(*each)
        for each in zip(
            bars.first.tolist(),
            bars.steps.tolist(),
            bars.step_ms.tolist(),
            bars.wait_ms.tolist(),
            strict=True,
        )
    ]
    parts = (
        ("wait", WAIT, known, bars.wait_ms),
        (rest, COMPUTE, known, bars.compute_ms),
        ("step, wait not known", UNKNOWN, ~known, bars.step_ms),
    )
    middles = bars.first + (bars.steps - 1) / 2
    gap = 0.86 if len(bars.first) <= MOST_BARS // 3 else 1.0
    return [
        {
            "type": "bar",
            "name": name,
            "x": _numbers(middles[chosen]),
            "y": _numbers(values[chosen]),
            "width": _numbers(bars.steps[chosen] * gap),
            "marker": {"color": color, "line": {"width": 0}},
            "hovertext": [hover[index] for index in np.flatnonzero(chosen)],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
        for name, color, chosen, values in parts
        if chosen.any()
    ]


def _numbers(values: FloatArray) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


def _hover(first: float, steps: float, step_ms: float, wait_ms: float) -> str:
    where = (
        f"step {first:,.0f}" if steps <= 1 else f"steps {first:,.0f} to {first + steps - 1:,.0f}"
    )
    known = f"<br>wait {duration(wait_ms)}" if np.isfinite(wait_ms) else "<br>wait not known"
    return f"{where}<br><b>{duration(step_ms)}</b>{known}"


def _epoch_starts(loop: Loop) -> IntArray:
    """The first steps of epochs after the first, as far as they were kept."""
    starts: IntArray = loop.steps.ordinal[loop.steps.first_of_epoch()]
    return starts[starts > 0]


def _epoch_lines(starts: IntArray) -> list[Json]:
    return [
        {
            "type": "line",
            "x0": start - 0.5,
            "x1": start - 0.5,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": UNKNOWN, "width": 1, "dash": "dot"},
        }
        for start in starts[:_MOST_EPOCH_LINES].tolist()
    ]


def _epoch_labels(starts: IntArray, loop: Loop) -> list[Json]:
    every = -(-len(starts) // _MOST_EPOCH_LABELS)
    epoch_of = dict(zip(loop.steps.ordinal.tolist(), loop.steps.epoch.tolist(), strict=True))
    return [
        {
            "x": start - 0.5,
            "y": 1,
            "yref": "paper",
            "xanchor": "left",
            "yanchor": "bottom",
            "showarrow": False,
            "text": f"epoch {epoch_of[start] + 1}",
            "font": {"size": 11},
            "opacity": 0.75,
        }
        for start in starts[:: max(every, 1)].tolist()
    ]


def _warmup(loop: Loop) -> list[Json]:
    if not loop.warmup_steps:
        return []
    shade: Json = {
        "type": "rect",
        "x0": -0.5,
        "x1": min(loop.warmup_steps, loop.step_count) - 0.5,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "fillcolor": SHADE,
        "line": {"width": 0},
        "layer": "below",
    }
    return [shade]


def _table(bars: _Bars) -> Table:
    rows = []
    for part in np.array_split(np.arange(len(bars.first)), min(_MOST_ROWS, len(bars.first))):
        steps, waits = bars.steps[part], bars.wait_ms[part]
        known = np.isfinite(waits)
        mean_ms = float(np.average(bars.step_ms[part], weights=steps))
        wait = (
            duration(float(np.average(waits[known], weights=steps[known]))) if known.any() else ""
        )
        last = bars.first[part][-1] + steps[-1] - 1
        rows.append(
            (f"{bars.first[part][0]:.0f} to {last:.0f}", duration(mean_ms), wait or "not known")
        )
    return Table(columns=("steps", "mean time of a step", "of which wait"), rows=tuple(rows))
