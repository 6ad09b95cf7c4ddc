"""Numbers over time and over magnitude in bounded memory.

Everything that grows with the length of a run is kept in one of these: sums in time bins whose
width doubles when the run outgrows them, and histograms in logarithmic bins. Adding costs the same
at the first event and at the billionth. They know nothing of what the numbers mean.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BINS = 512
FIRST_WIDTH_NS = 4_000_000
MOST_PIECES = 64


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


class BinnedSums:
    """Collects a `Binned`: `BINS` bins that double in width whenever time runs past the last."""

    def __init__(self, channels: int, start_ns: int) -> None:
        self.start_ns = start_ns
        self.width_ns = FIRST_WIDTH_NS
        self.sums: IntArray = np.zeros((BINS, channels), np.int64)
        self.used = 0

    @classmethod
    def resume(cls, binned: Binned) -> "BinnedSums":
        """Goes on where a stored one ended."""
        sums = cls(binned.sums.shape[1], binned.start_ns)
        sums.width_ns = binned.width_ns
        sums.used = len(binned.sums)
        sums.sums[: sums.used] = binned.sums
        return sums

    def add(self, times_ns: IntArray, values: IntArray) -> None:
        """Adds rows of ``values`` (n, channels) at ``times_ns`` (n), none before the start."""
        if not len(times_ns):
            return
        latest = int(times_ns.max())
        while latest >= self.start_ns + BINS * self.width_ns:
            self._double()
        index = np.clip((times_ns - self.start_ns) // self.width_ns, 0, BINS - 1)
        np.add.at(self.sums, index, values)
        self.used = max(self.used, int(index.max()) + 1)

    def spread(self, start_ns: IntArray, end_ns: IntArray, values: IntArray) -> None:
        """Adds rows that came about evenly from ``start_ns`` to ``end_ns``, to all bins between."""
        if not len(end_ns):
            return
        pieces = np.clip((end_ns - start_ns) // self.width_ns + 1, 1, MOST_PIECES)
        if (pieces == 1).all():
            self.add(end_ns, values)
            return
        row = np.repeat(np.arange(len(pieces)), pieces)
        piece = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        of = pieces[row]
        times = end_ns[row] - (end_ns - start_ns)[row] * (of - 1 - piece) // of
        whole, part, count = values[row], piece[:, None], of[:, None]
        self.add(times, whole * (part + 1) // count - whole * part // count)

    def add_one(self, time_ns: int, *values: int) -> None:
        """Adds a single row."""
        self.add(np.array([time_ns], np.int64), np.array([values], np.int64))

    def freeze(self) -> Binned:
        """What has been added so far."""
        return Binned(
            start_ns=self.start_ns, width_ns=self.width_ns, sums=self.sums[: self.used].copy()
        )

    def _double(self) -> None:
        pairs = self.sums.reshape(BINS // 2, 2, -1).sum(axis=1)
        self.sums = np.concatenate([pairs, np.zeros_like(pairs)])
        self.width_ns *= 2
        self.used = (self.used + 1) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A level over time (a buffer's fill, a parallelism): what each time bin saw of it.

    Attributes:
        start_ns: where the first bin begins.
        width_ns: how long each bin is.
        counts: readings in each bin; a bin without any holds no level.
        sums: sum of the readings of each bin.
        lows: least reading of each bin.
        highs: greatest reading of each bin.
        last: the latest reading of all, or None.
    """

    start_ns: int
    width_ns: int
    counts: IntArray
    sums: IntArray
    lows: IntArray
    highs: IntArray
    last: int | None

    def mean(self) -> float | None:
        """The mean of all readings, or None without any."""
        count = int(self.counts.sum())
        return float(self.sums.sum()) / count if count else None

    def high(self) -> int | None:
        """The greatest reading, or None without any."""
        seen = self.counts > 0
        return int(self.highs[seen].max()) if seen.any() else None

    def points(self) -> tuple[IntArray, FloatArray]:
        """The middle of each bin with readings, and their mean there."""
        seen = np.flatnonzero(self.counts)
        times = self.start_ns + self.width_ns * seen + self.width_ns // 2
        return times, self.sums[seen] / self.counts[seen]


