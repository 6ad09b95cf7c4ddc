"""Series in time bins, looked at through stretches of time that suit a picture."""

import numpy as np

from pipeprof.recording.run_info import RunInfo
from pipeprof.recording.series import Binned, FloatArray, Gauge, IntArray
from pipeprof.report.figures.figure import Json

MOST_POINTS = 240

_FEW = 5


def edges(start_ns: int, end_ns: int, least_ns: int, most: int) -> IntArray:
    """Borders of equal stretches, none shorter than ``least_ns``, at most ``most`` of them."""
    pieces = min(max((end_ns - start_ns) // max(least_ns, 1), 1), most)
    borders: IntArray = np.linspace(start_ns, end_ns, pieces + 1).astype(np.int64)
    return borders


def sums_between(binned: Binned, borders: IntArray, channel: int = 0) -> FloatArray:
    """The sum of a channel in each stretch; bins cut by a border count in part."""
    ends = binned.start_ns + binned.width_ns * np.arange(len(binned.sums) + 1)
    reached = np.concatenate([[0.0], np.cumsum(binned.sums[:, channel], dtype=np.float64)])
    sums: FloatArray = np.diff(np.interp(borders, ends, reached))
    return sums


def gauge_points(gauge: Gauge) -> tuple[IntArray, FloatArray]:
    """Times and mean levels, at most `MOST_POINTS`."""
    seen = np.flatnonzero(gauge.counts)
    if not len(seen):
        return np.zeros(0, np.int64), np.zeros(0)
    size = -(-len(seen) // MOST_POINTS)
    begins = np.arange(0, len(seen), size)
    counts = np.add.reduceat(gauge.counts[seen], begins)
    levels = np.add.reduceat(gauge.sums[seen], begins) / counts
    return gauge.start_ns + gauge.width_ns * seen[begins], levels


def level_axis(title: str, highest: float) -> Json:
    """An axis for whole numbers from 0 on, without fractions between few of them."""
    few = {"dtick": 1, "range": [0, max(highest, 1) * 1.08]} if highest <= _FEW else {"nticks": 5}
    return {"title": {"text": title}, "rangemode": "tozero", **few}


def time_axis(run: RunInfo) -> Json:
    """The time axis of all pictures over the whole run, so that they can be read below each other."""
    return {
        "title": {"text": "seconds since the run began"},
        "range": [0, (run.end_ns - run.start_ns) / 1e9],
        "showgrid": False,
        "zeroline": False,
    }
