"""Collects numbers over time and over magnitude in bounded memory.

All data that grow with the length of a run are kept in one of these: sums in time bins, whose width doubles
when the run becomes longer than all bins, and histograms in logarithmic bins. Adding an event always costs
the same. They do not know what the numbers mean.
"""

from collections import deque

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import (
    HISTOGRAM_BINS,
    STEPS_PER_OCTAVE,
    Binned,
    Gauge,
    Histogram,
    IntArray,
)

BINS = 512
FIRST_WIDTH_NS = 4_000_000
MOST_PIECES = 64
MOST_LATEST_ROWS = 1 << 16
# Tables that `LatestRows` keeps one by one, before it makes one of them.
_MOST_PARTS = 256

_LOWEST, _HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


# A stored collection with more was not written by pipeprof.
_MOST_CHANNELS = 64
_MOST_STORED_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class BinnedRows:
    """The state of a `BinnedSums`.

    Attributes:
        channels: channels of each row.
        start_ns: begin of the first bin.
        rows: the rows, all with bins of one width.
    """

    channels: int
    start_ns: int
    rows: tuple[Binned, ...]


class BinnedSums:
    """Collects one `Binned` a row.

    Each row has `BINS` bins, whose width doubles whenever a time lies behind the last bin.

    Args:
        channels: channels of each row.
        start_ns: begin of the first bin.
        rows: how many rows.
    """

    def __init__(self, channels: int, start_ns: int, rows: int = 1) -> None:
        self.start_ns = start_ns
        self.width_ns = FIRST_WIDTH_NS
        self._sums: IntArray = np.zeros((rows, BINS, channels), np.int64)
        self._used: IntArray = np.zeros(rows, np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of channels."""
        rows, _, channels = self._sums.shape
        return rows, channels

    def state(self) -> BinnedRows:
        """All that is needed to continue from here."""
        rows, channels = self.shape
        return BinnedRows(
            channels=channels,
            start_ns=self.start_ns,
            rows=tuple(self.freeze(row) for row in range(rows)),
        )

    @classmethod
    def resume(cls, state: BinnedRows) -> "BinnedSums":
        """Continues from a state.

        Raises:
            ValueError: its rows do not fit together.
        """
        if not 0 < state.channels <= _MOST_CHANNELS or len(state.rows) > _MOST_STORED_ROWS:
            raise ValueError(f"{len(state.rows)} rows of {state.channels} channels")
        sums = cls(state.channels, state.start_ns, len(state.rows))
        for row, binned in enumerate(state.rows):
            if binned.width_ns < 1 or (row and binned.width_ns != sums.width_ns):
                raise ValueError(f"bins {binned.width_ns} ns wide")
            if binned.sums.shape[1:] != (state.channels,) or len(binned.sums) > BINS:
                raise ValueError(f"bins of shape {binned.sums.shape}")
            sums.width_ns = binned.width_ns
            sums._used[row] = len(binned.sums)
            sums._sums[row, : len(binned.sums)] = binned.sums
        return sums

    def grow(self, rows: int) -> None:
        """Adds empty rows until there are ``rows`` in all."""
        more = rows - len(self._sums)
        if more > 0:
            self._sums = np.concatenate(
                [self._sums, np.zeros((more, *self._sums.shape[1:]), np.int64)]
            )
            self._used = np.concatenate([self._used, np.zeros(more, np.int64)])

    def add(self, times_ns: IntArray, values: IntArray, rows: IntArray | int = 0) -> None:
        """Adds ``values`` (n, channels) at ``times_ns`` (n) to ``rows`` (n, or one row for all)."""
        if not len(times_ns):
            return
        latest = int(times_ns.max())
        while latest >= self.start_ns + BINS * self.width_ns:
            self._double()
        index = np.maximum((times_ns - self.start_ns) // self.width_ns, 0)
        index += rows * BINS
        # What falls into one bin mostly stands together, so sorting is quick.
        if (index[1:] < index[:-1]).any():
            order = np.argsort(index, kind="stable")
            index, values = index[order], values[order]
        begins = np.concatenate([[0], np.flatnonzero(index[1:] != index[:-1]) + 1])
        index = index[begins]
        bins = self._sums.reshape(-1, self._sums.shape[2])
        bins[index] += np.add.reduceat(values, begins, axis=0)
        np.maximum.at(self._used, index // BINS, index % BINS + 1)

    def spread(
        self, start_ns: IntArray, end_ns: IntArray, values: IntArray, rows: IntArray | int = 0
    ) -> None:
        """Adds values that are spread evenly from ``start_ns`` to ``end_ns``.

        Each value is cut into as many equal pieces as it covers bins, at most `MOST_PIECES`; a piece is
        added to the bin in which its middle lies.
        """
        length = end_ns - start_ns
        pieces = np.maximum(np.minimum(length // self.width_ns + 1, MOST_PIECES), 1)
        if not (pieces > 1).any():
            self.add(start_ns + length // 2, values, rows)
            return
        of_row = np.repeat(np.arange(len(pieces)), pieces)
        piece = np.arange(len(of_row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        of = pieces[of_row]
        times = start_ns[of_row] + length[of_row] * (2 * piece + 1) // (2 * of)
        whole, part, count = values[of_row], piece[:, None], of[:, None]
        shares = whole * (part + 1) // count - whole * part // count
        self.add(times, shares, rows if isinstance(rows, int) else rows[of_row])

    def freeze(self, row: int = 0) -> Binned:
        """The sums of a row so far."""
        used = self._sums[row, : self._used[row]]
        return Binned(start_ns=self.start_ns, width_ns=self.width_ns, sums=used.copy())

    def _double(self) -> None:
        rows, _, channels = self._sums.shape
        pairs = self._sums.reshape(rows, BINS // 2, 2, channels).sum(axis=2)
        self._sums = np.concatenate([pairs, np.zeros_like(pairs)], axis=1)
        self._used = (self._used + 1) // 2
        self.width_ns *= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """The state of a `LatestRows`.

    Attributes:
        most: how many rows are kept.
        rows: the kept rows, oldest first.
    """

    most: int
    rows: IntArray


class LatestRows:
    """Keeps the latest rows of a table that grows without end.

    Args:
        most: how many rows are kept.
        columns: numbers in each row.
    """

    def __init__(self, most: int, columns: int) -> None:
        self._most = most
        self._parts: deque[IntArray] = deque([np.empty((0, columns), np.int64)])
        self._count = 0

    def add(self, rows: IntArray) -> None:
        """Adds rows at the end; the caller does not change them later."""
        if not len(rows):
            return
        # A part of a larger table would keep all of it.
        self._parts.append(rows if len(rows) <= self._most else rows[-self._most :].copy())
        self._count += len(self._parts[-1])
        while self._count - len(self._parts[0]) >= self._most:
            self._count -= len(self._parts.popleft())
        if len(self._parts) > _MOST_PARTS:
            self.rows()

    @property
    def capacity(self) -> int:
        """How many rows its memory has space for."""
        return self._count

    def rows(self) -> IntArray:
        """The kept rows, oldest first; later calls of `add` do not change them."""
        if len(self._parts) > 1:
            whole = np.concatenate(self._parts)[-self._most :]
            self._parts = deque([whole])
            self._count = len(whole)
        return self._parts[0]

    def state(self) -> StoredRows:
        """All that is needed to continue from here."""
        return StoredRows(most=self._most, rows=self.rows())

    @classmethod
    def resume(cls, state: StoredRows) -> "LatestRows":
        """Continues from a state.

        Raises:
            ValueError: it is not the state of such rows.
        """
        if state.rows.ndim != 2 or not 0 < state.most <= MOST_LATEST_ROWS:
            raise ValueError(f"the latest {state.most} rows, of shape {state.rows.shape}")
        latest = cls(state.most, state.rows.shape[1])
        latest.add(state.rows)
        return latest


class GaugeBins:
    """Collects a `Gauge` in bounded memory, like `BinnedSums`."""

    def __init__(self, start_ns: int) -> None:
        self._bins = BinnedSums(3, start_ns)
        self._lows: IntArray = np.full(BINS, _HIGHEST, np.int64)
        self._highs: IntArray = np.full(BINS, _LOWEST, np.int64)
        self._last: int | None = None

    @classmethod
    def resume(cls, gauge: Gauge) -> "GaugeBins":
        """Continues from a stored gauge.

        Raises:
            ValueError: its arrays do not fit together.
        """
        bins = cls(gauge.start_ns)
        stored = Binned(
            start_ns=gauge.start_ns,
            width_ns=gauge.width_ns,
            sums=np.stack([gauge.counts, gauge.sums, gauge.zeros], axis=1),
        )
        bins._bins = BinnedSums.resume(
            BinnedRows(channels=3, start_ns=gauge.start_ns, rows=(stored,))
        )
        bins._lows[: len(gauge.lows)] = gauge.lows
        bins._highs[: len(gauge.highs)] = gauge.highs
        bins._last = gauge.last
        return bins

    def state(self) -> Gauge:
        """All that is needed to continue from here."""
        return self.freeze()

    def add(self, times_ns: IntArray, levels: IntArray) -> None:
        """Adds readings, in the order of time."""
        if not len(times_ns):
            return
        width = self._bins.width_ns
        zeros = (levels == 0).astype(np.int64)
        self._bins.add(times_ns, np.stack([np.ones_like(levels), levels, zeros], axis=1))
        while width < self._bins.width_ns:
            self._lows = _widened(self._lows, np.minimum, _HIGHEST)
            self._highs = _widened(self._highs, np.maximum, _LOWEST)
            width *= 2
        index = np.maximum((times_ns - self._bins.start_ns) // width, 0)
        np.minimum.at(self._lows, index, levels)
        np.maximum.at(self._highs, index, levels)
        self._last = int(levels[-1])

    def freeze(self) -> Gauge:
        """The collected values so far."""
        bins = self._bins.freeze()
        counts, sums, zeros = bins.sums.T.copy()
        return Gauge(
            start_ns=bins.start_ns,
            width_ns=bins.width_ns,
            counts=counts,
            sums=sums,
            zeros=zeros,
            lows=self._lows[: len(counts)].copy(),
            highs=self._highs[: len(counts)].copy(),
            last=self._last,
        )


class HistogramBins:
    """Collects a `Histogram`."""

    def __init__(self) -> None:
        self._counts: IntArray = np.zeros(HISTOGRAM_BINS, np.int64)
        self._sum_ns = 0

    @classmethod
    def resume(cls, histogram: Histogram) -> "HistogramBins":
        """Continues from a stored histogram."""
        bins = cls()
        bins._counts[: len(histogram.counts)] = histogram.counts
        bins._sum_ns = histogram.sum_ns
        return bins

    def state(self) -> Histogram:
        """All that is needed to continue from here."""
        return self.freeze()

    def add(self, durations_ns: IntArray) -> None:
        """Adds durations; negative ones count as 0."""
        clipped = np.maximum(durations_ns, 0)
        np.add.at(self._counts, _bin_index(clipped), 1)
        self._sum_ns += int(clipped.sum())

    def freeze(self) -> Histogram:
        """The collected values so far."""
        used = int(np.flatnonzero(self._counts)[-1]) + 1 if self._counts.any() else 0
        return Histogram(counts=self._counts[:used].copy(), sum_ns=self._sum_ns)


def _widened(levels: IntArray, combine: np.ufunc, empty: int) -> IntArray:
    pairs = combine(levels[0::2], levels[1::2])
    return np.concatenate([pairs, np.full(BINS // 2, empty, np.int64)])


def _bin_index(durations_ns: IntArray) -> IntArray:
    octaves = np.log2(durations_ns.astype(np.float64) / STEPS_PER_OCTAVE + 1.0)
    index: IntArray = (octaves * STEPS_PER_OCTAVE).astype(np.int64)
    return np.minimum(index, HISTOGRAM_BINS - 1)
