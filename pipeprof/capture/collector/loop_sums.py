"""Turns a loop's records into steps with their waits, in bounded memory.

The wait of a step becomes known after the step: from a gap that a framework reports later, or from waits
that another thread recorded. Until then the step is held; then it is settled: it is counted, and kept if it
is among the first or the last steps.
"""

from dataclasses import field

import numpy as np

from pipeprof.capture.collector.account_sums import AccountSums
from pipeprof.capture.collector.delivery_sums import DeliverySums
from pipeprof.capture.collector.growing_series import BinnedSums, HistogramBins, LatestRows
from pipeprof.capture.recorder.facts import InputFacts, LoopFacts
from pipeprof.recording.account import LoopAccount
from pipeprof.recording.intervals import in_order, intersection, near, no_intervals, time_inside
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import (
    BEFORE_FIRST_STEP,
    INPUT_CHANNELS,
    LOOP_CHANNELS,
    MOMENT_CHANNELS,
    UNKNOWN_NS,
    Input,
    InputKind,
    Loop,
    Steps,
    WaitSource,
)
from pipeprof.recording.series import BoolArray, Gauge, IntArray

FIRST = 2048
LAST = 2048
HELD_AT_MOST = 4096
# Latest settled steps, and waits, that input work is still compared with.
LINE_AT_MOST = 8192

# A moment of which so much lies in waits, or outside of them, is one of these or those.
_WHOLLY = 0.9

# By so much a gap and its step differ where nothing but the clocks does.
_JITTER_NS = 2_000_000

COLUMNS = ("ordinal", "epoch", "start_ns", "end_ns", "wait_ns", "batches")
_ORDINAL, _EPOCH, _START, _END, _WAIT, _BATCHES = range(len(COLUMNS))
_NO_ROWS: IntArray = np.empty((0, len(COLUMNS)), np.int64)


