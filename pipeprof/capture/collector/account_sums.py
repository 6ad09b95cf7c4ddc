"""Sums up where the time of one loop went, in bounded memory: passes, epochs, host calls, compiling."""

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

import numpy as np

from pipeprof.capture.collector.epoch_calls import renumbered, with_epoch_calls
from pipeprof.capture.collector.sample_rows import (
    OFFSETS_NS,
    SAMPLE_COLUMNS,
    freeze_loop_samples,
    merged_samples,
    no_samples,
    with_offsets,
)
from pipeprof.capture.recorder.facts import HostCallFacts, PlaceFacts
from pipeprof.recording.account import (
    COMPILATION_COLUMNS,
    EPOCH_CALL_COLUMNS,
    EPOCH_COLUMNS,
    PART_CODES,
    PASS_COLUMNS,
    HostCall,
    LoopAccount,
    Part,
    PassContext,
    no_compilations,
    no_epoch_calls,
    no_epochs,
    no_passes,
)
from pipeprof.recording.intervals import in_order, near, no_intervals, time_inside
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import BoolArray, IntArray

KEPT = 512
COMPILATIONS_KEPT = 128
# Intervals that wait for the steps they lie in, whose own waits are measured some time later.
MOST_HELD = 65_536
NO_EPOCH = -1
FOREVER_NS = 1 << 62

_COLUMN = {name: index for index, name in enumerate(EPOCH_COLUMNS)}


@dataclass(frozen=True, slots=True)
class StepParts:
    """What some steps were made of besides waiting, one entry a step, in nanoseconds.

    Attributes:
        callback_ns: calls of the host's in them.
        model_ns: the model's own work, where a hand-written loop shows it.
        compiles: whether something was traced or compiled in them.
    """

    callback_ns: IntArray
    model_ns: IntArray
    compiles: BoolArray


@dataclass
class CallSums:
    """How often something of the host's was called, and for how long in all."""

    calls: int = 0
    total_ns: int = 0


