"""Keras, version 2 (``tf_keras``) and 3: installs what observes its loops.

Public names only: ``Model.fit`` and its kin show what a loop is fed with and when it is over,
`keras.callbacks.CallbackList`, where all callbacks meet, shows its epochs and steps. Waits are seen
here only on the JAX and torch backends, whose loops take their batches in Python.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from pipeprof.capture.patches import Patches
from pipeprof.capture.probes.keras.fit_inputs import FitInputs
from pipeprof.capture.probes.keras.jax_fetches import time_fetches
from pipeprof.capture.probes.keras.keras_steps import KerasSteps
from pipeprof.capture.probes.keras.trained_batches import TrainedBatches
from pipeprof.capture.probes.loops.batch_shapes import count_samples
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.clock import now_ns
from pipeprof.recording.loop import LoopKind

_LOOPS = {
    "fit": LoopKind.FIT,
    "fit_generator": LoopKind.FIT,
    "evaluate": LoopKind.EVALUATE,
    "predict": LoopKind.PREDICT,
}
_PHASES = {"train": LoopKind.FIT, "test": LoopKind.EVALUATE, "predict": LoopKind.PREDICT}


class KerasProbe:
    """Observes the loops of one Keras package.

    Args:
        package: ``keras`` or ``tf_keras``.
        context: the profile's.

    Attributes:
        backend: Keras's backend, once installed.
        steps: records the steps of its loops.
        batches: records what ``train_on_batch`` is given.
    """

    def __init__(self, package: str, context: ProbeContext) -> None:
        self.backend: str | None = None
        self._model: Any = object
        self._package = package
        self._context = context
        self._patches = Patches()
        self._compiling: Any = None
        self._inputs = FitInputs(context)
        self.steps = KerasSteps(context, self._inputs)
        self.batches = TrainedBatches(context)

    def install(self) -> None:
        """Starts to observe; the package must have been imported."""
        keras: Any = importlib.import_module(self._package)
        backend = getattr(getattr(keras, "config", None), "backend", None)
        self.backend = backend() if backend else "tensorflow"
        steps, model = self.steps, keras.Model
        steps.waits_seen = self.backend != "tensorflow"
        steps.fetches_first = steps.waits_seen and not self._time_fetches()
        steps.model = self._model = model
        if self.backend == "jax":
            jax = importlib.import_module("pipeprof.capture.probes.keras.jax_compiling")
            self._compiling = jax.JaxCompiling(steps.guarded(steps.jax_compiled))
            self._compiling.install()
        for name, kind in _LOOPS.items():
            if hasattr(model, name):
                self._patches.replace(model, name, self._observed_loop(getattr(model, name), kind))
        self._patches.replace(model, "train_on_batch", self._observed_batch(model.train_on_batch))
        self._observe_callbacks(keras.callbacks.CallbackList)
        if self._context.fingerprint:
            self._observe_consumed(keras.callbacks.CallbackList)

    def _observe_consumed(self, callback_list: Any) -> None:
        consumed, context = self.steps.consumed, self._context
        if self.backend == "tensorflow":
            module = "pipeprof.capture.probes.tensorflow.tapped_functions"
            consumed.tapped = importlib.import_module(module).TappedFunctions(
                seen=consumed.fetched, refused=context.recorder.warn
            )
        consumed.seen = self.backend == "tensorflow" or not self.steps.fetches_first
        for phase in ("train", "test"):
            self._after(callback_list, f"on_{phase}_batch_end", self.steps.step_over)

    def join_fit(self, model: Any, data: Any) -> None:
        """Takes up a ``fit`` that has begun before the probe was installed.

        Args:
            model: the model that is trained.
            data: what it is fed with, or None where that is not known.
        """
        if isinstance(model, self._model):
            self._inputs.join(data)
            self.steps.join(model)

    def remove(self) -> None:
        """Gives everything back."""
        self._patches.undo()
        if self._compiling is not None:
            self._compiling.remove()
        self.steps.close_down_to(0)
        self._inputs.release_down_to(0)

    def _observed_loop(self, original: Callable[..., Any], kind: LoopKind) -> Callable[..., Any]:
        signature = inspect.signature(original)
        inputs, steps = self._inputs, self.steps

        @functools.wraps(original)
        def loop(model: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._context.enter_framework_loop():
                self._warn_of_others()
                return original(model, *args, **kwargs)
            outer_loops, outer_inputs = steps.depth, inputs.depth
            steps.call_begins(model, sys._getframe(1))
            try:
                try:
                    bound = signature.bind(model, *args, **kwargs)
                except TypeError:  # the user's mistake, Keras's words
                    steps.guarded(inputs.warn_of_worker_arguments)(kwargs)
                    return original(model, *args, **kwargs)
                steps.guarded(steps.consumed.called)(bound.arguments)
                steps.guarded(inputs.observe)(bound, kind)
                return original(*bound.args, **bound.kwargs)
            finally:
                steps.close_down_to(outer_loops)
                inputs.release_down_to(outer_inputs)
                steps.call_ended()
                self._context.leave_framework_loop()

        return loop

    def _warn_of_others(self) -> None:
        self._context.recorder.warn(
            "Several trainings ran at the same time, each in a thread: only one of them is shown."
        )

    def _observed_batch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def train_on_batch(model: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._context.by_hand():
                return original(model, x, *args, **kwargs)
            hand = self._context.loops.hand
            # Nor is what is done here before and after the call the loop's own code.
            hand.model_works = True
            try:
                given = self.batches.given(x, args, kwargs)
                start_ns = now_ns()
                result = original(model, x, *args, **kwargs)
                hand.trained_on_batch(start_ns, now_ns(), count_samples(x))
                self.batches.trained(model, given, result)
            finally:
                hand.model_works = False
            return result

        return train_on_batch

    def _time_fetches(self) -> bool:
        waited = self.steps.guarded(self.steps.waited)
        return time_fetches(f"{self._package}.src.backend.{self.backend}", self._patches, waited)

    def _observe_callbacks(self, callback_list: Any) -> None:
        # Where the batch is fetched inside the step, a step begins when the callbacks are done, and
        # they may train or predict when it has ended; where it is fetched before, the fetch has
        # ended when the callbacks begin, and the next one begins when they are done.
        steps = self.steps
        around_begin, around_end = self._after, self._before
        if steps.fetches_first:
            around_begin, around_end = around_end, around_begin
        for phase, kind in _PHASES.items():
            self._before(callback_list, f"on_{phase}_begin", functools.partial(steps.begin, kind))
            self._after(callback_list, f"on_{phase}_begin", steps.loop_begun)
            self._after(callback_list, f"on_{phase}_end", steps.end)
            around_begin(callback_list, f"on_{phase}_batch_begin", steps.step_begins)
            around_end(callback_list, f"on_{phase}_batch_end", steps.step_ends)
        self._patch(callback_list, "on_epoch_begin", steps.epoch_opens, steps.epoch_begins)
        self._patch(callback_list, "on_epoch_end", steps.epoch_ends, steps.epoch_closes)

    def _before(self, owner: Any, name: str, observe: Callable[..., None]) -> None:
        self._patch(owner, name, before=observe)

    def _after(self, owner: Any, name: str, observe: Callable[..., None]) -> None:
        self._patch(owner, name, after=observe)

    def _patch(
        self,
        owner: Any,
        name: str,
        before: Callable[..., None] | None = None,
        after: Callable[..., None] | None = None,
    ) -> None:
        original = getattr(owner, name)
        guarded_before = self.steps.guarded(before) if before else None
        guarded_after = self.steps.guarded(after) if after else None

        @functools.wraps(original)
        def method(callbacks: Any, *args: Any, **kwargs: Any) -> Any:
            if guarded_before is not None:
                guarded_before(callbacks, *args, **kwargs)
            result = original(callbacks, *args, **kwargs)
            if guarded_after is not None:
                guarded_after(callbacks, *args, **kwargs)
            return result

        self._patches.replace(owner, name, method)