@dataclass(kw_only=True)
class LoopSums:
    """Collects one `Loop`; a checkpoint stores it without change.

    Attributes:
        facts: facts about the loop.
        pid: the process that it runs in.
        number: its number in that process's name log.
        parent: index of the loop that it runs inside.
        settled_until_ns: end of the latest settled step; without one, the begin of the loop.
        warmup: steps that count as warm-up.
        lane: index of the lane that it runs on.
        settled: number of settled steps.
        epochs: epochs that began with a settled step.
        last_step: ordinal and epoch of the latest settled step.
        begin_ns: begin of the first settled step.
        steady_ns: begin of the first settled step after the warm-up.
        held: the steps that are not settled; columns of `COLUMNS`.
        gaps: nanoseconds in which a step did not wait, by its ordinal.
        overdrawn_ns: by how much gaps were longer than their steps, less what later waits gave for it.
        own_waits: intervals in which the loop itself was blocked.
        generator_waits: intervals in which a ``from_generator`` was blocked.
        account: its time beyond the single steps.
        delivery: what its model consumed.
        first: the first settled steps.
        recent: the latest settled steps.
    """

    facts: LoopFacts
    pid: int
    number: int
    parent: int | None
    settled_until_ns: int
    warmup: int
    over_time: BinnedSums
    input_over_time: BinnedSums
    moments_over_time: BinnedSums
    lane: int | None = None
    batch_count: int = 0
    sample_count: int | None = None
    step_count: int = 0
    settled: int = 0
    epochs: int = 0
    last_step: tuple[int, int] = BEFORE_FIRST_STEP
    begin_ns: int | None = None
    steady_ns: int | None = None
    held: IntArray = field(default_factory=lambda: _NO_ROWS)
    gaps: dict[int, int] = field(default_factory=dict)
    overdrawn_ns: int = 0
    own_waits: IntArray = field(default_factory=no_intervals)
    generator_waits: IntArray = field(default_factory=no_intervals)
    account: AccountSums = field(default_factory=AccountSums)
    delivery: DeliverySums = field(default_factory=DeliverySums)
    first: IntArray = field(default_factory=lambda: _NO_ROWS)
    recent: LatestRows = field(default_factory=lambda: LatestRows(LINE_AT_MOST, len(COLUMNS)))
    step_times: HistogramBins = field(default_factory=HistogramBins)
    wait_times: HistogramBins = field(default_factory=HistogramBins)
    callback_times: HistogramBins = field(default_factory=HistogramBins)
    compute_times: HistogramBins = field(default_factory=HistogramBins)
    epoch_start_times: HistogramBins = field(default_factory=HistogramBins)

    def __post_init__(self) -> None:
        for rows in (self.held, self.first, self.recent.rows()):
            if rows.ndim != 2 or rows.shape[1] != len(COLUMNS):
                raise ValueError(f"steps of shape {rows.shape}")
        for waits in (self.own_waits, self.generator_waits):
            if waits.ndim != 2 or waits.shape[1] != 2:
                raise ValueError(f"intervals of shape {waits.shape}")

    @classmethod
    def begin(
        cls, facts: LoopFacts, *, pid: int, number: int, parent: int | None, warmup: int
    ) -> "LoopSums":
        """The sums of a loop without steps; arguments as the attributes."""
        return cls(
            facts=facts,
            pid=pid,
            number=number,
            parent=parent,
            settled_until_ns=facts.start_ns,
            warmup=warmup,
            over_time=BinnedSums(len(LOOP_CHANNELS), facts.start_ns),
            input_over_time=BinnedSums(len(INPUT_CHANNELS), facts.start_ns),
            moments_over_time=BinnedSums(len(MOMENT_CHANNELS), facts.start_ns),
        )

    @property
    def waits_by(self) -> WaitSource | None:
        """How this loop's waits are measured, or None where that is not known yet."""
        return self.facts.waits_by

    @property
    def fed_by_keras(self) -> bool:
        """Whether a generator that Keras made feeds it, and not a tf.data pipeline of the user's."""
        fed_by = self.facts.input
        return fed_by is None or fed_by.kind is not InputKind.TF_DATA

    @property
    def is_steady(self) -> bool:
        """Whether it has finished its warm-up."""
        return self.steady_ns is not None

    @property
    def held_from_ns(self) -> int | None:
        """Begin of the first held step, or None without any."""
        return int(self.held[0, _START]) if len(self.held) else None

    def add_steps(self, rows: IntArray) -> None:
        """Adds steps (columns of `COLUMNS`, waits still unknown) in the order of time."""
        self.held = np.concatenate([self.held, rows])
        self.step_count += len(rows)
        self.batch_count += int(rows[:, _BATCHES].sum())

    def add_gaps(self, ordinals: IntArray, gaps_ns: IntArray) -> None:
        """Adds the time that each step did not wait, as a framework reports it; gaps of a step add up."""
        for ordinal, gap_ns in zip(ordinals.tolist(), gaps_ns.tolist(), strict=True):
            self.gaps[ordinal] = self.gaps.get(ordinal, 0) + gap_ns

    def add_waits(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds intervals in which the loop itself was blocked."""
        self.own_waits = _with_intervals(self.own_waits, start_ns, end_ns)

    def add_generator_waits(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds intervals in which a ``from_generator`` was blocked while the loop may have run.

        They count as the loop's waits only where these are measured by `WaitSource.GENERATOR`.
        """
        self.generator_waits = _with_intervals(self.generator_waits, start_ns, end_ns)

    @property
    def _waits(self) -> IntArray:
        """The intervals in which the loop was blocked, from the source that measures its waits."""
        generator = self.waits_by is WaitSource.GENERATOR
        return self.generator_waits if generator else self.own_waits

    def add_samples(self, samples: int) -> None:
        """Adds to the number of samples that the loop took."""
        self.sample_count = (self.sample_count or 0) + samples

    def settle(self, until_ns: int | None = None) -> None:
        """Counts the held steps whose waits are known.

        Args:
            until_ns: all events that ended before this time have been read. None when all events have, so
                that every held step is counted.
        """
        ready = self._ready(until_ns)
        self.held = self.held[len(ready) :]
        if len(ready):
            self._count(ready)
        self._drop_gaps()

    def _ready(self, until_ns: int | None) -> IntArray:
        """The held steps that can be settled, with their waits."""
        count = len(self.held)
        if until_ns is not None:
            count = max(self._count_known(until_ns), count - HELD_AT_MOST)
        ready: IntArray = self.held[:count].copy()
        ready[:, _WAIT] = self._waits_of(ready)
        return ready

    def _count_known(self, until_ns: int) -> int:
        """How many of the held steps have a known wait."""
        match self.waits_by:
            case WaitSource.GAP_TIMES | WaitSource.TRACE:
                newest = max(self.gaps, default=-1)
                return int(np.searchsorted(self.held[:, _ORDINAL], newest, "right"))
            case None:
                return 0
            case _:
                return int(np.searchsorted(self.held[:, _END], until_ns, "right"))

    def _waits_of(self, rows: IntArray) -> IntArray:
        durations = rows[:, _END] - rows[:, _START]
        match self.waits_by:
            case WaitSource.GAP_TIMES | WaitSource.TRACE:
                gaps = [self.gaps.get(ordinal) for ordinal in rows[:, _ORDINAL].tolist()]
                left = zip(durations.tolist(), gaps, strict=True)
                waits = [UNKNOWN_NS if gap is None else self._wait_of(ns - gap) for ns, gap in left]
                return np.array(waits, np.int64)
            case None:
                return np.full(len(rows), UNKNOWN_NS, np.int64)
            case _:
                starts, ends = rows[:, _START], rows[:, _END]
                return time_inside(near(self._waits, rows[:, [_START, _END]]), starts, ends)

    def _wait_of(self, left_ns: int) -> int:
        """The wait of a step: its time minus its gap.

        Two clocks measure the two, so for a step that did not wait the difference is negative about as
        often as it is positive. A negative difference is subtracted from the next waits, so that sums are
        right.
        """
        wait_ns = left_ns + self.overdrawn_ns
        self.overdrawn_ns = min(wait_ns, 0) if left_ns >= -_JITTER_NS else 0
        return max(wait_ns, 0)

    def _drop_gaps(self) -> None:
        """Removes the gaps of settled steps, and the oldest gaps of steps that never came."""
        if not self.gaps:
            return
        recent = self.recent.rows()
        last = int(recent[-1, _ORDINAL]) if len(recent) else -1
        pending = sorted(ordinal for ordinal in self.gaps if ordinal > last)
        self.gaps = {ordinal: self.gaps[ordinal] for ordinal in pending[-HELD_AT_MOST:]}

    def _count(self, rows: IntArray) -> None:
        if self.begin_ns is None:
            self.begin_ns = int(rows[0, _START])
        self.settled_until_ns = int(rows[-1, _END])
        durations = rows[:, _END] - rows[:, _START]
        waits = rows[:, _WAIT]
        steps = _as_steps(rows)
        first_of_epoch = steps.first_of_epoch(self.last_step)
        parts = self.account.count_steps(
            rows[:, [_START, _END]],
            rows[:, _ORDINAL],
            rows[:, _EPOCH],
            waits,
            first_of_epoch,
            by_hand=self.facts.kind.hand_written,
        )
        counted = steps.counted(self.warmup, self.last_step) & ~parts.compiles
        self.epochs += int(np.count_nonzero(np.diff(rows[:, _EPOCH], prepend=self.last_step[1])))
        self.last_step = (int(rows[-1, _ORDINAL]), int(rows[-1, _EPOCH]))
        measured = steps.measured
        warm = rows[:, _ORDINAL] >= self.warmup
        if self.steady_ns is None and warm.any():
            self.steady_ns = int(rows[warm][0, _START])
        self._count_times(durations, waits, parts.callback_ns, counted, measured)
        self.epoch_start_times.add(np.where(measured, waits, durations)[first_of_epoch])
        known = np.where(measured, durations, 0)
        waited = np.where(measured, waits, 0)
        channels = (
            np.ones_like(durations), durations, measured, known, waited, parts.callback_ns,
        )  # fmt: skip
        self.over_time.add(rows[:, _END], np.column_stack(channels))
        self._keep(rows)

    def _count_times(
        self,
        durations: IntArray,
        waits: IntArray,
        callback_ns: IntArray,
        counted: BoolArray,
        measured: BoolArray,
    ) -> None:
        both = counted & measured
        self.step_times.add(durations[counted])
        self.wait_times.add(waits[both])
        self.callback_times.add(callback_ns[counted])
        self.compute_times.add((durations - waits - callback_ns)[both])

    def _keep(self, rows: IntArray) -> None:
        if self.settled < FIRST:
            self.first = np.concatenate([self.first, rows[: FIRST - self.settled]])
        self.settled += len(rows)
        self.recent.add(rows)

    def add_input_work(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds the part of input work that lies in settled steps, and the part that lies in their waits.

        Args:
            start_ns: begins of intervals of input work.
            end_ns: their ends.
        """
        if len(self.recent.rows()) and len(end_ns):
            work = self._inside(start_ns, end_ns)
            self.input_over_time.add(end_ns, np.column_stack(work))

    def add_moments(self, start_ns: IntArray, end_ns: IntArray, cpu_ns: IntArray) -> None:
        """Adds the CPU time of moments that lie in waits of settled steps, or in the rest of these steps.

        Args:
            start_ns: begins of moments.
            end_ns: their ends.
            cpu_ns: CPU time that all threads of the process used in each.
        """
        if not len(self.recent.rows()) or not len(end_ns):
            return
        # Where an epoch begins the input may stand still: its iterator ends, or it is not there yet.
        in_steps, in_waits = self._inside(start_ns, end_ns, starts=False)
        length_ns = end_ns - start_ns
        waits = in_waits >= _WHOLLY * length_ns
        computes = ~waits & (in_steps - in_waits >= _WHOLLY * length_ns)
        columns = [kind * what for kind in (waits, computes) for what in (length_ns, cpu_ns)]
        chosen = waits | computes
        self.moments_over_time.add(end_ns[chosen], np.column_stack(columns)[chosen])

    def _inside(
        self, start_ns: IntArray, end_ns: IntArray, *, starts: bool = True
    ) -> tuple[IntArray, IntArray]:
        """How much of each interval lies in settled steps, and how much of it in their waits.

        Args:
            start_ns: begins of intervals.
            end_ns: their ends.
            starts: whether the first steps of epochs count.
        """
        rows = self.recent.rows()
        if not starts:
            rows = rows[np.diff(rows[:, _EPOCH], prepend=-1) == 0]
        first = np.searchsorted(rows[:, _END], start_ns.min(), "right")
        last = np.searchsorted(rows[:, _START], end_ns.max(), "left")
        rows = rows[first:last]
        rows = rows[rows[:, _WAIT] != UNKNOWN_NS]
        steps = rows[:, [_START, _END]]
        if self.waits_by in (WaitSource.GAP_TIMES, WaitSource.TRACE):
            # Where in its step the wait was is not known: it is taken as the beginning.
            waits = np.column_stack([rows[:, _START], rows[:, _START] + rows[:, _WAIT]])
        else:
            waits = intersection(near(self._waits, steps), steps)
        return time_inside(steps, start_ns, end_ns), time_inside(waits, start_ns, end_ns)

    def freeze(
        self,
        account: LoopAccount | None = None,
        queue: Gauge | None = None,
        head_of_line: Gauge | None = None,
    ) -> Loop:
        """The loop with its settled steps."""
        rows = self._kept()
        fed_by = self.facts.input or InputFacts()
        begin = self.begin_ns if self.begin_ns is not None else self.settled_until_ns
        return Loop(
            kind=self.facts.kind,
            parent=self.parent,
            input=Input(
                kind=fed_by.kind,
                name=fed_by.name,
                workers=fed_by.workers,
                multiprocessing=fed_by.multiprocessing,
                queue_size=fed_by.queue_size,
                queue=queue,
                autotune=self.facts.autotune,
                head_of_line=head_of_line,
                start_method=fed_by.start_method,
                library=fed_by.library,
            ),
            epochs=self.epochs,
            step_count=self.step_count,
            batch_count=self.batch_count,
            sample_count=self.sample_count,
            start_ns=begin,
            end_ns=max(self.settled_until_ns, begin),
            steady_ns=self.steady_ns,
            warmup_steps=self.warmup,
            steps=_as_steps(rows),
            step_times=self.step_times.freeze(),
            wait_times=self.wait_times.freeze(),
            callback_times=self.callback_times.freeze(),
            compute_times=self.compute_times.freeze(),
            epoch_start_times=self.epoch_start_times.freeze(),
            over_time=self.over_time.freeze(),
            waits_by=self.waits_by,
            lane=self.lane,
            input_over_time=self.input_over_time.freeze(),
            moments_over_time=self.moments_over_time.freeze(),
            model=self.facts.model,
            location=self.facts.location,
            account=account or LoopAccount(),
            delivery=self.delivery.freeze(),
            trained_model=self.delivery.model,
            compiled_by_shape=self.facts.compiled_by_shape or False,
        )

    def _kept(self) -> IntArray:
        latest = self.recent.rows()
        behind_first = min(max(self.settled - FIRST, 0), LAST)
        return np.concatenate([self.first, latest[len(latest) - behind_first :]])


def _as_steps(rows: IntArray) -> Steps:
    return Steps(**{name: rows[:, index].copy() for index, name in enumerate(COLUMNS)})


def _with_intervals(intervals: IntArray, start_ns: IntArray, end_ns: IntArray) -> IntArray:
    """All given intervals in the order of their begins, without the oldest beyond `LINE_AT_MOST`."""
    return in_order(intervals, np.column_stack([start_ns, end_ns]))[-LINE_AT_MOST:]
