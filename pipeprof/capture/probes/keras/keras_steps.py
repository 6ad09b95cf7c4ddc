"""The loops of Keras that run: their epochs, steps and waits, as its callbacks show them."""

import itertools
import weakref
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.keras.callback_calls import CallbackCalls
from pipeprof.capture.probes.keras.consumed_batches import ConsumedBatches
from pipeprof.capture.probes.keras.fit_inputs import FitInputs
from pipeprof.capture.probes.keras.sample_counts import SampleCounter
from pipeprof.capture.probes.loops.loop_stack import LoopSource
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.users_line import users_line
from pipeprof.clock import now_ns
from pipeprof.recording.account import PassContext
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LoopKind, WaitSource

if TYPE_CHECKING:  # it loads TensorFlow
    from pipeprof.capture.probes.tensorflow.function_calls import FunctionTrace


# What takes less than this between two epochs is not the end of a pool of workers.
_LEAST_POOL_END_NS = 5_000_000


class StepListener(Protocol):
    """Receives the steps of Keras's loops, besides the tracker; the probe of tf.data is one."""

    def loop_opened(self, loop: OpenLoop) -> None:
        """A framework's loop begins."""

    def step_ended(self, loop: OpenLoop, now: int, batches: int, *, at_most: bool) -> None:
        """A step of a loop has ended, which took so many batches, or at most so many."""

    def epoch_ended(self, loop: OpenLoop) -> None:
        """The steps of a loop's epoch are over."""


