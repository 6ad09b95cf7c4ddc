"""Which single intervals of a long run are kept: the first, the last, and some in between."""

import numpy as np

from pipeprof.capture.collector.growing_series import LatestRows
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import BoolArray, IntArray
from pipeprof.recording.span import Spans

FIRST = 6_000
LAST = 12_000
BETWEEN = 1_000
BETWEEN_FROM = 4 * FIRST

COLUMNS = ("kind", "subject", "lane", "start_ns", "end_ns", "inner_ns")
_NUMBER = len(COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSpans:
    """What `SpanKeeper` holds.

    Attributes:
        seen: how many intervals there were.
        early: the first and those in between; columns as in `COLUMNS`, then their numbers.
        late: the last; columns as in `COLUMNS`.
    """

    seen: int
    early: IntArray
    late: IntArray


class SpanKeeper:
    """Keeps some intervals of a run in bounded memory.

    The first `FIRST` and the last `LAST` intervals stay; whenever the run has doubled in number of
    intervals, the next `BETWEEN` stay too.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._early: list[IntArray] = []
        self._late = LatestRows(LAST, len(COLUMNS))

    def add(self, rows: IntArray) -> None:
        """Adds intervals: one row each, columns as in `COLUMNS`."""
        numbers = np.arange(self._seen, self._seen + len(rows))
        chosen = _stays(numbers)
        if chosen.any():
            self._early.append(np.column_stack([rows[chosen], numbers[chosen]]))
        self._late.add(rows)
        self._seen += len(rows)

    def freeze(self) -> Spans:
        """The intervals kept so far, in the order of their ends."""
        kept = self.state()
        early = kept.early[kept.early[:, _NUMBER] < kept.seen - len(kept.late), :_NUMBER]
        rows = np.concatenate([early, kept.late])
        rows = rows[np.argsort(rows[:, COLUMNS.index("end_ns")], kind="stable")]
        return Spans(**{name: rows[:, index].copy() for index, name in enumerate(COLUMNS)})

    def state(self) -> KeptSpans:
        """All that is needed to go on from here."""
        early = np.concatenate([np.empty((0, _NUMBER + 1), np.int64), *self._early])
        return KeptSpans(seen=self._seen, early=early, late=self._late.rows())

    @classmethod
    def resume(cls, kept: KeptSpans) -> "SpanKeeper":
        """Goes on from a state."""
        keeper = cls()
        keeper._seen = kept.seen
        keeper._early = [kept.early]
        keeper._late.add(kept.late)
        return keeper


def _stays(numbers: IntArray) -> BoolArray:
    """Which intervals are among the first or in between, by their number in the run."""
    _, exponents = np.frexp(numbers // BETWEEN_FROM)
    begins = BETWEEN_FROM << np.maximum(exponents.astype(np.int64) - 1, 0)
    stays: BoolArray = (numbers < FIRST) | (numbers - begins < BETWEEN) & (numbers >= begins)
    return stays
