"""Checks that the arrays of a series fit together. Each check yields a sentence for each problem."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from pipeprof.recording.series import HISTOGRAM_BINS, Binned, Gauge, Histogram


def check_columns(name: str, table: Any) -> Iterator[str]:
    """Checks that all arrays of a dataclass have one length."""
    shapes = {
        value.shape
        for value in (getattr(table, field.name) for field in fields(table))
        if isinstance(value, np.ndarray)
    }
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        yield f"{name}: columns of different lengths"


def check_binned(name: str, binned: Binned | None, channels: int) -> Iterator[str]:
    """Checks that sums over time have this many channels, and that every bin has a width."""
    if binned is None:
        return
    if binned.sums.ndim != 2 or binned.sums.shape[1] != channels:
        yield f"{name}: sums of other channels than {channels}"
    if binned.width_ns < 1:
        yield f"{name}: bins {binned.width_ns} ns wide"


def check_gauge(name: str, gauge: Gauge | None) -> Iterator[str]:
    """Checks that the arrays of a level have one length, and that every bin has a width."""
    if gauge is None:
        return
    yield from check_columns(name, gauge)
    if gauge.width_ns < 1:
        yield f"{name}: bins {gauge.width_ns} ns wide"


def check_histogram(name: str, histogram: Histogram) -> Iterator[str]:
    """Checks that a histogram has no more bins than allowed, and no negative count."""
    if histogram.counts.ndim != 1 or len(histogram.counts) > HISTOGRAM_BINS:
        yield f"{name}: a histogram with too many bins"
    elif (histogram.counts < 0).any():
        yield f"{name}: a histogram with negative counts"