class KerasSteps:
    """Records the steps of one Keras package's loops; the methods are called from its callbacks.

    Args:
        context: the profile's.
        inputs: knows what the loops are fed with.

    Attributes:
        model: Keras's class of models.
        listener: is called at steps whose batches are fetched inside the step.
        waits_seen: whether waits are seen here, and not by who listens.
        fetches_first: whether loops fetch a batch before they call that a step begins.
        consumed: records what the loops' models consume.
    """

    def __init__(self, context: ProbeContext, inputs: FitInputs) -> None:
        self.model: Any = object
        self.listener: StepListener | None = None
        self.waits_seen = False
        self.fetches_first = False
        self._context = context
        self._inputs = inputs
        self._models = _Models()
        self._guard = Guard(
            context.recorder.warn,
            "The steps could not be followed any more",
            "later ones are missing",
        )
        self._running: list[_RunningLoop] = []
        self._calls: list[FitCall] = []
        self._callbacks = CallbackCalls(context)
        self.consumed = ConsumedBatches(context)

    @property
    def depth(self) -> int:
        """How many loops run, one inside the other."""
        return len(self._running)

    def guarded(self, observe: Callable[..., None]) -> Callable[..., None]:
        """The function as one that never raises, and does nothing for a second training's thread."""

        def guarded(*args: Any, **kwargs: Any) -> None:
            if not self._context.framework_elsewhere:
                self._guard.run(observe, *args, **kwargs)

        return guarded

    def call_begins(self, model: Any, caller: FrameType | None) -> None:
        """A call of ``fit`` or its kin begins, before Keras has prepared anything.

        Args:
            model: the model that is called.
            caller: the frame that calls it.
        """
        source = LoopSource(model=self._models.number_of(model), location=users_line(caller))
        self._calls.append(FitCall(source, now_ns()))

    def call_ended(self) -> None:
        """The innermost call of ``fit`` or its kin has ended."""
        self._calls.pop()

    def join(self, model: Any) -> None:
        """Takes up a ``fit`` of a model that has begun already."""
        self.begin(LoopKind.FIT, _Joined(model))

    def begin(self, kind: LoopKind, callbacks: Any, logs: Any = None) -> None:
        """A loop begins."""
        # A `fit` may have been taken hold of (`fit = model.fit`) before the profile began.
        joined = not self._context.in_framework and self._context.enter_framework_loop()
        if self._running:
            # Keras resets its metrics for an evaluation, and not for a prediction.
            self._leave_steps(self._running[-1], count=kind is not LoopKind.PREDICT)
        fed_by = self._inputs.current
        call = self._take_call()
        loop = self._context.loops.open(
            kind,
            fed_by=fed_by,
            fetches_first=self.fetches_first,
            source=call.source if call is not None else None,
            start_ns=self._begin_of(kind, call),
        )
        self._callbacks.time(getattr(callbacks, "callbacks", ()))
        samples = SampleCounter(loop, callbacks, self.model, self._context.recorder.warn)
        self._running.append(_RunningLoop(loop, callbacks, samples, call=call, joined=joined))
        model = getattr(callbacks, "model", None)
        loop.jit_compiled = getattr(model, "jit_compile", False) is True
        if model is not None and kind is not LoopKind.PREDICT:
            self.consumed.loop_began(loop, model)
        if self.waits_seen:
            loop.set_waits_by(WaitSource.ITERATOR)
        elif self.listener is not None:
            self.listener.loop_opened(loop)

    def _take_call(self) -> "FitCall | None":
        """The innermost call, unless a loop that runs is its loop already."""
        call = self._calls[-1] if self._calls else None
        while call is not None and self._running and self._running[-1].call is call:
            if not self._running[-1].over:
                break
            self.close_down_to(len(self._running) - 1)
        return None if any(running.call is call for running in self._running) else call

    def _begin_of(self, kind: LoopKind, call: "FitCall | None") -> int:
        """When a loop's work began.

        Keras makes the validation's iterator, with its first batches, before it calls ``evaluate`` for
        the first time in a ``fit``.
        """
        began_ns = call.began_ns if call is not None else now_ns()
        if kind is not LoopKind.EVALUATE or not self._between_epochs or self._running[-1].validated:
            return began_ns
        outer = self._running[-1]
        outer.validated = True
        # What its steps and its callbacks took is theirs.
        return max(outer.loop.closed_ns, outer.loop.called_ns) or began_ns

    @property
    def _between_epochs(self) -> bool:
        """Whether the innermost loop is a ``fit`` that is neither in a step nor in a callback."""
        loop = self._running[-1].loop if self._running else None
        if loop is None or loop.kind is not LoopKind.FIT:
            return False
        return loop.context is PassContext.BETWEEN_STEPS

    def loop_begun(self, callbacks: Any, logs: Any = None) -> None:
        """The callbacks of a loop's begin are done; an evaluation turns to its first batch."""
        if self._running and self._running[-1].loop.kind is not LoopKind.FIT:
            self._running[-1].loop.begin_epoch(now_ns())

    def end(self, callbacks: Any, logs: Any = None) -> None:
        """A loop has ended; what its call takes down after that, its iterators, belongs to it."""
        if not self._running or self._running[-1].callbacks is not callbacks:
            return
        running = self._running[-1]
        validates = running.loop.kind is LoopKind.EVALUATE and len(self._running) > 1
        if running.call is None and not validates:
            self.close_down_to(len(self._running) - 1)
        elif not running.over:
            running.over = True
            self._leave_steps(running)

    def _close_validation(self, callbacks: Any) -> None:
        """Closes an evaluation that is over, where the loop around it goes on."""
        while len(self._running) > 1 and self._running[-1].over:
            if self._running[-2].callbacks is not callbacks:
                break
            self.close_down_to(len(self._running) - 1)

    def close_down_to(self, depth: int) -> None:
        """Closes the innermost loops until so many run."""
        while len(self._running) > depth:
            running = self._running.pop()
            if running.over:
                self.guarded(running.pool_may_have_ended)(now_ns())
            else:
                self.guarded(self._leave_steps)(running)
            self.guarded(self.consumed.loop_ended)(running.loop)
            self._context.loops.close(running.loop)
            if not self._running:
                self._callbacks.release()
            if running.joined:
                self._context.leave_framework_loop()

    def _leave_steps(self, running: "_RunningLoop", *, count: bool = True) -> None:
        if count:
            running.samples.count()
        if self.listener is not None and not self.waits_seen:
            self.listener.epoch_ended(running.loop)
        running.loop.leave_steps()

    def epoch_opens(self, callbacks: Any, epoch: Any, logs: Any = None) -> None:
        """An epoch of the innermost loop begins with its callbacks; more of these may have come."""
        if self._running:
            now = now_ns()
            self._running[-1].pool_may_have_ended(now)
            self._running[-1].loop.open_epoch(now)
            self._callbacks.time(getattr(callbacks, "callbacks", ()))

    def epoch_begins(self, callbacks: Any, epoch: Any, logs: Any = None) -> None:
        """The callbacks are done: the innermost loop turns to its first batch."""
        if self._running:
            self._running[-1].loop.begin_epoch(now_ns())

    def epoch_closes(self, callbacks: Any, epoch: Any, logs: Any = None) -> None:
        """An epoch of the innermost loop is over, its callbacks included."""
        if self._running:
            self._running[-1].loop.end_epoch(now_ns())

    def function_called(
        self, function: Any, start_ns: int, end_ns: int, trace: "FunctionTrace | None"
    ) -> None:
        """A ``tf.function`` was called: where it traced inside a loop of Keras's, the loop compiled."""
        if trace is not None and self._running and not self._context.framework_elsewhere:
            loop = self._running[-1].loop
            if not loop.in_callback:
                loop.compiled(start_ns, end_ns, trace.traced_ns, trace.reason)

    def jax_compiled(self, start_ns: int, end_ns: int) -> None:
        """JAX has compiled something in the calling thread."""
        if self._running and not self._running[-1].loop.in_callback:
            running = self._running[-1]
            running.loop.compiled_for(running.batch, start_ns, end_ns)

    def epoch_ends(self, callbacks: Any, epoch: Any, logs: Any = None) -> None:
        """An epoch of the innermost loop has ended."""
        self._close_validation(callbacks)
        if self._running:
            self.consumed.epoch_ended()
            self._leave_steps(self._running[-1])

    def step_begins(self, callbacks: Any, batch: Any, logs: Any = None) -> None:
        """A step begins, which takes the batches from this number on."""
        if self._running:
            running = self._running[-1]
            running.first_batch = int(batch)
            self.consumed.step_begins()
            running.loop.begin_step(now_ns())

    def step_ends(self, callbacks: Any, batch: Any, logs: Any = None) -> None:
        """A step has ended, which took the batches up to this number."""
        if not self._running:
            return
        running = self._running[-1]
        now = now_ns()
        batches = int(batch) - running.first_batch + 1
        running.loop.end_step(now, batches)
        running.samples.add(batches, logs)
        running.batch = None
        if self.listener is not None and not self.waits_seen:
            # Keras gives the most that the last step may take only where the number of batches is known.
            at_most = batches > 1 and not running.batches_known
            self.listener.step_ended(running.loop, now, batches, at_most=at_most)
        running.loop.trace_if_due()

    def step_over(self, callbacks: Any, batch: Any, logs: Any = None) -> None:
        """The callbacks of a step's end are done."""
        if self._running:
            self.consumed.step_ended(logs)

    def waited(self, batch: Any, start_ns: int, end_ns: int) -> None:
        """The innermost loop waited for a batch that its step fetches itself."""
        if self._running and self._running[-1].loop.fetching:
            loop = self._running[-1].loop
            loop.wait(start_ns, end_ns)
            self._running[-1].batch = batch
            if self._context.fingerprint:
                self.consumed.fetched(batch)
            made_ns = self._context.origins.take(batch)
            if made_ns is not None:
                loop.took(made_ns, end_ns)


