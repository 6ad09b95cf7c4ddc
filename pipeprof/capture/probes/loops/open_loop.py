"""A loop that has not ended: records where its steps begin and end, and its waits.

A step reaches from where the loop turns to one batch to where it turns to the next, so whatever the
loop does between two batches counts as computing, and the steps of an epoch leave no hole. Everything
here runs in the training thread. It knows no framework.
"""

import threading
from typing import Any, Protocol

from pipeprof.capture.probes.loops.batch_shapes import BatchShape, leaves_of
from pipeprof.capture.probes.loops.shape_changes import Shapes, describe_changes, shapes_of
from pipeprof.capture.recorder.facts import HostCallFacts, InputFacts, LoopUpdate, ReasonFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import NOT_READ, SUBJECT_MASK, Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.account import Part, PassContext
from pipeprof.recording.loop import LoopKind, WaitSource

NO_EPOCH = -1

# A call that has run for so long is recorded before it ends.
_LONG_CALL_NS = 300_000_000

# The training waits for its input where a pool of workers ends.
_POOL_END = HostCallFacts(part=Part.EPOCH_START, name="end of the pool of workers")


class StepTracer(Protocol):
    """Traces some steps of loops (`pipeprof.capture.probes.profiler.tensorflow_trace_windows`)."""

    def due(self, loop: "OpenLoop", done: int) -> bool:
        """Whether, after so many steps of a loop, tracing is to begin or to end before the next."""

    def between_steps(self, loop: "OpenLoop") -> None:
        """Begins to trace if that is due; the loop has left its steps, which has ended a trace."""

    def step_begins(self, loop: "OpenLoop", ordinal: int) -> None:
        """A step of a loop begins."""

    def left(self, loop: "OpenLoop") -> None:
        """A loop has turned to something else than its steps."""


