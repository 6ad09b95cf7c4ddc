"""How full the queues before the training were: empty ones are what a step waits at."""

from collections.abc import Iterator

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import FloatArray, Gauge
from pipeprof.report.figures.bins import gauge_points, level_axis, time_axis
from pipeprof.report.figures.figure import Figure, Json, Table, View, label
from pipeprof.report.figures.theme import INPUT, LEGEND, WAIT
from pipeprof.report.numbers import level, percent

MOST_QUEUES = 4

_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queue:
    """A queue with its size, where that is known."""

    name: str
    level: Gauge
    size: int | None


def queues_figure(findings: Findings) -> Figure | None:
    """The loop's own queue and the buffers of stages over time; None where none was read."""
    queues = [queue for queue in _queues(findings) if queue.level.counts.any()][:MOST_QUEUES]
    if not queues:
        return None
    start_ns = findings.profile.run.start_ns
    sized = all(queue.size for queue in queues)
    view = View(
        name="",
        caption=_caption(findings),
        traces=tuple(
            _line(queue, color, start_ns, sized)
            for queue, color in zip(queues, (WAIT, *INPUT), strict=False)
        ),
        layout={
            "height": 220 + 16 * len(queues),
            "margin": {"l": 56, "r": 16, "t": 44, "b": 44},
            "hovermode": "x unified",
            "showlegend": True,
            "xaxis": time_axis(findings.profile.run),
            "yaxis": {"title": {"text": "filled, %"}, "range": [0, 104]}
            if sized
            else level_axis("elements ready", max(queue.level.high() or 0 for queue in queues)),
            "legend": LEGEND,
        },
        table=Table(
            columns=("queue", "ready on average", "size", "empty"),
            rows=tuple(_row(queue) for queue in queues),
        ),
    )
    return Figure(key="queues", title="Queues", views=(view,))


def _queues(findings: Findings) -> Iterator[_Queue]:
    main = findings.main
    fed = main.loop.input if main else None
    if fed is not None and fed.queue is not None:
        yield _Queue(name="batches ready for the training", level=fed.queue, size=fed.queue_size)
    for found in findings.stages:
        stage = found.stage
        if stage.buffer is not None and not (fed and _same(fed.queue, stage.buffer)):
            yield _Queue(name=f"buffer of {stage.name}", level=stage.buffer, size=found.buffer_size)


def _same(queue: Gauge | None, buffer: Gauge) -> bool:
    """Whether a loop's queue is a stage's buffer: `fit` asks the last prefetch itself."""
    return queue is not None and np.array_equal(queue.sums, buffer.sums)


def _caption(findings: Findings) -> str:
    fed = findings.main.input if findings.main else None
    if fed is None or fed.queue_empty_ratio is None:
        return (
            "A queue that is always empty is fed too slowly, one that is always full fast enough."
        )
    return (
        f"When the training asked, {percent(fed.queue_empty_ratio)} of the time no batch was ready."
    )


def _line(queue: _Queue, color: str, start_ns: int, sized: bool) -> Json:
    times_ns, levels = gauge_points(queue.level)
    factor = 100 / queue.size if sized and queue.size else 1.0
    size = f" of {queue.size}" if queue.size else ""
    return {
        "type": "scatter",
        "mode": "lines" if len(levels) > 1 else "markers",
        "name": label(queue.name, 36),
        "x": np.round((times_ns - start_ns) / _S, 3).tolist(),
        "y": np.round(np.minimum(levels * factor, 100.0 if sized else np.inf), 3).tolist(),
        "line": {"color": color, "width": 1.5, "shape": "hv"},
        "customdata": np.round(levels, 2).tolist(),
        "hovertemplate": "%{customdata:.3~g}" + size,
    }


def _row(queue: _Queue) -> tuple[str, ...]:
    mean = queue.level.mean()
    readings: FloatArray = queue.level.counts.astype(np.float64)
    empty = float(queue.level.zeros.sum() / readings.sum())
    return (
        queue.name,
        level(mean) if mean is not None else "not known",
        str(queue.size) if queue.size else "not known",
        percent(empty),
    )
