"""Numbers over time and over magnitude: sums and levels in time bins, durations in a histogram.

They have the same size whatever the length of the run, and know nothing of what the numbers mean.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """Sums of several channels in equal time bins.

    Attributes:
        start_ns: where the first bin begins, on the clock of the recording.
        width_ns: how long each bin is.
        sums: one row a bin, one column a channel; ``int64``.
    """

    start_ns: int
    width_ns: int
    sums: IntArray

    def total(self) -> IntArray:
        """The sum of each channel over all time."""
        total: IntArray = self.sums.sum(axis=0)
        return total

    def between(self, start_ns: int, end_ns: int) -> FloatArray:
        """The sum of each channel in a stretch of time; a bin cut by its border counts in part."""
        edges = self.start_ns + self.width_ns * np.arange(len(self.sums) + 1, dtype=np.int64)
        covered = np.minimum(edges[1:], end_ns) - np.maximum(edges[:-1], start_ns)
        share = np.clip(covered, 0, self.width_ns) / self.width_ns
        inside: FloatArray = share @ self.sums
        return inside

    def times_ns(self) -> IntArray:
        """The middle of each bin."""
        return self.start_ns + self.width_ns * np.arange(len(self.sums)) + self.width_ns // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A level over time (a buffer's fill, a parallelism): what each time bin saw of it.

    Attributes:
        start_ns: where the first bin begins.
        width_ns: how long each bin is.
        counts: readings in each bin; a bin without any holds no level.
        sums: sum of the readings of each bin.
        zeros: readings of 0 in each bin.
        lows: least reading of each bin.
        highs: greatest reading of each bin.
        last: the latest reading of all, or None.
    """

    start_ns: int
    width_ns: int
    counts: IntArray
    sums: IntArray
    zeros: IntArray
    lows: IntArray
    highs: IntArray
    last: int | None

    def mean(self) -> float | None:
        """The mean of all readings, or None without any."""
        count = int(self.counts.sum())
        # Not as whole numbers: those of bytes in use outgrow them within months.
        return float(self.sums.sum(dtype=np.float64)) / count if count else None

    def high(self) -> int | None:
        """The greatest reading, or None without any."""
        seen = self.counts > 0
        return int(self.highs[seen].max()) if seen.any() else None

    def points(self) -> tuple[IntArray, FloatArray]:
        """The middle of each bin with readings, and their mean there."""
        seen = np.flatnonzero(self.counts)
        times = self.start_ns + self.width_ns * seen + self.width_ns // 2
        return times, self.sums[seen] / self.counts[seen]


# Bins of a histogram grow by 1/64 of a power of two: a quantile is within 0.6 % of the truth.
STEPS_PER_OCTAVE = 64
_OCTAVES = 48
HISTOGRAM_BINS = STEPS_PER_OCTAVE * _OCTAVES


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often which duration occurred, in logarithmic bins about 1 % wide.

    Attributes:
        counts: occurrences in each bin, trailing empty bins left out.
        sum_ns: the exact sum of all durations.
    """

    counts: IntArray
    sum_ns: int

    @property
    def count(self) -> int:
        """How many durations were added."""
        return int(self.counts.sum())

    def mean_ns(self) -> float | None:
        """The exact mean, or None when empty."""
        return self.sum_ns / self.count if self.count else None

    def quantile_ns(self, share: float) -> float | None:
        """The duration that ``share`` (0 to 1) of all do not exceed, or None when empty."""
        if not self.count:
            return None
        rank = share * (self.count - 1)
        bin_index = int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))
        return float(_bin_middle_ns(bin_index))


def _bin_middle_ns(index: int) -> float:
    middle: float = 2.0 ** ((index + 0.5) / STEPS_PER_OCTAVE)
    return (middle - 1.0) * STEPS_PER_OCTAVE