@dataclass(frozen=True, slots=True, eq=False)
class FitCall:
    """A call of ``fit`` or its kin: what it belongs to, and when it began."""

    source: LoopSource
    began_ns: int


class _Models:
    """Gives each model a number for as long as the model exists; no number is used twice."""

    def __init__(self) -> None:
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next = itertools.count(1)

    def number_of(self, model: Any) -> int:
        try:
            number = self._numbers.get(model)
            if number is None:
                number = self._numbers[model] = next(self._next)
        except TypeError:  # one that cannot be known again
            return next(self._next)
        return number


class _Joined:
    """Stands for the callbacks of a ``fit`` that was taken up late."""

    def __init__(self, model: Any) -> None:
        self.model = model


class _RunningLoop:
    """A Keras loop that has not ended."""

    def __init__(
        self,
        loop: OpenLoop,
        callbacks: Any,
        samples: SampleCounter,
        *,
        call: FitCall | None,
        joined: bool,
    ) -> None:
        self.loop = loop
        self.callbacks = callbacks
        self.samples = samples
        self.call = call  # the call that it is the loop of, where that was seen
        self.joined = joined
        self.over = False  # whether its last callbacks are done
        self.validated = False  # whether an evaluation ran between its epochs
        self.first_batch = 0
        self.batch: Any = None  # that of the step that runs, where the step fetches it

    def pool_may_have_ended(self, now: int) -> None:
        """Records that a pool of workers ended, where one feeds the loop and Keras 2 has just done that.

        Keras 2 takes it down, and the iterator over it, after an epoch's callbacks. Keras 3 does it before
        them, and here only resets its metrics.
        """
        fed_by = self.loop.fed_by
        if fed_by is None or not ((fed_by.workers or 0) > 1 or fed_by.multiprocessing):
            return
        since_ns = max(self.loop.closed_ns, self.loop.called_ns)
        if self.loop.step and now - since_ns >= _LEAST_POOL_END_NS:
            self.loop.pool_ended(since_ns, now)

    @property
    def batches_known(self) -> bool:
        """Whether Keras knows how many batches an epoch has."""
        params = getattr(self.callbacks, "params", None)
        return isinstance(params, dict) and params.get("steps") is not None
