"""CPU time by what it was spent for, against what the run may use."""

from collections.abc import Iterator

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.lane import Role
from pipeprof.recording.level_names import MILLION, Level
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import Binned, FloatArray, IntArray
from pipeprof.report.figures.bins import edges, gauge_points, sums_between, time_axis
from pipeprof.report.figures.figure import Figure, Json, Table, View
from pipeprof.report.figures.theme import COMPUTE, INPUT, LEGEND, OTHER, UNKNOWN
from pipeprof.report.numbers import amount, fixed, percent

_LEAST_NS = 800_000_000
_MOST_STRETCHES = 160
_MOST_ROWS = 12

# A stretch of which readings cover less than this takes the next reading.
_LEAST_COVERED = 0.25

_S = 1e9

# In this order from the ground up. What the lanes leave of the whole tree's time is 'other'.
_PARTS: tuple[tuple[str, str, tuple[Role, ...]], ...] = (
    ("training", COMPUTE, (Role.MAIN, Role.TRAINING)),
    ("input threads", INPUT[0], (Role.INPUT,)),
    ("worker processes and threads", INPUT[1], (Role.WORKER,)),
    ("other", OTHER, (Role.OTHER,)),
)


def processors_figure(findings: Findings) -> Figure | None:
    """Cores in use over time by role; None where no CPU time was read."""
    profile = findings.profile
    cpu = profile.cpu
    borders = edges(profile.run.start_ns, profile.run.end_ns, _LEAST_NS, _MOST_STRETCHES)
    if cpu.sampled is not None:
        borders = _with_readings(borders, cpu.sampled)
    lengths = np.diff(borders)
    if not len(lengths) or not (lengths > 0).all():
        return None
    cores = {name: _cores(profile, roles, borders) for name, _, roles in _PARTS}
    read = {name: values for name, values in cores.items() if values is not None}
    if cpu.used is not None:
        whole = _cores_used(cpu.used, cpu.sampled, borders)
        known = sum(read.values(), np.zeros(len(lengths)))
        read["other"] = read.get("other", np.zeros(len(lengths))) + np.maximum(whole - known, 0.0)
    if not read:
        return None
    middles_s = (borders[:-1] + lengths / 2 - profile.run.start_ns) / _S
    room = min(cpu.cores, cpu.limit) if cpu.limit is not None else float(cpu.cores)
    highest = float(np.max(sum(read.values(), np.zeros(len(lengths)))))
    view = View(
        name="",
        caption=_caption(findings, room),
        traces=(
            *(
                _area(name, color, middles_s, read[name])
                for name, color, _ in _PARTS
                if name in read
            ),
            *_all_programs(profile),
        ),
        layout={
            "height": 260,
            "margin": {"l": 56, "r": 16, "t": 44, "b": 44},
            "hovermode": "x unified",
            "xaxis": time_axis(profile.run),
            "yaxis": {
                "title": {"text": "cores in use"},
                "range": [0, max(room * 1.12, highest * 1.05)],
            },
            "legend": LEGEND,
            "shapes": [_limit_line(room)],
            "annotations": [_limit_label(room, cpu.limit is not None)],
        },
        table=_table(borders, read, profile.run.start_ns),
    )
    return Figure(key="cpu", title="CPU", views=(view,))


def _with_readings(borders: IntArray, sampled: Binned) -> IntArray:
    """Joins a stretch in which nobody read with the one in which its time was read."""
    covered = sums_between(sampled, borders) / np.maximum(np.diff(borders), 1)
    if not (covered > _LEAST_COVERED).any():
        return borders
    ends = np.flatnonzero(covered > _LEAST_COVERED) + 1
    joined: IntArray = borders[np.concatenate([[0], ends])]
    return joined


def _cores(profile: Profile, roles: tuple[Role, ...], borders: IntArray) -> FloatArray | None:
    read = [lane.cpu for lane in profile.lanes if lane.role in roles and lane.cpu is not None]
    if not read:
        return None
    total = sum((sums_between(each, borders) for each in read), np.zeros(len(borders) - 1))
    cores: FloatArray = total / np.diff(borders)
    return cores


def _cores_used(used: Binned, sampled: Binned | None, borders: IntArray) -> FloatArray:
    spent = sums_between(used, borders)
    covered = np.diff(borders) if sampled is None else sums_between(sampled, borders)
    cores: FloatArray = np.divide(spent, covered, out=np.zeros(len(spent)), where=covered > 0)
    return cores


def _caption(findings: Findings, room: float) -> str:
    cpu = findings.cpu
    if cpu.process_ratio is None:
        return "How much of its CPUs the training used is not known."
    used = f"The training and all its processes used {percent(cpu.process_ratio)} of {amount(room, 'core')}"
    if cpu.machine_ratio is not None and cpu.machine_ratio * cpu.cores > cpu.process_ratio * room:
        # Read in other moments than the training's, it may be less, which would say nothing.
        used = f"{used}, all programs together {percent(cpu.machine_ratio)} of {cpu.cores}"
    return f"{used}: no core was left." if cpu.saturated else f"{used}."


def _area(name: str, color: str, times_s: FloatArray, cores: FloatArray) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": np.round(times_s, 3).tolist(),
        "y": np.round(cores, 3).tolist(),
        "stackgroup": "cpu",
        "line": {"width": 0.5, "color": color},
        "fillcolor": color,
        "hovertemplate": "%{y:.2f}",
    }


def _all_programs(profile: Profile) -> Iterator[Json]:
    """What everything on the machine used: a training may be slow for others' sake."""
    gauge = profile.gauges.get(Level.MACHINE_CPU.value)
    if gauge is None:
        return
    times_ns, levels = gauge_points(gauge)
    yield {
        "type": "scatter",
        "mode": "lines",
        "name": "all programs on the machine",
        "x": np.round((times_ns - profile.run.start_ns) / _S, 3).tolist(),
        "y": np.round(levels / MILLION * profile.cpu.cores, 3).tolist(),
        "line": {"width": 1.5, "color": INPUT[2]},
        "hovertemplate": "%{y:.2f}",
    }


def _limit_line(room: float) -> Json:
    return {
        "type": "line",
        "x0": 0,
        "x1": 1,
        "xref": "paper",
        "y0": room,
        "y1": room,
        "line": {"color": UNKNOWN, "width": 1.5, "dash": "dash"},
    }


def _limit_label(room: float, is_limit: bool) -> Json:
    return {
        "x": 1,
        "xref": "paper",
        "xanchor": "right",
        "y": room,
        "yanchor": "bottom",
        "showarrow": False,
        "text": f"{amount(room, 'core')}{' (limit)' if is_limit else ''}",
        "font": {"size": 11},
        "opacity": 0.75,
    }


def _table(borders: IntArray, read: dict[str, FloatArray], start_ns: int) -> Table:
    parts = [part for part in np.array_split(np.arange(len(borders) - 1), _MOST_ROWS) if len(part)]
    times_s = (borders - start_ns) / _S
    return Table(
        columns=("seconds", *(f"{name}, cores" for name in read)),
        rows=tuple(
            (
                f"{fixed(times_s[part[0]], 1)} to {fixed(times_s[part[-1] + 1], 1)}",
                *(fixed(values[part].mean(), 2) for values in read.values()),
            )
            for part in parts
        ),
    )
