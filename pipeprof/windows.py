"""Which single intervals of a long run are kept: the first, the last, and some in between."""

from collections import deque

import numpy as np

from pipeprof.recording import SpanKind, Spans
from pipeprof.series import IntArray

FIRST = 6_000
LAST = 12_000
BETWEEN = 1_000
MOST_BETWEEN = 24

COLUMNS = ("kind", "subject", "lane", "start_ns", "end_ns", "inner_ns")
KIND_INDEX = {kind: index for index, kind in enumerate(SpanKind)}


class SpanWindows:
    """Keeps windows of intervals in bounded memory.

    The first `FIRST` and the last `LAST` intervals stay; whenever the run has doubled in number of
    intervals, the next `BETWEEN` stay too.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._kept: list[IntArray] = []
        self._last: deque[IntArray] = deque()
        self._last_count = 0
        self._window_from = FIRST * 4
        self._windows = 0

    def add(self, rows: IntArray) -> None:
        """Adds intervals: one row each, columns as in `COLUMNS`."""
        if not len(rows):
            return
        first = self._seen
        self._seen += len(rows)
        if first < FIRST:
            self._kept.append(rows[: FIRST - first])
            rows = rows[FIRST - first :]
            first = FIRST
        if not len(rows):
            return
        if self._seen > self._window_from and self._windows < MOST_BETWEEN:
            self._keep_window(rows, first)
        self._last.append(rows)
        self._last_count += len(rows)
        while self._last_count - len(self._last[0]) >= LAST:
            self._last_count -= len(self._last.popleft())

    def _keep_window(self, rows: IntArray, first: int) -> None:
        begin = max(0, self._window_from - first)
        end = self._window_from + BETWEEN - first
        self._kept.append(rows[begin:end])
        if end <= len(rows):
            self._window_from *= 2
            self._windows += 1

    def freeze(self) -> Spans:
        """The intervals kept so far, in the order of their ends, each once."""
        last = list(self._last)
        if last:
            surplus = self._last_count - LAST
            if surplus > 0:
                last[0] = last[0][surplus:]
        parts = [*self._kept, *last]
        rows = np.concatenate(parts) if parts else np.empty((0, len(COLUMNS)), np.int64)
        rows = np.unique(rows, axis=0)
        rows = rows[np.argsort(rows[:, COLUMNS.index("end_ns")], kind="stable")]
        return Spans(**{name: rows[:, index].copy() for index, name in enumerate(COLUMNS)})

    @classmethod
    def resume(cls, spans: Spans) -> "SpanWindows":
        """Goes on after a recovery; all that was kept stays."""
        windows = cls()
        rows = np.stack([getattr(spans, name) for name in COLUMNS], axis=1)
        windows._kept.append(rows)
        windows._seen = len(rows)
        windows._window_from = max(windows._window_from, 2 * len(rows))
        return windows