@dataclass(kw_only=True)
class AccountSums:
    """Collects a `pipeprof.recording.account.LoopAccount`; it is stored in a checkpoint as it is.

    Attributes:
        pass_count: passes that have ended.
        pass_ns: their time together, by `PassContext` value.
        start_ns: when the first pass began.
        end_ns: when the latest ended.
        open_pass: begin and context of the pass that runs.
        passes: rows of `PASS_COLUMNS`.
        epoch: number of the epoch that runs, or `NO_EPOCH`.
        epochs: rows of `EPOCH_COLUMNS`, in the order of epochs.
        totals: one such row: all epochs and what lay outside of any together.
        compilations: rows of `COMPILATION_COLUMNS`.
        compile_steps: how many such steps there were.
        calls: the host's calls, by the index of what was called.
        epoch_calls: the same by epoch: rows of `EPOCH_CALL_COLUMNS`.
        open_call: begin, index of what was called, epoch and code of the part of a call of the host's that
            had not ended when it was recorded.
        called_ns: begin of the latest call that has ended.
        samples: how often the training thread was sampled: rows of `SAMPLE_COLUMNS`.
        step_samples: the same in steps of a hand-written loop, with the index of `OFFSETS_NS` as the part.
        offset_ns: the time of those steps that no clock divides up, by index of `OFFSETS_NS`.
        held_calls: calls whose steps are not settled yet, as intervals.
        held_input: work of the input on the training thread whose steps are not settled yet, as intervals.
        held_models: work of the model whose steps are not settled yet, as intervals.
        held_compiles: compiling whose step is not settled yet: rows of begin, end, end of tracing, reason.
        ready: when the first batch of an epoch lay ready, by epoch.
    """

    pass_count: int = 0
    pass_ns: list[int] = field(default_factory=lambda: [0] * len(PassContext))
    start_ns: int | None = None
    end_ns: int | None = None
    open_pass: tuple[int, int] | None = None
    passes: IntArray = field(default_factory=no_passes)
    epoch: int = NO_EPOCH
    epochs: IntArray = field(default_factory=no_epochs)
    totals: IntArray = field(default_factory=lambda: np.zeros((1, len(EPOCH_COLUMNS)), np.int64))
    compilations: IntArray = field(default_factory=no_compilations)
    compile_steps: int = 0
    calls: dict[int, CallSums] = field(default_factory=dict)
    epoch_calls: IntArray = field(default_factory=no_epoch_calls)
    open_call: tuple[int, int, int, int] | None = None
    called_ns: int = 0
    samples: IntArray = field(default_factory=lambda: no_samples())
    step_samples: IntArray = field(default_factory=lambda: no_samples())
    offset_ns: IntArray = field(default_factory=lambda: np.zeros(len(OFFSETS_NS), np.int64))
    held_calls: IntArray = field(default_factory=no_intervals)
    held_input: IntArray = field(default_factory=no_intervals)
    held_models: IntArray = field(default_factory=no_intervals)
    held_compiles: IntArray = field(default_factory=lambda: np.empty((0, 4), np.int64))
    ready: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = {
            "passes": len(PASS_COLUMNS),
            "epochs": len(EPOCH_COLUMNS),
            "totals": len(EPOCH_COLUMNS),
            "compilations": len(COMPILATION_COLUMNS),
            "epoch_calls": len(EPOCH_CALL_COLUMNS),
            "samples": len(SAMPLE_COLUMNS),
            "step_samples": len(SAMPLE_COLUMNS),
            "held_calls": 2,
            "held_input": 2,
            "held_models": 2,
            "held_compiles": 4,
        }
        for name, columns in expected.items():
            if np.shape(getattr(self, name))[1:] != (columns,):
                raise ValueError(f"{name} of shape {np.shape(getattr(self, name))}")
        if np.shape(self.offset_ns) != OFFSETS_NS.shape:
            raise ValueError(f"offset_ns of shape {np.shape(self.offset_ns)}")
        if len(self.pass_ns) != len(PassContext) or len(self.totals) != 1:
            raise ValueError("sums of passes or epochs that are none")

    # Passes and epochs.

    def begin_pass(self, at_ns: int, context: int) -> None:
        """A call of ``fit``, or a stretch of a hand-written loop, begins."""
        if self.start_ns is None:
            self.start_ns = at_ns
        self.open_pass = (at_ns, context)

    def end_pass(self, start_ns: int, end_ns: int, context: int) -> None:
        """Adds a pass that ended: its begin, its end and the value of its `PassContext`."""
        if self.start_ns is None:
            self.start_ns = start_ns
        self.end_ns = max(self.end_ns or end_ns, end_ns)
        self.open_pass = None
        self.epoch = NO_EPOCH
        self.pass_count += 1
        self.pass_ns[context] += end_ns - start_ns
        self.passes = _first_and_last(self.passes, [[start_ns, end_ns, context]], KEPT)

    def latest_end_ns(self, start_ns: int) -> int:
        """When the pass that began at a time ended; while it is open, `FOREVER_NS`."""
        if self.open_pass is not None and self.open_pass[0] == start_ns:
            return FOREVER_NS
        ends: IntArray = self.passes[self.passes[:, 0] == start_ns, 1]
        return int(ends.max(initial=start_ns))

    def begin_epoch(self, epoch: int, at_ns: int) -> None:
        """An epoch of this loop begins."""
        self.epoch = epoch
        self.epochs = self.epochs.copy()  # what was stored of it does not change
        row = self._row(epoch)
        row[_COLUMN["start_ns"]] = row[_COLUMN["end_ns"]] = at_ns

    def end_epoch(self, epoch: int, start_ns: int, end_ns: int) -> None:
        """An epoch of this loop has ended, its callbacks included."""
        self.epochs = self.epochs.copy()
        row = self._row(epoch)
        row[_COLUMN["start_ns"]], row[_COLUMN["end_ns"]] = start_ns, end_ns
        self.epoch = NO_EPOCH

    # What lies in steps or between them.

    def add_calls(self, table: IntArray) -> None:
        """Adds calls of the host's.

        Args:
            table: rows of begin, end, index of what was called, epoch, and the code of its part.
        """
        spans = table[:, :2]
        self.held_calls = in_order(self.held_calls, spans)[-MOST_HELD:]
        self.called_ns = max(self.called_ns, int(spans[:, 0].max(initial=0)))
        lengths = spans[:, 1] - spans[:, 0]
        self.epoch_calls = with_epoch_calls(self.epoch_calls, table)
        for call in np.unique(table[:, 2]).tolist():
            mine = table[:, 2] == call
            sums = self.calls.setdefault(call, CallSums())
            sums.calls += int(mine.sum())
            sums.total_ns += int(lengths[mine].sum())
        # All of it is taken to lie outside of steps until the steps are known that it lies in.
        callbacks, inputs = (
            table[:, 4] == PART_CODES[part] for part in (Part.CALLBACKS, Part.EPOCH_START)
        )
        for column, chosen in (
            ("outside_callback_ns", callbacks),
            ("outside_input_ns", inputs),
            ("outside_call_ns", ~callbacks & ~inputs),
        ):
            self._add_to_epochs(table[chosen, 3], column, lengths[chosen])

    def add_input(self, spans: IntArray) -> None:
        """Adds work of the input on the training thread: rows of begin and end."""
        self.held_input = in_order(self.held_input, spans)[-MOST_HELD:]
        # As with calls, all of it is taken to lie outside of steps at first.
        lengths = spans[:, 1] - spans[:, 0]
        self._add_to_epochs(np.full(len(spans), self.epoch), "outside_input_ns", lengths)

    def add_models(self, start_ns: IntArray, end_ns: IntArray) -> None:
        """Adds calls in which the model of a hand-written loop worked."""
        spans = np.column_stack([start_ns, end_ns])
        self.held_models = in_order(self.held_models, spans)[-MOST_HELD:]

    def add_compiles(self, table: IntArray) -> None:
        """Adds calls that traced or compiled: rows of begin, end, end of tracing (or 0), reason."""
        self.held_compiles = np.concatenate([self.held_compiles, table])[-MOST_HELD:]

    def add_first_ready(self, epoch: int, at_ns: int) -> None:
        """An epoch's first batch lay ready then."""
        self.ready[epoch] = at_ns
        while len(self.ready) > KEPT:
            del self.ready[next(iter(self.ready))]

    def add_validation(self, length_ns: int) -> None:
        """A pass of another loop validated between the steps of this one."""
        self._add_to_epochs(np.array([self.epoch]), "validation_ns", np.array([length_ns]))

    def add_samples(self, rows: IntArray) -> None:
        """Adds samples of the training thread: rows of `SAMPLE_COLUMNS`."""
        self.samples = merged_samples(self.samples, rows)

    def add_step_samples(self, rows: IntArray, since_ns: IntArray) -> None:
        """Adds samples in the steps of a hand-written loop.

        Args:
            rows: rows of `SAMPLE_COLUMNS`.
            since_ns: the time from the begin of the step to each.
        """
        placed: IntArray = rows.copy()
        placed[:, 2] = np.searchsorted(OFFSETS_NS, since_ns, "right") - 1
        self.step_samples = merged_samples(self.step_samples, placed)

    def add_early_samples(self, rows: IntArray, part: Part) -> None:
        """Adds samples from before the first step of a pass of a framework's loop.

        Args:
            rows: the time of each before its `SAMPLE_COLUMNS`.
            part: what they belong to where no work of the input ran.
        """
        spans = self.held_input
        at = np.searchsorted(spans[:, 0], rows[:, 0], "right") - 1
        by_input = (at >= 0) & (rows[:, 0] < spans[at, 1]) if len(spans) else at >= 0
        moved: IntArray = rows[:, 1:].copy()
        moved[:, 2] = np.where(by_input, PART_CODES[Part.EPOCH_START], PART_CODES[part])
        self.add_samples(moved)

    def count_steps(
        self,
        steps: IntArray,
        ordinals: IntArray,
        epochs: IntArray,
        waits: IntArray,
        first: BoolArray,
        *,
        by_hand: bool = False,
    ) -> StepParts:
        """Counts steps whose waits are known by now.

        Args:
            steps: rows of begin and end.
            ordinals: their numbers in the loop.
            epochs: the epoch of each.
            waits: how long each waited, or -1 where that was not measured.
            first: whether it is the first of its epoch.
            by_hand: whether they are a hand-written loop's.
        """
        starts, ends = steps.T
        durations = ends - starts
        measured = waits >= 0
        waited = np.where(measured, waits, 0)
        calls = near(self.held_calls, steps)
        callback_ns = np.minimum(time_inside(calls, starts, ends), durations - waited)
        input_ns = time_inside(near(self.held_input, steps), starts, ends)
        models = near(self.held_models, steps)
        model_ns = np.minimum(time_inside(models, starts, ends), durations - waited - callback_ns)
        compiles = self._note_compilations(
            steps, ordinals, epochs, waits, callback_ns, model_ns, first
        )
        plain = ~compiles
        if by_hand:
            plain_starts, plain_ends = starts[plain], ends[plain]
            waiting = np.column_stack([plain_starts, plain_starts + waited[plain]])
            self.offset_ns = with_offsets(
                self.offset_ns, plain_starts, plain_ends, in_order(models, calls, waiting)
            )
        if len(steps):
            self._add_columns(
                epochs,
                steps=np.ones_like(durations),
                step_ns=durations,
                measured_ns=durations * (plain & measured),
                wait_ns=waited * plain,
                epoch_start_ns=waited * (plain & first),
                callback_ns=callback_ns,
                model_ns=model_ns * plain,
                compile_step_ns=(durations - callback_ns) * compiles,
                compile_wait_ns=waited * compiles,
                outside_callback_ns=-callback_ns,
                outside_input_ns=-input_ns,
            )
            last = int(ends[-1])
            self.held_calls = self.held_calls[self.held_calls[:, 1] > last]
            self.held_input = self.held_input[self.held_input[:, 1] > last]
            self.held_models = self.held_models[self.held_models[:, 1] > last]
            self.held_compiles = self.held_compiles[self.held_compiles[:, 0] >= last]
        return StepParts(callback_ns, model_ns, compiles)

    def _note_compilations(
        self,
        steps: IntArray,
        ordinals: IntArray,
        epochs: IntArray,
        waits: IntArray,
        callback_ns: IntArray,
        model_ns: IntArray,
        first: BoolArray,
    ) -> BoolArray:
        compiles = np.zeros(len(steps), bool)
        if not len(steps):
            return compiles
        for start, _, traced, reason in self.held_compiles.tolist():
            at = int(np.searchsorted(steps[:, 0], start, "right")) - 1
            if at < 0 or start >= steps[at, 1]:
                continue
            if compiles[at]:  # several functions were traced in one step
                continue
            compiles[at] = True
            ready = self.ready.get(int(epochs[at]), 0) if first[at] else 0
            row = (
                ordinals[at], epochs[at], *steps[at], waits[at], callback_ns[at], model_ns[at],
                traced, ready, first[at], reason,
            )  # fmt: skip
            self.compilations = _first_and_last(self.compilations, [row], COMPILATIONS_KEPT)
            self.compile_steps += 1
        return compiles

    def _add_to_epochs(self, epochs: IntArray, column: str, values: IntArray) -> None:
        if len(values):
            self._add_columns(epochs, **{column: values})

    def _add_columns(self, epochs: IntArray, **columns: IntArray) -> None:
        """Adds some columns of `EPOCH_COLUMNS` to the rows of epochs, and to the totals.

        Args:
            epochs: the epoch of each value; at least one.
            columns: the values of each column.
        """
        places = [_COLUMN[name] for name in columns]
        values = np.stack(list(columns.values()))
        self.totals = self.totals.copy()  # what was stored of it does not change
        self.totals[0, places] += values.sum(axis=1)
        ends = np.flatnonzero(epochs[1:] != epochs[:-1]) + 1
        begins = np.concatenate([[0], ends])
        sums = np.add.reduceat(values, begins, axis=1)
        self.epochs = self.epochs.copy()
        for position, epoch in enumerate(epochs[begins].tolist()):
            if epoch != NO_EPOCH:
                self._row(epoch)[places] += sums[:, position]

    def _row(self, epoch: int) -> IntArray:
        """The row of an epoch, made if there is none; a row to throw away if the epoch is not kept."""
        numbers = self.epochs[:, _COLUMN["epoch"]]
        at = int(np.searchsorted(numbers, epoch))
        if at == len(numbers) or numbers[at] != epoch:
            if at < len(numbers):
                return np.zeros(len(EPOCH_COLUMNS), np.int64)
            row = np.zeros((1, len(EPOCH_COLUMNS)), np.int64)
            row[0, _COLUMN["epoch"]] = epoch
            self.epochs = _first_and_last(self.epochs, row, KEPT)
            at = len(self.epochs) - 1
        found: IntArray = self.epochs[at]
        return found

    def freeze(
        self,
        until_ns: int,
        calls: Sequence[HostCallFacts],
        places: Sequence[PlaceFacts],
        reasons: Sequence[str],
    ) -> LoopAccount:
        """Everything so far.

        Args:
            until_ns: when a pass and an epoch that are still open end.
            calls: what calls of the host's are, by their index.
            places: where the training thread was sampled, by their index.
            reasons: why something in the run was compiled, by their index.
        """
        if self.open_pass is not None and self.open_call is not None:
            start_ns, call, epoch, part = self.open_call
            if start_ns > self.called_ns:  # the process died in it
                ended = replace(self, calls={at: replace(sums) for at, sums in self.calls.items()})
                ended.open_call = None
                ended.add_calls(np.array([[start_ns, max(until_ns, start_ns), call, epoch, part]]))
                return ended.freeze(until_ns, calls, places, reasons)
        pass_ns, passes, end_ns = list(self.pass_ns), self.passes, self.end_ns
        if self.open_pass is not None:
            start_ns, context = self.open_pass
            end_ns = max(until_ns, start_ns)
            pass_ns[context] += end_ns - start_ns
            passes = np.concatenate([passes, [[start_ns, end_ns, context]]])
        epochs = self.epochs.copy()
        if self.epoch != NO_EPOCH:
            open_one = epochs[:, _COLUMN["epoch"]] == self.epoch
            epochs[open_one, _COLUMN["end_ns"]] = np.maximum(
                epochs[open_one, _COLUMN["end_ns"]], until_ns
            )
        compilations, reasons = _with_own_reasons(self.compilations, reasons)
        return LoopAccount(
            pass_count=self.pass_count + (self.open_pass is not None),
            pass_ns=tuple(pass_ns),
            start_ns=self.start_ns,
            end_ns=end_ns,
            passes=passes,
            epochs=epochs,
            totals=self.totals.copy(),
            compilations=compilations,
            compile_steps=self.compile_steps,
            reasons=reasons,
            calls=tuple(
                HostCall(
                    part=calls[index].part,
                    name=calls[index].name,
                    location=calls[index].location,
                    calls=sums.calls,
                    total_ns=sums.total_ns,
                    callback=calls[index].callback,
                )
                for index, sums in self.calls.items()
            ),
            epoch_calls=renumbered(
                self.epoch_calls, {index: place for place, index in enumerate(self.calls)}
            ),
            samples=freeze_loop_samples(self.samples, self.step_samples, self.offset_ns, places),
        )


def _with_own_reasons(
    compilations: IntArray, reasons: Sequence[str]
) -> tuple[IntArray, tuple[str, ...]]:
    """Compilations, and the reasons that occur in them, renumbered; -1 still means that there is none."""
    column = COMPILATION_COLUMNS.index("reason")
    known = compilations[:, column]
    mine = np.unique(known[known >= 0])
    renumbered = compilations.copy()
    renumbered[:, column] = np.where(known >= 0, np.searchsorted(mine, known), -1)
    return renumbered, tuple(reasons[index] for index in mine.tolist())


def _first_and_last(table: IntArray, rows: Any, most: int) -> IntArray:
    """A table with further rows, of which only so many of the first and of the last are kept."""
    table = np.concatenate([table, rows])
    if len(table) <= 2 * most:
        return table
    return np.concatenate([table[:most], table[-most:]])