class OpenLoop:
    """A loop that has not ended.

    Attributes:
        kind: what loop it is.
        model: number of the model that it trains, or None where it is not known.
        number: its number in the recorder's names.
        step: ordinal of the step that is next or runs.
        epoch_began_ns: when the pass over the data that runs began.
        fetches_first: whether it asks for the batch before it reports that the step begins.
        waits_by: what measures its waits, once that is known.
        fed_by: what it is fed with, or None.
        closed_ns: where its latest step that is over ended.
        called_ns: where the latest call of the host's in it ended.
        call: the code in records of the call of the host's that began last.
        call_began_ns: when that was.
        tracer: traces some of its steps, or None.
        thread: ident of the thread that it runs in.
        asked_ns: when a generator was first asked for an element in the step that runs, as far as seen.
        compiled_shapes: shapes of the batch with which something was compiled last, where they are seen.
        jit_compiled: whether XLA compiles its step.
        in_callback: whether that thread runs a callback of this loop's, or its dataset's ``on_epoch_end``.
    """

    def __init__(
        self, recorder: Recorder, kind: LoopKind, number: int, *, fetches_first: bool
    ) -> None:
        self.kind = kind
        self.model: int | None = None
        self.number = number
        self.thread = threading.get_ident()
        self.in_callback = False
        self.asked_ns = 0
        self.compiled_shapes: Shapes | None = None
        self.jit_compiled = False
        self.step = 0
        self.epoch_began_ns = 0
        self.fetches_first = fetches_first
        self.waits_by: WaitSource | None = None
        self.fed_by: InputFacts | None = None
        self.closed_ns = 0
        self.called_ns = 0
        self.call = 0
        self.call_began_ns = 0
        self.tracer: StepTracer | None = None
        self._recorder = recorder
        self._lane = recorder.lane()
        self._epoch = -1
        self._epoch_began_ns: int | None = None
        self._epoch_is_fetched = False  # whether its first batch has been asked for
        self._epoch_step = 0
        self._latest_epoch_ns = 0
        self._pass_began_ns: int | None = None
        self._context = PassContext.TOP
        self._begin_ns: int | None = None
        self._end_ns = 0
        self._in_step = False
        self._batches = 1
        self._step_code = code(Kind.STEP, number)
        self._wait_code = code(Kind.WAIT, number)
        self._gap_code = code(Kind.GAP, number)
        self._samples_code = code(Kind.SAMPLES, number)
        self._taken_code = code(Kind.TAKEN, number)
        self._noted_ns = 0

    def begin_pass(self, now: int, context: PassContext) -> None:
        """Begins a pass of the loop, such as a call of ``fit``, in the calling thread."""
        self._lane = self._recorder.lane()
        self.thread = threading.get_ident()
        self._pass_began_ns, self._context = now, context
        self._lane.write(code(Kind.PASS_BEGAN, self.number), now, now, context, 0)

    def end_pass(self, now: int) -> None:
        """Ends the pass and its epoch; those of a hand-written loop end with its last step."""
        if self._pass_began_ns is None:
            return
        if self.kind.hand_written:
            now = min(now, self.closed_ns)
        self.end_epoch(now)
        self._lane.write(
            code(Kind.PASS_ENDED, self.number),
            self._pass_began_ns,
            max(now, self._pass_began_ns),
            self._context,
            0,
        )
        self._pass_began_ns = None

    def open_epoch(self, now: int) -> None:
        """Begins an epoch, before its first batch is asked for."""
        self.end_epoch(now)
        self._epoch += 1
        self._epoch_began_ns = self._latest_epoch_ns = now
        self._epoch_is_fetched = False
        self._lane.write(code(Kind.EPOCH_BEGAN, self.number), now, now, self._epoch, 0)

    def go_on_with_epoch(self) -> None:
        """Goes on with the epoch in which the latest pass ended."""
        began_ns = self._epoch_began_ns = self._latest_epoch_ns
        self._lane.write(code(Kind.EPOCH_BEGAN, self.number), began_ns, began_ns, self._epoch, 0)

    def end_epoch(self, now: int) -> None:
        """Ends the open epoch, if there is one, with all that belongs to it."""
        if self._epoch_began_ns is not None:
            began_ns, self._epoch_began_ns = self._epoch_began_ns, None
            number = code(Kind.EPOCH_ENDED, self.number)
            self._lane.write(number, began_ns, max(now, began_ns), self._epoch, 0)

    def begin_epoch(self, now: int) -> None:
        """The loop turns to an epoch's first batch; without `open_epoch` the epoch begins here."""
        self.leave_steps()
        if self._epoch_began_ns is None or self._epoch_is_fetched:
            self.open_epoch(now)
        self._epoch_is_fetched = True
        self._begin_ns = self._end_ns = self.epoch_began_ns = now
        self._epoch_step = self.step

    @property
    def epoch(self) -> int:
        """The number of the epoch that began last, or -1 before the first."""
        return self._epoch

    @property
    def epoch_in_first_step(self) -> int | None:
        """The number of the open epoch until its first step has ended, then None."""
        return self._epoch if self.fetching and self.step == self._epoch_step else None

    def first_ready(self, epoch: int, now: int) -> None:
        """Records that the first batch of an epoch lies ready; may be called from any thread."""
        number = code(Kind.FIRST_READY, self.number)
        self._recorder.lane().write(number, now, now, epoch, 0)

    def begin_step(self, now: int) -> None:
        """Records that a step begins now."""
        if self._begin_ns is None:
            self._begin_ns = now
        elif self.fetches_first:
            self.wait(self._end_ns, now)
        elif self._batches_taken():
            self._close(now)
            self._begin_ns = now
        self._in_step = True
        if self.tracer is not None:
            self.tracer.step_begins(self, self.step)

    def end_step(self, now: int, batches: int = 1) -> None:
        """Records that the step has ended now, and how many batches it took."""
        self._end_ns = now
        self._batches = batches
        self._in_step = False
        if self.fetches_first:
            self._close(now)
            self._begin_ns = now

    def turn(self, now: int, batches: int = 1) -> None:
        """The loop turns to the next batch: the step before, which took so many, ends here."""
        self._batches = batches
        self._close(now)
        self._begin_ns = self._end_ns = now
        self._in_step = True

    def turn_to(self, start_ns: int, end_ns: int, shape: BatchShape | None) -> None:
        """`turn`, and `wait` for the batch that it turns to, in one call."""
        begin_ns = self._begin_ns
        if begin_ns is None:
            self.turn(start_ns)
        else:
            if start_ns > begin_ns:
                epoch = self._epoch
                position = epoch << 32 | 1 if epoch > 0 else 1
                self._lane.write(self._step_code, begin_ns, start_ns, self.step, position)
                self.closed_ns = start_ns
                self.step += 1
            self._batches = 1
            self._begin_ns = self._end_ns = start_ns
            self._in_step = True
        if shape is None:
            self._lane.write(self._wait_code, start_ns, end_ns, 0, NOT_READ)
        else:
            samples = shape.samples
            if samples is None:
                samples = NOT_READ
            self._lane.write(self._wait_code, start_ns, end_ns, shape.number, samples)

    def leave_steps(self) -> None:
        """The loop turns to something else: its last step ended at the latest `end_step`."""
        if not self.fetches_first and self._batches_taken():
            self._close(self._end_ns)
        self._begin_ns = None
        self._in_step = False
        if self.tracer is not None:
            self.tracer.left(self)

    def trace_if_due(self) -> None:
        """Between two steps: begins or ends the tracing of steps, where that is due."""
        if self.tracer is not None and self.tracer.due(self, self.step + self._batches_taken()):
            self.leave_steps()
            self.tracer.between_steps(self)

    def pause(self) -> None:
        """Another loop begins inside. It is part of the step that runs, if one does."""
        if not self._in_step:
            self.leave_steps()

    def go_on(self, now: int) -> None:
        """The loop inside is over; what fetches first may turn to its next batch now."""
        if self.fetches_first and not self._in_step:
            self._begin_ns = self._end_ns = now

    def wait(self, start_ns: int, end_ns: int, shape: BatchShape | None = None) -> None:
        """Records that the loop was blocked for a batch, with the batch's shape where it is known."""
        if shape is None:
            self._lane.write(self._wait_code, start_ns, end_ns, 0, NOT_READ)
        else:
            samples = shape.samples if shape.samples is not None else NOT_READ
            self._lane.write(self._wait_code, start_ns, end_ns, shape.number, samples)

    def took(self, start_ns: int, now: int) -> None:
        """Records that the step took a batch; the work that made the batch began at ``start_ns``."""
        self._lane.write(self._taken_code, start_ns, now, 0, 0)

    def gaps(self, first_step: int, gaps_ns: tuple[int, ...]) -> None:
        """Records what a framework measured for each step: how long the loop was not waiting, in ns."""
        for offset, gap_ns in enumerate(gaps_ns):
            self._lane.write(self._gap_code, 0, 0, first_step + offset, gap_ns)

    def samples(self, count: int) -> None:
        """Records that the loop took so many samples."""
        now = now_ns()
        self._lane.write(self._samples_code, now, now, 0, count)

    def host_call(self, call: int, start_ns: int, end_ns: int) -> None:
        """Records a call of the host's in the loop's thread; ``call`` is its code in records."""
        epoch = self._epoch if self._epoch_began_ns is not None else NO_EPOCH
        self._lane.write(call, start_ns, end_ns, self.number, epoch)
        self.called_ns = end_ns

    def note_long_call(self, now: int) -> None:
        """Records a call of the host's that has run for long, in case the process dies in it.

        May be called from any thread.
        """
        call, began_ns = self.call, self.call_began_ns
        if not self.in_callback or began_ns == self._noted_ns or now - began_ns < _LONG_CALL_NS:
            return
        self._noted_ns = began_ns
        epoch = self._epoch if self._epoch_began_ns is not None else NO_EPOCH
        number = code(Kind.HOST_CALL_OPEN, call & SUBJECT_MASK)
        self._recorder.lane().write(number, began_ns, max(now, began_ns), self.number, epoch)

    def pool_ended(self, start_ns: int, end_ns: int) -> None:
        """Records that the pool of workers which fed an epoch was taken down."""
        self.host_call(
            code(Kind.HOST_CALL, self._recorder.names.number(_POOL_END)), start_ns, end_ns
        )

    def model_worked(self, start_ns: int, end_ns: int) -> None:
        """Records a call that trains."""
        self._lane.write(code(Kind.MODEL, self.number), start_ns, end_ns, 0, 0)

    def compiled(self, start_ns: int, end_ns: int, traced_ns: int, reason: str | None) -> None:
        """Records that a call of the loop traced or compiled a function.

        Args:
            start_ns: begin of the call.
            end_ns: its end.
            traced_ns: when tracing had ended at the earliest, or 0 where that is not known; it had when
                the first element was asked for.
            reason: what had changed since the function was traced before, or None the first time.
        """
        if traced_ns and start_ns < self.asked_ns < end_ns:
            traced_ns = max(traced_ns, self.asked_ns)
        self._record_compiling(start_ns, end_ns, traced_ns, reason)

    def compiled_untraced(self, start_ns: int, end_ns: int, began_ns: int, reason: str) -> None:
        """Records that something was compiled in a step in which nothing was traced.

        Args:
            start_ns: when the step had its batch.
            end_ns: when it ended.
            began_ns: when it began.
            reason: what had changed.
        """
        self._record_compiling(start_ns, end_ns, began_ns, reason)

    def _record_compiling(
        self, start_ns: int, end_ns: int, traced_ns: int, reason: str | None
    ) -> None:
        names = self._recorder.names
        why = names.number(ReasonFacts(text=reason)) if reason is not None else 0
        self._lane.write(code(Kind.COMPILE, self.number), start_ns, end_ns, traced_ns, why)

    def compiled_for(self, batch: Any, start_ns: int, end_ns: int) -> None:
        """Records that something was compiled for a batch, in the step that runs.

        Args:
            batch: the batch, or None where it is not known.
            start_ns: when compiling began.
            end_ns: when it ended.
        """
        before = self.compiled_shapes
        now = self.compiled_shapes = before if batch is None else shapes_of(leaves_of(batch))
        changed = describe_changes(before, now) if before is not None and now is not None else None
        self.compiled(start_ns, end_ns, 0, changed)

    def asks_generator(self, now: int) -> None:
        """Notes that a generator is asked for its first element; may be called from any thread."""
        if self.asked_ns < self.began_ns:
            self.asked_ns = now

    @property
    def context(self) -> PassContext:
        """The context of a loop that begins now inside this one."""
        if self.in_callback:
            return PassContext.IN_CALLBACK
        return PassContext.IN_STEP if self._in_step else PassContext.BETWEEN_STEPS

    def update(self, facts: LoopUpdate) -> None:
        """Records what became known of the loop."""
        self._recorder.names.add(self.number, facts)

    def set_waits_by(self, source: WaitSource) -> None:
        """Records what measures the waits of this loop; only the first call counts."""
        if self.waits_by is None:
            self.waits_by = source
            self.update(LoopUpdate(waits_by=source))

    @property
    def in_pass(self) -> bool:
        """Whether a pass of it is open."""
        return self._pass_began_ns is not None

    @property
    def in_epoch(self) -> bool:
        """Whether an epoch of it is open."""
        return self._epoch_began_ns is not None

    @property
    def taking(self) -> bool:
        """Whether it is among its batches: in a step, or about to begin one."""
        return self._begin_ns is not None

    @property
    def began_ns(self) -> int:
        """When the step that runs began; without one, when the latest step ended."""
        return self._end_ns if self._begin_ns is None else self._begin_ns

    @property
    def ended_ns(self) -> int:
        """When its latest step ended, as the loop reported it."""
        return self._end_ns

    @property
    def fetching(self) -> bool:
        """Whether a step has begun and not ended, so that batches are fetched in it."""
        return self._begin_ns is not None and not self._batches_taken()

    def correct_batches(self, batches: int) -> None:
        """Corrects how many batches the step that ended last took."""
        self._batches = batches

    def _batches_taken(self) -> bool:
        return self._begin_ns is not None and not self._in_step and self._end_ns > self._begin_ns

    def _close(self, end_ns: int) -> None:
        if self._begin_ns is None or end_ns <= self._begin_ns:
            return
        position = max(self._epoch, 0) << 32 | self._batches
        self._lane.write(self._step_code, self._begin_ns, end_ns, self.step, position)
        self.closed_ns = end_ns
        self.step += 1
