"""From what a loop recorded of itself to steps with their waits, in bounded memory.

A step's wait becomes known some time after the step: from a gap that a framework tells later, or
from waits that another thread recorded. Until then it is held back; once it is known the step is
settled, which means counted and, if it is among the first or the last, kept.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeprof.recording import (
    LOOP_CHANNELS,
    UNKNOWN_NS,
    Input,
    InputKind,
    Loop,
    LoopKind,
    Steps,
    WaitSource,
)
from pipeprof.series import BinnedSums, BoolArray, HistogramBins, IntArray

FIRST = 2048
LAST = 2048
HELD_AT_MOST = 4096
LINE_AT_MOST = 8192

COLUMNS = ("ordinal", "epoch", "start_ns", "end_ns", "wait_ns", "batches")
_ORDINAL, _EPOCH, _START, _END, _WAIT, _BATCHES = range(len(COLUMNS))
_NO_ROWS: IntArray = np.empty((0, len(COLUMNS)), np.int64)
_NO_INTERVALS: IntArray = np.empty((0, 2), np.int64)


@dataclass
class LoopSums:
    """Collects one `Loop`."""

    facts: dict[str, Any]
    parent: int | None
    start_ns: int
    warmup: int
    lane: int | None = None
    batch_count: int = 0
    sample_count: int | None = None
    step_count: int = 0
    input_work_ns: int = 0
    input_work_in_wait_ns: int = 0
    _held: IntArray = field(default_factory=lambda: _NO_ROWS)
    _gaps: dict[int, int] = field(default_factory=dict)
    _waits: IntArray = field(default_factory=lambda: _NO_INTERVALS)
    _line: "SettledLine" = field(default_factory=lambda: SettledLine())

    def __post_init__(self) -> None:
        self._first: list[IntArray] = []
        self._last: deque[IntArray] = deque()
        self._settled = 0
        self._epochs = 0
        self._last_epoch = -1
        self._begin_ns: int | None = None
        self._end_ns = self.start_ns
        self._steady_ns: int | None = None
        self._step_times = HistogramBins()
        self._wait_times = HistogramBins()
        self._compute_times = HistogramBins()
        self._epoch_start_times = HistogramBins()
        self._over_time = BinnedSums(len(LOOP_CHANNELS), self.start_ns)

    @property
    def waits_by(self) -> WaitSource | None:
        """What tells this loop's waits, as far as that has been said."""
        told = self.facts.get("waits_by")
        return WaitSource(told) if told else None

    def add_steps(self, rows: IntArray) -> None:
        """Adds steps (columns of `COLUMNS`, waits still unknown) in the order of time."""
        self._held = np.concatenate([self._held, rows])
        self.step_count += len(rows)
        self.batch_count += int(rows[:, _BATCHES].sum())

    def add_gaps(self, ordinals: IntArray, gaps_ns: IntArray) -> None:
        """Adds what a framework says each step did not wait; gaps of one step add up."""
        for ordinal, gap_ns in zip(ordinals.tolist(), gaps_ns.tolist(), strict=True):
            self._gaps[ordinal] = self._gaps.get(ordinal, 0) + gap_ns

    def add_waits(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds intervals in which the loop was blocked."""
        rows = np.concatenate([self._waits, np.stack([start_ns, end_ns], axis=1)])
        self._waits = rows[np.argsort(rows[:, 0], kind="stable")][-LINE_AT_MOST:]

    def add_samples(self, samples: int) -> None:
        """Adds samples taken."""
        self.sample_count = (self.sample_count or 0) + samples

    def settle(self, *, final: bool = False) -> "SettledLine":
        """Counts the steps whose waits are known by now, or all with ``final``.

        Returns:
            The time line of settled steps, for laying other intervals against it.
        """
        rows = self._held
        if not len(rows):
            return self._line
        source = self.waits_by
        if source is WaitSource.GAP_TIMES:
            ready = self._settle_by_gaps(rows, final)
        elif source is not None:
            ready = rows.copy()
            ready[:, _WAIT] = _time_inside(self._waits, ready[:, _START], ready[:, _END])
        elif final or len(rows) > HELD_AT_MOST:
            ready = rows
        else:
            return self._line
        if len(ready):
            self._held = rows[len(ready) :]
            self._count(ready)
        return self._line

    def _settle_by_gaps(self, rows: IntArray, final: bool) -> IntArray:
        newest = max(self._gaps, default=-1)
        count = len(rows) if final else int(np.searchsorted(rows[:, _ORDINAL], newest, "right"))
        if not final:
            count = max(count, len(rows) - HELD_AT_MOST)
        ready: IntArray = rows[:count].copy()
        durations = ready[:, _END] - ready[:, _START]
        gaps = np.array([self._gaps.pop(o, -1) for o in ready[:, _ORDINAL].tolist()], np.int64)
        ready[:, _WAIT] = np.where(gaps < 0, UNKNOWN_NS, np.maximum(durations - gaps, 0))
        return ready

    def _count(self, rows: IntArray) -> None:
        if self._begin_ns is None:
            self._begin_ns = int(rows[0, _START])
        self._end_ns = int(rows[-1, _END])
        durations = rows[:, _END] - rows[:, _START]
        waits = rows[:, _WAIT]
        first_of_epoch = np.diff(rows[:, _EPOCH], prepend=self._last_epoch) != 0
        self._epochs += int(first_of_epoch.sum())
        self._last_epoch = int(rows[-1, _EPOCH])
        measured = waits != UNKNOWN_NS
        warm = rows[:, _ORDINAL] >= self.warmup
        if self._steady_ns is None and warm.any():
            self._steady_ns = int(rows[warm][0, _START])
        self._count_times(durations, waits, warm & ~first_of_epoch, measured)
        self._epoch_start_times.add(np.where(measured, waits, durations)[first_of_epoch])
        self._over_time.add(
            rows[:, _END],
            np.stack(
                [
                    np.ones_like(durations),
                    durations,
                    measured.astype(np.int64),
                    np.where(measured, durations, 0),
                    np.where(measured, waits, 0),
                ],
                axis=1,
            ),
        )
        self._line.extend(rows, self._intervals(rows, measured))
        self._keep(rows)

    def _intervals(self, rows: IntArray, measured: BoolArray) -> IntArray:
        """Where in their steps the loop waited; for a gap the wait comes first."""
        if self.waits_by is WaitSource.GAP_TIMES:
            starts = rows[measured, _START]
            return np.stack([starts, starts + rows[measured, _WAIT]], axis=1)
        inside = (self._waits[:, 1] > rows[0, _START]) & (self._waits[:, 0] < rows[-1, _END])
        waits: IntArray = self._waits[inside]
        return waits

    def _count_times(
        self, durations: IntArray, waits: IntArray, counted: BoolArray, measured: BoolArray
    ) -> None:
        both = counted & measured
        self._step_times.add(durations[counted])
        self._wait_times.add(waits[both])
        self._compute_times.add((durations - waits)[both])

    def _keep(self, rows: IntArray) -> None:
        room = FIRST - self._settled
        self._settled += len(rows)
        if room > 0:
            self._first.append(rows[:room])
            rows = rows[room:]
        if len(rows):
            self._last.append(rows[-LAST:])
        while sum(map(len, self._last)) - (len(self._last[0]) if self._last else 0) >= LAST:
            self._last.popleft()

    def add_input_work(self, total_ns: int, in_wait_ns: int) -> None:
        """Adds work of input stages that ran during settled steps, and the part of it in waits."""
        self.input_work_ns += total_ns
        self.input_work_in_wait_ns += in_wait_ns

    def freeze(self, queue: Any = None) -> Loop:
        """The loop as far as its steps are settled."""
        parts = [*self._first, *self._last]
        rows = np.concatenate(parts) if parts else _NO_ROWS
        fed_by = self.facts.get("input") or {}
        kind = fed_by.get("kind")
        begin = self._begin_ns if self._begin_ns is not None else self.start_ns
        return Loop(
            kind=LoopKind(self.facts["kind"]),
            parent=self.parent,
            input=Input(
                kind=InputKind(kind) if kind else None,
                name=fed_by.get("name"),
                workers=fed_by.get("workers"),
                multiprocessing=fed_by.get("multiprocessing"),
                queue_size=fed_by.get("queue_size"),
                queue=queue,
            ),
            epochs=self._epochs,
            step_count=self.step_count,
            batch_count=self.batch_count,
            sample_count=self.sample_count,
            start_ns=begin,
            end_ns=max(self._end_ns, begin),
            steady_ns=self._steady_ns,
            warmup_steps=self.warmup,
            steps=Steps(**{name: rows[:, i].copy() for i, name in enumerate(COLUMNS)}),
            step_times=self._step_times.freeze(),
            wait_times=self._wait_times.freeze(),
            compute_times=self._compute_times.freeze(),
            epoch_start_times=self._epoch_start_times.freeze(),
            over_time=self._over_time.freeze(),
            waits_by=self.waits_by,
            lane=self.lane,
            input_work_ns=self.input_work_ns,
            input_work_in_wait_ns=self.input_work_in_wait_ns,
        )

    def held_back(self) -> tuple[IntArray, dict[int, int], IntArray]:
        """Steps not settled yet, gaps not used yet, and waits: what a checkpoint must also hold."""
        return self._held, dict(self._gaps), self._waits

    @classmethod
    def resume(
        cls,
        loop: Loop,
        facts: dict[str, Any],
        held: IntArray,
        gaps: dict[int, int],
        waits: IntArray,
    ) -> "LoopSums":
        """Goes on from a checkpoint."""
        sums = cls(
            facts=facts,
            parent=loop.parent,
            start_ns=loop.over_time.start_ns,
            warmup=loop.warmup_steps,
            lane=loop.lane,
            batch_count=loop.batch_count,
            sample_count=loop.sample_count,
            step_count=loop.step_count,
            input_work_ns=loop.input_work_ns,
            input_work_in_wait_ns=loop.input_work_in_wait_ns,
            _held=held,
            _gaps=gaps,
            _waits=waits,
        )
        rows = np.stack([getattr(loop.steps, name) for name in COLUMNS], axis=1)
        settled = loop.step_count - len(held)
        sums._settled = settled
        sums._first = [rows[: min(FIRST, settled)]]
        if len(rows) > FIRST:
            sums._last = deque([rows[FIRST:]])
        sums._epochs = loop.epochs
        if len(rows):
            sums._begin_ns, sums._end_ns = loop.start_ns, loop.end_ns
            sums._last_epoch = int(rows[-1, _EPOCH])
        sums._steady_ns = loop.steady_ns
        sums._step_times = HistogramBins.resume(loop.step_times)
        sums._wait_times = HistogramBins.resume(loop.wait_times)
        sums._compute_times = HistogramBins.resume(loop.compute_times)
        sums._epoch_start_times = HistogramBins.resume(loop.epoch_start_times)
        sums._over_time = BinnedSums.resume(loop.over_time)
        return sums


class SettledLine:
    """The latest settled steps and the waits in them, to lay intervals of input work against."""

    def __init__(self) -> None:
        self._steps: IntArray = _NO_INTERVALS
        self._waits: IntArray = _NO_INTERVALS
        self.until_ns: int | None = None

    def extend(self, rows: IntArray, waits: IntArray) -> None:
        """Adds settled steps (columns of `COLUMNS`) and the intervals in which they waited."""
        measured = rows[rows[:, _WAIT] != UNKNOWN_NS]
        steps = measured[:, [_START, _END]]
        self._steps = np.concatenate([self._steps, steps])[-LINE_AT_MOST:]
        self._waits = np.unique(np.concatenate([self._waits, waits]), axis=0)[-LINE_AT_MOST:]
        self.until_ns = int(rows[-1, _END])

    def split(self, start_ns: IntArray, end_ns: IntArray) -> tuple[int, int]:
        """How much of some intervals lies in settled steps, and how much of that in waits."""
        in_steps = _time_inside(self._steps, start_ns, end_ns)
        in_waits = np.minimum(_time_inside(self._waits, start_ns, end_ns), in_steps)
        return int(in_steps.sum()), int(in_waits.sum())


def _time_inside(intervals: IntArray, start_ns: IntArray, end_ns: IntArray) -> IntArray:
    """For each stretch of time, how much of it lies in the intervals (sorted, not overlapping)."""
    if not len(intervals):
        return np.zeros(len(start_ns), np.int64)
    starts = intervals[:, 0]
    ends = np.maximum.accumulate(intervals[:, 1])
    starts = np.maximum(starts, np.concatenate([starts[:1], ends[:-1]]))
    lengths = np.maximum(ends - starts, 0)
    before = np.concatenate([[0], np.cumsum(lengths)])

    def until(times: IntArray) -> IntArray:
        index = np.searchsorted(starts, times, side="right")
        previous = np.maximum(index - 1, 0)
        partial = np.clip(times - starts[previous], 0, lengths[previous])
        total: IntArray = np.where(index > 0, before[previous] + partial, 0)
        return total

    return until(end_ns) - until(start_ns)
