"""What the models of Keras's loops consume, and their losses as Keras counts them.

On the TensorFlow backend a model takes its batches inside a compiled function: it is tapped while a loop
runs. On JAX the loop fetches in Python and hands each batch to `KerasSteps.waited`.
"""

from collections.abc import Mapping
from typing import Any

from pipeprof.capture.probes.keras.described_models import DescribedModels
from pipeprof.capture.probes.loaders.datasets import recognise
from pipeprof.capture.probes.loops.batch_shapes import leaves_of
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder.facts import DeliveryUpdate
from pipeprof.recording.loop import InputKind, LoopKind

_FUNCTIONS = {LoopKind.FIT: "train_function", LoopKind.EVALUATE: "test_function"}


class ConsumedBatches:
    """Records what the models of one Keras package's loops consume.

    Args:
        context: the profile's.

    Attributes:
        tapped: makes the functions of TensorFlow whose batches are seen, or None on other backends.
        seen: whether the batches of this backend's loops can be seen.
    """

    def __init__(self, context: ProbeContext) -> None:
        self.tapped: Any = None
        self.seen = True
        self._context = context
        self._models = DescribedModels()
        self._running: list[_ConsumingLoop] = []
        self._given: tuple[str, ...] | None = None

    def called(self, arguments: Mapping[str, Any]) -> None:
        """``fit`` or one of its kin was called with these arguments."""
        parts = [arguments.get(name) for name in ("x", "y", "sample_weight")]
        known = recognise(parts[0]) if parts[0] is not None else None
        leaves = leaves_of(parts) if known in (None, InputKind.ARRAYS) else []
        self._given = tuple(str(getattr(dtype, "name", dtype)) for dtype, _ in leaves) or None

    def loop_began(self, loop: OpenLoop, model: Any) -> None:
        """A loop of a model begins."""
        deliveries = self._context.deliveries
        described = deliveries.guard.run(self._models.describe, model)
        given, self._given = self._given, None
        deliveries.note(DeliveryUpdate(loop=loop.number, model=described, given_dtypes=given))
        if not self._context.fingerprint:
            return
        if not self.seen:
            self._context.recorder.warn(
                "What the model consumed was not recorded: pipeprof does not see it on this backend."
            )
            return
        running = _ConsumingLoop(loop, model)
        self._running.append(running)
        self._tap(running)

    def step_begins(self) -> None:
        """A step begins; a callback may have had the function made anew."""
        if self._running:
            self._tap(self._running[-1])

    def fetched(self, batch: Any, cost_ns: int = 0) -> None:
        """The innermost loop has fetched a batch in Python, which costs so much more than otherwise."""
        if self._running:
            deliveries = self._context.deliveries
            deliveries.deliver(self._running[-1].loop, deliveries.hash(batch, cost_ns))

    def step_ended(self, logs: Any) -> None:
        """A step has ended, and Keras's callbacks with it; these are its logs."""
        if self._running and isinstance(logs, dict) and "loss" in logs:
            self._context.deliveries.loss(self._running[-1].loop, logs["loss"])

    def epoch_ended(self) -> None:
        """An epoch of the innermost loop has ended."""
        if self._running:
            self._context.deliveries.end_epoch(self._running[-1].loop)

    def loop_ended(self, loop: OpenLoop) -> None:
        """A loop has ended."""
        if self._running and self._running[-1].loop is loop:
            running = self._running.pop()
            running.give_back()
            self._context.deliveries.end_epoch(loop)

    def _tap(self, running: "_ConsumingLoop") -> None:
        name = _FUNCTIONS.get(running.loop.kind)
        if self.tapped is None or name is None:
            return
        function = getattr(running.model, name, None)
        if function is None or function is running.function:
            return
        running.give_back()
        model = running.model
        running.tap(name, function, self.tapped.tap(function, lambda: _batches_per_call(model)))


class _ConsumingLoop:
    """A loop that runs, with its model's function while that is replaced by a tapped one."""

    def __init__(self, loop: OpenLoop, model: Any) -> None:
        self.loop = loop
        self.model = model
        self.function: Any = None
        self._name = ""
        self._original: Any = None

    def tap(self, name: str, original: Any, tapped: Any) -> None:
        """Puts a tapped function in a function's place."""
        self._name, self._original, self.function = name, original, tapped
        setattr(self.model, name, tapped)

    def give_back(self) -> None:
        """Gives the model its own function back, unless it has got another one meanwhile."""
        if self.function is not None and getattr(self.model, self._name, None) is self.function:
            setattr(self.model, self._name, self._original)
        self.function = self._original = None


def _batches_per_call(model: Any) -> int:
    """How many batches a model's function takes in one call; Keras 2 keeps it in a variable."""
    steps: Any = getattr(model, "_steps_per_execution", None)
    return int(getattr(model, "steps_per_execution", 1) if steps is None else steps)
