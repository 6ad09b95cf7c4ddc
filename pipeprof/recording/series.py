"""Numbers over time and over magnitude: sums and levels in time bins, durations in a histogram.

Their size does not depend on the length of the run. They do not know what the numbers mean.
"""

import numpy as np
import numpy.typing as npt

from pipeprof.recording.light_dataclasses import dataclass

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """Sums of several channels in equal time bins.

    Attributes:
        start_ns: begin of the first bin, on the clock of the recording.
        width_ns: width of each bin.
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
        """The sum of each channel in a time range; a bin that lies partly in it counts in part."""
        edges = self.start_ns + self.width_ns * np.arange(len(self.sums) + 1, dtype=np.int64)
        covered = np.minimum(edges[1:], end_ns) - np.maximum(edges[:-1], start_ns)
        # Not np.clip, which takes much longer for short arrays.
        share = np.minimum(np.maximum(covered, 0), self.width_ns) / self.width_ns
        inside: FloatArray = share @ self.sums
        return inside

    def times_ns(self) -> IntArray:
        """The middle of each bin."""
        return self.start_ns + self.width_ns * np.arange(len(self.sums)) + self.width_ns // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A level over time (a buffer's fill, a parallelism): the readings of each time bin.

    Attributes:
        start_ns: begin of the first bin.
        width_ns: width of each bin.
        counts: readings in each bin; where there are none, the other columns mean nothing.
        sums: sum of the readings of each bin.
        zeros: readings of 0 in each bin.
        lows: least reading of each bin.
        highs: greatest reading of each bin.
        last: the latest of all readings, or None without any.
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
        # In floating point: the sum of readings in bytes exceeds 64 bits within months.
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
    """How often each duration occurred, in logarithmic bins about 1 % wide.

    Attributes:
        counts: occurrences in each bin, trailing empty bins left out.
        sum_ns: the exact sum of all durations.
    """

    counts: IntArray
    sum_ns: int

    @property
    def count(self) -> int:
        """How many durations it holds."""
        return int(self.counts.sum())

    def mean_ns(self) -> float | None:
        """The exact mean, or None when empty."""
        return self.sum_ns / self.count if self.count else None

    def occurred(self) -> tuple[FloatArray, IntArray]:
        """The middles of the bins that are not empty, in ns and ascending, and the occurrences in each."""
        bins = np.flatnonzero(self.counts)
        return np.array([_bin_middle_ns(int(each)) for each in bins]), self.counts[bins]

    def quantile_ns(self, share: float) -> float | None:
        """A quantile of the durations, or None when empty.

        Args:
            share: which quantile, 0 to 1; 0.5 is the median.
        """
        if not self.count:
            return None
        rank = share * (self.count - 1)
        bin_index = int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))
        return float(_bin_middle_ns(bin_index))


def _bin_middle_ns(index: int) -> float:
    middle: float = 2.0 ** ((index + 0.5) / STEPS_PER_OCTAVE)
    return (middle - 1.0) * STEPS_PER_OCTAVE
