"""What AUTOTUNE chose over time: parallelism and buffer sizes of stages, and its budgets."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.level_names import TfDataLevel
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import Gauge
from pipeprof.report.figures.bins import gauge_points, level_axis, time_axis
from pipeprof.report.figures.figure import Figure, Json, Table, View, label, stacked
from pipeprof.report.figures.theme import INPUT, LEGEND, WAIT
from pipeprof.report.numbers import count, few_digits, size

MOST_LINES = 5

_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    name: str
    gauge: Gauge
    index: int
    scale: float = 1.0


def autotune_figure(findings: Findings) -> Figure | None:
    """Values over time; None where AUTOTUNE chose nothing."""
    panels = [(title, lines) for title, lines in _panels(findings) if lines]
    if not any(line.index >= 0 for _, lines in panels for line in lines):
        return None
    start_ns = findings.profile.run.start_ns
    domains = list(stacked(len(panels)))
    slowest = findings.main.diagnosis.bottleneck if findings.main else None
    lit = slowest.index if slowest else None
    colors = _colors([line for _, lines in panels for line in lines], lit)
    traces: list[Json] = []
    layout: Json = {
        "height": 90 + 150 * len(panels) + 10 * len(colors),
        "margin": {"l": 56, "r": 16, "t": 44, "b": 44},
        "hovermode": "x unified",
        "showlegend": True,
        "legend": LEGEND,
    }
    for number, (title, lines) in enumerate(panels, 1):
        axis = "" if number == 1 else str(number)
        layout[f"yaxis{axis}"] = {
            **level_axis(title, max(line.gauge.high() or 0 for line in lines) * lines[0].scale),
            "domain": list(domains[number - 1]),
        }
        layout[f"xaxis{axis}"] = {
            **time_axis(findings.profile.run),
            "anchor": f"y{axis}",
            **({"matches": "x"} if number > 1 else {}),
            **({} if number == len(panels) else {"showticklabels": False, "title": {"text": ""}}),
        }
        first = panels[0][1]
        for line in lines:
            in_legend = number > 1 and any(other.index == line.index for other in first)
            traces.append(_trace(line, colors[line.index], axis, start_ns, in_legend))
    view = View(
        name="",
        caption=" ".join(_caption(findings)),
        traces=tuple(traces),
        layout=layout,
        table=Table(
            columns=("value", "stage", "first", "last", "most"),
            rows=tuple(_row(title, line) for title, lines in panels for line in lines),
        ),
    )
    return Figure(key="autotune", title="What AUTOTUNE chose", views=(view,))


def _panels(findings: Findings) -> Iterator[tuple[str, list[_Line]]]:
    dearest = sorted(findings.stages, key=lambda found: -found.cost_ms)
    yield (
        "calls at once",
        [
            _Line(name=found.stage.name, gauge=found.stage.parallelism, index=found.index)
            for found in dearest
            if found.stage.parallelism is not None and found.stage.autotuned
        ][:MOST_LINES],
    )
    yield (
        "buffer size",
        [
            _Line(name=found.stage.name, gauge=found.stage.buffer_size, index=found.index)
            for found in dearest
            if found.stage.buffer_size is not None and found.stage.buffer_size.counts.any()
        ][:MOST_LINES],
    )
    buffered = findings.profile.gauges.get(TfDataLevel.BUFFERED.value)
    all_of_it = () if buffered is None else (buffered,)
    yield (
        "MB in buffers",
        [_Line(name="all buffers", gauge=gauge, index=-1, scale=1e-6) for gauge in all_of_it],
    )


def _colors(lines: Sequence[_Line], lit: int | None) -> dict[int, str]:
    colors: dict[int, str] = {}
    free = iter(INPUT * (1 + len(lines)))
    for line in lines:
        if line.index not in colors:
            colors[line.index] = WAIT if line.index == lit else next(free)
    return colors


def _trace(line: _Line, color: str, axis: str, start_ns: int, in_legend: bool) -> Json:
    times_ns, levels = gauge_points(line.gauge)
    return {
        "type": "scatter",
        "mode": "lines" if len(levels) > 1 else "markers",
        "name": label(line.name, 24),
        "legendgroup": str(line.index),
        "showlegend": not in_legend,
        "x": np.round((times_ns - start_ns) / _S, 3).tolist(),
        "y": np.round(levels * line.scale, 3).tolist(),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "line": {"color": color, "width": 1.75, "shape": "hv"},
        "hovertemplate": "%{y:.3~g}",
    }


def _caption(findings: Findings) -> Iterator[str]:
    """Its budgets, where they are known."""
    gauges = findings.profile.gauges
    cpu, memory = (
        gauges.get(level.value) for level in (TfDataLevel.CPU_BUDGET, TfDataLevel.RAM_BUDGET)
    )
    if cpu is not None and cpu.last is not None:
        yield f"It may let {count(cpu.last, 'call')} run at once."
    if memory is not None and memory.last is not None:
        yield f"Its buffers may take {size(memory.last)}."


def _row(title: str, line: _Line) -> tuple[str, ...]:
    _, levels = gauge_points(line.gauge)
    most = line.gauge.high()
    return (
        title,
        line.name,
        few_digits(levels[0] * line.scale) if len(levels) else "not known",
        "not known" if line.gauge.last is None else few_digits(line.gauge.last * line.scale),
        "not known" if most is None else few_digits(most * line.scale),
    )