class GaugeBins:
    """Collects a `Gauge` in bounded memory, like `BinnedSums`."""

    def __init__(self, start_ns: int) -> None:
        self._bins = BinnedSums(2, start_ns)
        self._lows: IntArray = np.full(BINS, np.iinfo(np.int64).max, np.int64)
        self._highs: IntArray = np.full(BINS, np.iinfo(np.int64).min, np.int64)
        self._last: int | None = None

    @classmethod
    def resume(cls, gauge: Gauge) -> "GaugeBins":
        """Goes on where a stored one ended."""
        bins = cls(gauge.start_ns)
        bins._bins = BinnedSums.resume(
            Binned(
                start_ns=gauge.start_ns,
                width_ns=gauge.width_ns,
                sums=np.stack([gauge.counts, gauge.sums], axis=1),
            )
        )
        bins._lows[: len(gauge.lows)] = gauge.lows
        bins._highs[: len(gauge.highs)] = gauge.highs
        bins._last = gauge.last
        return bins

    def add(self, times_ns: IntArray, levels: IntArray) -> None:
        """Adds readings, in the order of time."""
        if not len(times_ns):
            return
        width = self._bins.width_ns
        self._bins.add(times_ns, np.stack([np.ones_like(levels), levels], axis=1))
        while width < self._bins.width_ns:
            self._lows = _widened(self._lows, np.minimum, np.iinfo(np.int64).max)
            self._highs = _widened(self._highs, np.maximum, np.iinfo(np.int64).min)
            width *= 2
        index = np.clip((times_ns - self._bins.start_ns) // self._bins.width_ns, 0, BINS - 1)
        np.minimum.at(self._lows, index, levels)
        np.maximum.at(self._highs, index, levels)
        self._last = int(levels[-1])

    def freeze(self) -> Gauge:
        """What has been added so far."""
        bins = self._bins.freeze()
        return Gauge(
            start_ns=bins.start_ns,
            width_ns=bins.width_ns,
            counts=bins.sums[:, 0].copy(),
            sums=bins.sums[:, 1].copy(),
            lows=self._lows[: len(bins.sums)].copy(),
            highs=self._highs[: len(bins.sums)].copy(),
            last=self._last,
        )


def _widened(levels: IntArray, combine: np.ufunc, empty: int) -> IntArray:
    pairs = combine(levels[0::2], levels[1::2])
    return np.concatenate([pairs, np.full(BINS // 2, empty, np.int64)])


# Bins of a histogram grow by 1/64 of a power of two: a quantile is within 0.6 % of the truth.
_STEPS_PER_OCTAVE = 64
_OCTAVES = 48


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


class HistogramBins:
    """Collects a `Histogram`."""

    def __init__(self) -> None:
        self._counts: IntArray = np.zeros(_STEPS_PER_OCTAVE * _OCTAVES, np.int64)
        self._sum_ns = 0

    @classmethod
    def resume(cls, histogram: Histogram) -> "HistogramBins":
        """Goes on where a stored one ended."""
        bins = cls()
        bins._counts[: len(histogram.counts)] = histogram.counts
        bins._sum_ns = histogram.sum_ns
        return bins

    def add(self, durations_ns: IntArray) -> None:
        """Adds durations; negative ones count as 0."""
        clipped = np.maximum(durations_ns, 0)
        np.add.at(self._counts, _bin_index(clipped), 1)
        self._sum_ns += int(clipped.sum())

    def freeze(self) -> Histogram:
        """What has been added so far."""
        used = int(np.flatnonzero(self._counts)[-1]) + 1 if self._counts.any() else 0
        return Histogram(counts=self._counts[:used].copy(), sum_ns=self._sum_ns)


def _bin_index(durations_ns: IntArray) -> IntArray:
    octaves = np.log2(durations_ns.astype(np.float64) / _STEPS_PER_OCTAVE + 1.0)
    index: IntArray = (octaves * _STEPS_PER_OCTAVE).astype(np.int64)
    return np.minimum(index, _STEPS_PER_OCTAVE * _OCTAVES - 1)


def _bin_middle_ns(index: int) -> float:
    middle: float = 2.0 ** ((index + 0.5) / _STEPS_PER_OCTAVE)
    return (middle - 1.0) * _STEPS_PER_OCTAVE
