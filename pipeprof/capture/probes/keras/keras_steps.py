"""The loops of Keras that run: their epochs, steps and waits, as its callbacks show them."""

import itertools
import weakref
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

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
from pipeprof.recording.loop import LoopKind, WaitSource

if TYPE_CHECKING:  # it loads TensorFlow
    from pipeprof.capture.probes.tensorflow.function_calls import FunctionTrace


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
        call = self._calls[-1] if self._calls else None
        loop = self._context.loops.open(
            kind,
            fed_by=fed_by,
            fetches_first=self.fetches_first,
            source=call.source if call is not None else None,
            start_ns=call.began_ns if call is not None else None,
        )
        self._callbacks.time(getattr(callbacks, "callbacks", ()))
        samples = SampleCounter(loop, callbacks, self.model, self._context.recorder.warn)
        self._running.append(_RunningLoop(loop, callbacks, samples, joined=joined))
        model = getattr(callbacks, "model", None)
        if model is not None and kind is not LoopKind.PREDICT:
            self.consumed.loop_began(loop, model)
        if self.waits_seen:
            loop.set_waits_by(WaitSource.ITERATOR)
        elif self.listener is not None:
            self.listener.loop_opened(loop)

    def loop_begun(self, callbacks: Any, logs: Any = None) -> None:
        """The callbacks of a loop's begin are done; an evaluation turns to its first batch."""
        if self._running and self._running[-1].loop.kind is not LoopKind.FIT:
            self._running[-1].loop.begin_epoch(now_ns())

    def end(self, callbacks: Any, logs: Any = None) -> None:
        """A loop has ended."""
        if self._running and self._running[-1].callbacks is callbacks:
            self.close_down_to(len(self._running) - 1)

    def close_down_to(self, depth: int) -> None:
        """Closes the innermost loops until so many run."""
        while len(self._running) > depth:
            running = self._running.pop()
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
            self._running[-1].loop.open_epoch(now_ns())
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


class FitCall(NamedTuple):
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
        self, loop: OpenLoop, callbacks: Any, samples: SampleCounter, *, joined: bool
    ) -> None:
        self.loop = loop
        self.callbacks = callbacks
        self.samples = samples
        self.joined = joined
        self.first_batch = 0
        self.batch: Any = None  # that of the step that runs, where the step fetches it

    @property
    def batches_known(self) -> bool:
        """Whether Keras knows how many batches an epoch has."""
        params = getattr(self.callbacks, "params", None)
        return isinstance(params, dict) and params.get("steps") is not None
