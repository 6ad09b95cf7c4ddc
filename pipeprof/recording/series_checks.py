"""What makes series impossible to work with: arrays of them that do not fit together."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from pipeprof.recording.series import HISTOGRAM_BINS, Binned, Gauge, Histogram


def check_columns(name: str, table: Any) -> Iterator[str]:
    """All arrays of a dataclass are of one length."""
    shapes = {
        value.shape
        for value in (getattr(table, field.name) for field in fields(table))
        if isinstance(value, np.ndarray)
    }
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        yield f"{name}: columns of different lengths"


def check_binned(name: str, binned: Binned | None, channels: int) -> Iterator[str]:
    """Sums over time have these channels, and there is a time in every bin."""
    if binned is None:
        return
    if binned.sums.ndim != 2 or binned.sums.shape[1] != channels:
        yield f"{name}: sums of other channels than {channels}"
    if binned.width_ns < 1:
        yield f"{name}: bins {binned.width_ns} ns wide"


def check_gauge(name: str, gauge: Gauge | None) -> Iterator[str]:
    """Each bin of a level has all of its values, and a time."""
    if gauge is None:
        return
    yield from check_columns(name, gauge)
    if gauge.width_ns < 1:
        yield f"{name}: bins {gauge.width_ns} ns wide"


def check_histogram(name: str, histogram: Histogram) -> Iterator[str]:
    """The counts of a histogram are counts, and no more than it has bins."""
    if histogram.counts.ndim != 1 or len(histogram.counts) > HISTOGRAM_BINS:
        yield f"{name}: a histogram with too many bins"
    elif (histogram.counts < 0).any():
        yield f"{name}: a histogram with negative counts"
