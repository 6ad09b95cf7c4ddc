"""From what a loop recorded of itself to steps with their waits, in bounded memory.

A step's wait becomes known some time after the step: from a gap that a framework tells later, or
from waits that another thread recorded. Until then it is held back; once it is known the step is
settled, which means counted and, if it is among the first or the last, kept.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeprof.capture.collector.growing_series import BinnedSums, HistogramBins, LatestRows
from pipeprof.recording.intervals import in_order, intersection, near, no_intervals, time_inside
from pipeprof.recording.loop import (
    BEFORE_FIRST_STEP,
    INPUT_CHANNELS,
    LOOP_CHANNELS,
    UNKNOWN_NS,
    Input,
    InputKind,
    Loop,
    LoopKind,
    Steps,
    WaitSource,
)
from pipeprof.recording.series import BoolArray, Gauge, IntArray

FIRST = 2048
LAST = 2048
HELD_AT_MOST = 4096
# Settled steps, and waits, against which intervals of input work can still be laid.
LINE_AT_MOST = 8192

COLUMNS = ("ordinal", "epoch", "start_ns", "end_ns", "wait_ns", "batches")
_ORDINAL, _EPOCH, _START, _END, _WAIT, _BATCHES = range(len(COLUMNS))
_NO_ROWS: IntArray = np.empty((0, len(COLUMNS)), np.int64)


@dataclass
class LoopSums:
    """Collects one `Loop`.

    Attributes:
        settled_until_ns: end of the latest settled step; the begin of the loop before the first.
    """

    facts: dict[str, Any]
    parent: int | None
    start_ns: int
    warmup: int
    lane: int | None = None
    batch_count: int = 0
    sample_count: int | None = None
    step_count: int = 0
    _held: IntArray = field(default_factory=lambda: _NO_ROWS)
    _gaps: dict[int, int] = field(default_factory=dict)
    _own_waits: IntArray = field(default_factory=no_intervals)
    _generator_waits: IntArray = field(default_factory=no_intervals)

    def __post_init__(self) -> None:
        self.settled_until_ns = self.start_ns
        self._first: list[IntArray] = []
        self._recent = LatestRows(LINE_AT_MOST, len(COLUMNS))
        self._settled = 0
        self._epochs = 0
        self._last_step = BEFORE_FIRST_STEP
        self._begin_ns: int | None = None
        self._steady_ns: int | None = None
        self._step_times = HistogramBins()
        self._wait_times = HistogramBins()
        self._compute_times = HistogramBins()
        self._epoch_start_times = HistogramBins()
        self._over_time = BinnedSums(len(LOOP_CHANNELS), self.start_ns)
        self._input_over_time = BinnedSums(len(INPUT_CHANNELS), self.start_ns)

    @property
    def waits_by(self) -> WaitSource | None:
        """What tells this loop's waits, as far as that has been said."""
        told = self.facts.get("waits_by")
        return WaitSource(told) if told else None

    @property
    def fed_by_keras(self) -> bool:
        """Whether a generator that Keras made feeds it, and not a tf.data pipeline of the user's."""
        fed_by = self.facts.get("input") or {}
        return fed_by.get("kind") != InputKind.TF_DATA.value

    @property
    def is_steady(self) -> bool:
        """Whether it has come past its warm-up."""
        return self._steady_ns is not None

    @property
    def held_from_ns(self) -> int | None:
        """Begin of the first step that is held back, or None without any."""
        return int(self._held[0, _START]) if len(self._held) else None

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
        """Adds intervals in which the loop itself was blocked."""
        self._own_waits = _with_intervals(self._own_waits, start_ns, end_ns)

    def add_generator_waits(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds intervals in which a ``from_generator`` was blocked while the loop may have run.

        They are the loop's waits only where `WaitSource.GENERATOR` measures those.
        """
        self._generator_waits = _with_intervals(self._generator_waits, start_ns, end_ns)

    @property
    def _waits(self) -> IntArray:
        """The intervals in which the loop was blocked, from the one source that measures them."""
        generator = self.waits_by is WaitSource.GENERATOR
        return self._generator_waits if generator else self._own_waits

    def add_samples(self, samples: int) -> None:
        """Adds samples taken."""
        self.sample_count = (self.sample_count or 0) + samples

    def settle(self, until_ns: int | None = None) -> None:
        """Counts the steps whose waits are known by now.

        Args:
            until_ns: whatever ended before has been read; None when all has, and nothing more comes.
        """
        ready = self._ready(until_ns)
        self._held = self._held[len(ready) :]
        if len(ready):
            self._count(ready)
        self._drop_gaps()

    def _ready(self, until_ns: int | None) -> IntArray:
        """The held steps that need not be held any longer, with their waits."""
        count = len(self._held)
        if until_ns is not None:
            count = max(self._count_known(until_ns), count - HELD_AT_MOST)
        ready: IntArray = self._held[:count].copy()
        ready[:, _WAIT] = self._waits_of(ready)
        return ready

    def _count_known(self, until_ns: int) -> int:
        """How many of the held steps have a wait that is known by now."""
        match self.waits_by:
            case WaitSource.GAP_TIMES | WaitSource.TRACE:
                newest = max(self._gaps, default=-1)
                return int(np.searchsorted(self._held[:, _ORDINAL], newest, "right"))
            case None:
                return 0
            case _:
                return int(np.searchsorted(self._held[:, _END], until_ns, "right"))

    def _waits_of(self, rows: IntArray) -> IntArray:
        durations = rows[:, _END] - rows[:, _START]
        match self.waits_by:
            case WaitSource.GAP_TIMES | WaitSource.TRACE:
                gaps = np.array(
                    [self._gaps.get(o, -1) for o in rows[:, _ORDINAL].tolist()], np.int64
                )
                waits: IntArray = np.where(gaps < 0, UNKNOWN_NS, np.maximum(durations - gaps, 0))
                return waits
            case None:
                return np.full(len(rows), UNKNOWN_NS, np.int64)
            case _:
                starts, ends = rows[:, _START], rows[:, _END]
                return time_inside(near(self._waits, rows[:, [_START, _END]]), starts, ends)

    def _drop_gaps(self) -> None:
        """Forgets gaps of steps that are settled, and the oldest of steps that never came."""
        if not self._gaps:
            return
        recent = self._recent.rows()
        last = int(recent[-1, _ORDINAL]) if len(recent) else -1
        pending = sorted(ordinal for ordinal in self._gaps if ordinal > last)
        self._gaps = {ordinal: self._gaps[ordinal] for ordinal in pending[-HELD_AT_MOST:]}

    def _count(self, rows: IntArray) -> None:
        if self._begin_ns is None:
            self._begin_ns = int(rows[0, _START])
        self.settled_until_ns = int(rows[-1, _END])
        durations = rows[:, _END] - rows[:, _START]
        waits = rows[:, _WAIT]
        steps = _as_steps(rows)
        first_of_epoch = steps.first_of_epoch(self._last_step)
        counted = steps.counted(self.warmup, self._last_step)
        self._epochs += int(np.count_nonzero(np.diff(rows[:, _EPOCH], prepend=self._last_step[1])))
        self._last_step = (int(rows[-1, _ORDINAL]), int(rows[-1, _EPOCH]))
        measured = steps.measured
        warm = rows[:, _ORDINAL] >= self.warmup
        if self._steady_ns is None and warm.any():
            self._steady_ns = int(rows[warm][0, _START])
        self._count_times(durations, waits, counted, measured)
        self._epoch_start_times.add(np.where(measured, waits, durations)[first_of_epoch])
        known = np.where(measured, durations, 0)
        waited = np.where(measured, waits, 0)
        channels = (np.ones_like(durations), durations, measured, known, waited)
        self._over_time.add(rows[:, _END], np.column_stack(channels))
        self._keep(rows)

    def _count_times(
        self, durations: IntArray, waits: IntArray, counted: BoolArray, measured: BoolArray
    ) -> None:
        both = counted & measured
        self._step_times.add(durations[counted])
        self._wait_times.add(waits[both])
        self._compute_times.add((durations - waits)[both])

    def _keep(self, rows: IntArray) -> None:
        if self._settled < FIRST:
            self._first.append(rows[: FIRST - self._settled].copy())
        self._settled += len(rows)
        self._recent.add(rows)

    def add_input_work(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds intervals of input stages' work, as far as they lie in settled steps and their waits."""
        rows = self._recent.rows()
        if not len(rows) or not len(end_ns):
            return
        first = np.searchsorted(rows[:, _END], start_ns.min(), "right")
        last = np.searchsorted(rows[:, _START], end_ns.max(), "left")
        rows = rows[first:last]
        rows = rows[rows[:, _WAIT] != UNKNOWN_NS]
        steps = rows[:, [_START, _END]]
        if self.waits_by in (WaitSource.GAP_TIMES, WaitSource.TRACE):
            # Nobody told where in its step the wait was.
            waits = np.column_stack([rows[:, _START], rows[:, _START] + rows[:, _WAIT]])
        else:
            waits = intersection(near(self._waits, steps), steps)
        work = [time_inside(stretches, start_ns, end_ns) for stretches in (steps, waits)]
        self._input_over_time.add(end_ns, np.column_stack(work))

    def freeze(self, queue: Gauge | None = None, head_of_line: Gauge | None = None) -> Loop:
        """The loop as far as its steps are settled."""
        rows = self._kept()
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
                autotune=self.facts.get("autotune"),
                head_of_line=head_of_line,
                start_method=fed_by.get("start_method"),
            ),
            epochs=self._epochs,
            step_count=self.step_count,
            batch_count=self.batch_count,
            sample_count=self.sample_count,
            start_ns=begin,
            end_ns=max(self.settled_until_ns, begin),
            steady_ns=self._steady_ns,
            warmup_steps=self.warmup,
            steps=_as_steps(rows),
            step_times=self._step_times.freeze(),
            wait_times=self._wait_times.freeze(),
            compute_times=self._compute_times.freeze(),
            epoch_start_times=self._epoch_start_times.freeze(),
            over_time=self._over_time.freeze(),
            waits_by=self.waits_by,
            lane=self.lane,
            input_over_time=self._input_over_time.freeze(),
        )

    def _kept(self) -> IntArray:
        latest = self._recent.rows()
        behind_first = min(max(self._settled - FIRST, 0), LAST)
        return np.concatenate([_NO_ROWS, *self._first, latest[len(latest) - behind_first :]])

    def held_back(self) -> tuple[IntArray, dict[int, int], IntArray, IntArray]:
        """What a checkpoint must also hold: steps not settled, gaps not used, waits, generators' waits."""
        return self._held, dict(self._gaps), self._own_waits, self._generator_waits

    @classmethod
    def resume(
        cls,
        loop: Loop,
        facts: dict[str, Any],
        held: IntArray,
        gaps: dict[int, int],
        waits: IntArray,
        generator_waits: IntArray,
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
            _held=held,
            _gaps=gaps,
            _own_waits=waits,
            _generator_waits=generator_waits,
        )
        rows = np.stack([getattr(loop.steps, name) for name in COLUMNS], axis=1)
        settled = loop.step_count - len(held)
        sums._settled = settled
        sums._first = [rows[:FIRST]]
        sums._recent.add(rows if settled <= len(rows) else rows[FIRST:])
        sums._epochs = loop.epochs
        if len(rows):
            sums._begin_ns, sums.settled_until_ns = loop.start_ns, loop.end_ns
            sums._last_step = (int(rows[-1, _ORDINAL]), int(rows[-1, _EPOCH]))
        sums._steady_ns = loop.steady_ns
        sums._step_times = HistogramBins.resume(loop.step_times)
        sums._wait_times = HistogramBins.resume(loop.wait_times)
        sums._compute_times = HistogramBins.resume(loop.compute_times)
        sums._epoch_start_times = HistogramBins.resume(loop.epoch_start_times)
        sums._over_time = BinnedSums.resume(
            len(LOOP_CHANNELS), loop.over_time.start_ns, [loop.over_time]
        )
        sums._input_over_time = BinnedSums.resume(
            len(INPUT_CHANNELS), loop.input_over_time.start_ns, [loop.input_over_time]
        )
        return sums


def _as_steps(rows: IntArray) -> Steps:
    return Steps(**{name: rows[:, index].copy() for index, name in enumerate(COLUMNS)})


def _with_intervals(intervals: IntArray, start_ns: IntArray, end_ns: IntArray) -> IntArray:
    """Some intervals and further ones, in the order of their begins; the latest that are kept."""
    return in_order(intervals, np.column_stack([start_ns, end_ns]))[-LINE_AT_MOST:]
