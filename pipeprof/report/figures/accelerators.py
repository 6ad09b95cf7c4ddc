"""How busy GPUs were over time, as their driver reports."""

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.machine_findings import DeviceFinding
from pipeprof.recording.devices import Device
from pipeprof.recording.level_names import MILLION, DeviceLevel
from pipeprof.report.figures.bins import gauge_points, time_axis
from pipeprof.report.figures.figure import Figure, Json, Table, View, label
from pipeprof.report.figures.theme import COMPUTE, INPUT, LEGEND, OTHER
from pipeprof.report.numbers import fixed, percent, size

_COLORS = (COMPUTE, *INPUT, OTHER)
_S = 1e9
_UNKNOWN = "not known"


def accelerators_figure(findings: Findings) -> Figure | None:
    """Utilisation over time of the busiest devices; None where no driver reports any."""
    profile = findings.profile
    order = {found.name: place for place, found in enumerate(findings.devices)}
    reported = sorted(
        (device for device in profile.devices if DeviceLevel.UTILISATION in device.levels),
        key=lambda device: order.get(device.name, len(order)),
    )[: len(_COLORS)]
    if not reported:
        return None
    view = View(
        name="",
        caption=(
            "The part of the time in which at least one kernel ran, as the driver reports it: an average "
            "over up to a second."
        ),
        traces=tuple(
            _line(device, color, profile.run.start_ns)
            for device, color in zip(reported, _COLORS, strict=False)
        ),
        layout={
            "height": 220,
            "margin": {"l": 56, "r": 16, "t": 44, "b": 44},
            "hovermode": "x unified",
            "showlegend": True,
            "xaxis": time_axis(profile.run),
            "yaxis": {"title": {"text": "busy, %"}, "range": [0, 104]},
            "legend": LEGEND,
        },
        table=Table(
            columns=("device", "busy", "by this training", "memory in use", "power"),
            rows=tuple(_row(found) for found in findings.devices),
        ),
    )
    return Figure(key="accelerators", title="Accelerators", views=(view,))


def _line(device: Device, color: str, start_ns: int) -> Json:
    times_ns, levels = gauge_points(device.levels[DeviceLevel.UTILISATION])
    return {
        "type": "scatter",
        "mode": "lines" if len(levels) > 1 else "markers",
        "name": label(
            device.name if device.model is None else f"{device.name}, {device.model}", 36
        ),
        "x": np.round((times_ns - start_ns) / _S, 3).tolist(),
        "y": np.round(np.minimum(levels / MILLION, 1.0) * 100, 1).tolist(),
        "line": {"color": color, "width": 1.5},
        "hovertemplate": "%{y:.0f} %",
    }


def _row(found: DeviceFinding) -> tuple[str, ...]:
    memory = _UNKNOWN
    if found.memory_bytes is not None and found.memory_room_bytes:
        memory = f"{size(found.memory_bytes)} of {size(found.memory_room_bytes)}"
    return (
        found.name if found.model is None else f"{found.name} ({found.model})",
        _UNKNOWN if found.busy_ratio is None else percent(found.busy_ratio),
        _UNKNOWN if found.own_busy_ratio is None else percent(found.own_busy_ratio),
        memory,
        _UNKNOWN if found.power_w is None else f"{fixed(found.power_w, 0)} W",
    )
