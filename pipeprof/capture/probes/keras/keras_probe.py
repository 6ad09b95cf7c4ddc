"""Keras, version 2 (``tf_keras``) and 3: its loops, their steps, and what they are fed with.

Public names only: ``Model.fit`` and its kin tell what a loop is fed with and when it is over,
`keras.callbacks.CallbackList`, where all callbacks meet, tells its epochs and steps. Waits are not
seen here but for the JAX and torch backends, whose loops take their batches in Python.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pipeprof.capture.guard import Guard
from pipeprof.capture.patches import Patches
from pipeprof.capture.probes.loaders.datasets import recognise, watch_dataset
from pipeprof.capture.probes.loops.batch_shapes import count_samples
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.clock import now_ns
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource

_LOOPS = {
    "fit": LoopKind.FIT,
    "fit_generator": LoopKind.FIT,
    "evaluate": LoopKind.EVALUATE,
    "predict": LoopKind.PREDICT,
}
_PHASES = {"train": LoopKind.FIT, "test": LoopKind.EVALUATE, "predict": LoopKind.PREDICT}
_MOVED_TO_DATASET = ("workers", "use_multiprocessing", "max_queue_size")
# The argument of `fit` and its kin that may be a dataset with a life of its own.
_FEEDS = ("x", "generator", "validation_data")


class StepListener(Protocol):
    """Whoever wants to know of steps besides the tracker (the probe of tf.data)."""

    def loop_opened(self, loop: OpenLoop) -> None:
        """A framework's loop begins."""

    def step_ended(self, loop: OpenLoop, now: int, batches: int, *, at_most: bool) -> None:
        """A step of it has ended, which took so many batches, or at most so many."""

    def epoch_ended(self, loop: OpenLoop) -> None:
        """Its steps are over for this epoch."""


class KerasProbe:
    """Sees the loops of one Keras package.

    Args:
        package: ``keras`` or ``tf_keras``.
        context: the profile's.

    Attributes:
        backend: Keras's backend, once installed.
        listener: is told of steps whose batches are fetched inside the step.
    """

    def __init__(self, package: str, context: ProbeContext) -> None:
        self.backend: str | None = None
        self._model: Any = object
        self.listener: StepListener | None = None
        self._package = package
        self._context = context
        self._patches = Patches()
        self._fetches_first = False
        self._waits_seen = False  # here, and not by who listens
        self._guard = Guard(
            context.recorder.warn,
            "The steps could not be followed any more",
            "later ones are missing",
        )
        self._running: list[_RunningLoop] = []
        self._fed_by: list[dict[str, Any] | None] = []
        self._releases: list[Callable[[], None]] = []

    def install(self) -> None:
        """Starts to see; the package must have been imported."""
        keras: Any = importlib.import_module(self._package)
        backend = getattr(getattr(keras, "config", None), "backend", None)
        self.backend = backend() if backend else "tensorflow"
        self._waits_seen = self.backend != "tensorflow"
        self._fetches_first = self._waits_seen and not self._watch_fetches()
        model = self._model = keras.Model
        for name, kind in _LOOPS.items():
            if hasattr(model, name):
                self._patches.replace(model, name, self._watched_loop(getattr(model, name), kind))
        self._patches.replace(model, "train_on_batch", self._watched_batch(model.train_on_batch))
        self._watch_callbacks(keras.callbacks.CallbackList)

    def join_fit(self, model: Any, data: Any) -> None:
        """Takes up a ``fit`` that has begun before the probe was installed.

        Args:
            model: the model that is trained.
            data: what it is fed with, or None where that is not known.
        """
        if not isinstance(model, self._model):
            return
        fed_by = None
        kind = recognise(data) if data is not None else None
        if kind is not None:
            watched = watch_dataset(data, self._context)
            self._releases.append(watched.release)
            fed_by = watched.fed_by
            if (fed_by.get("workers") or 0) > 1 or fed_by.get("multiprocessing"):
                self._context.recorder.warn(
                    "Waits are seen in short traces at most: Keras had made its queue of workers "
                    "before the profile began. Give the dataset to pipeprof.profile() to see them all."
                )
        self._fed_by.append(fed_by)
        self._begin(LoopKind.FIT, _Joined(model))

    def remove(self) -> None:
        """Gives everything back."""
        self._patches.undo()
        self._close_down_to(0)
        self._release_down_to(0)

    # What a loop is fed with.

    def _watched_loop(self, original: Callable[..., Any], kind: LoopKind) -> Callable[..., Any]:
        signature = inspect.signature(original)

        @functools.wraps(original)
        def loop(model: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._context.enter_framework_loop():
                self._warn_of_others()
                return original(model, *args, **kwargs)
            depth = len(self._running)
            outer_feeds, outer_releases = len(self._fed_by), len(self._releases)
            try:
                try:
                    bound = signature.bind(model, *args, **kwargs)
                except TypeError:  # the user's mistake, Keras's words
                    self._guarded(self._warn_of_worker_arguments)(kwargs)
                    return original(model, *args, **kwargs)
                self._guarded(self._watch_feeds)(bound, kind)
                return original(*bound.args, **bound.kwargs)
            finally:
                del self._fed_by[outer_feeds:]
                self._close_down_to(depth)
                self._release_down_to(outer_releases)
                self._context.leave_framework_loop()

        return loop

    def _warn_of_worker_arguments(self, given: dict[str, Any]) -> None:
        """Keras 3 has moved some arguments of ``fit`` to the dataset."""
        moved = [name for name in _MOVED_TO_DATASET if name in given]
        if moved:
            self._context.recorder.warn(
                f"Keras 3 takes {' and '.join(moved)} on the dataset and not here: hand them to the "
                "dataset's super().__init__(...)."
            )

    def _warn_of_others(self) -> None:
        self._context.recorder.warn(
            "Several trainings ran at the same time, each in a thread: only one of them is shown."
        )

    def _watch_feeds(self, bound: inspect.BoundArguments, loop: LoopKind) -> None:
        """Puts watches on what the loop is fed with, and notes what its main feed is."""
        fed_by = None
        arguments = bound.arguments
        for name in _FEEDS:
            data = arguments.get(name)
            kind = recognise(data) if data is not None else None
            if kind in (None, InputKind.ITERATOR):
                continue
            self._context.validating = name == "validation_data" or not loop.trains
            try:
                watched = watch_dataset(data, self._context)
            finally:
                self._context.validating = False
            arguments[name] = watched.dataset
            self._releases.append(watched.release)
            if name != "validation_data":
                fed_by = watched.fed_by | _workers_of_fit(kind, bound)
        self._fed_by.append(fed_by)

    def _release_down_to(self, count: int) -> None:
        while len(self._releases) > count:
            self._releases.pop()()

    # Steps.

    def _watch_callbacks(self, callback_list: Any) -> None:
        # Where the batch is fetched inside the step, a step begins when the callbacks are done, and
        # they may train or predict when it has ended; where it is fetched before, the fetch has
        # ended when the callbacks begin, and the next one begins when they are done.
        around_begin, around_end = self._after, self._before
        if self._fetches_first:
            around_begin, around_end = around_end, around_begin
        for phase, kind in _PHASES.items():
            self._after(callback_list, f"on_{phase}_begin", functools.partial(self._begin, kind))
            self._before(callback_list, f"on_{phase}_end", self._end)
            around_begin(callback_list, f"on_{phase}_batch_begin", self._step_begins)
            around_end(callback_list, f"on_{phase}_batch_end", self._step_ends)
        self._after(callback_list, "on_epoch_begin", self._epoch_begins)
        self._before(callback_list, "on_epoch_end", self._epoch_ends)

    def _watch_fetches(self) -> bool:
        """Times the batches that JAX's training step takes itself, as Keras 3.15 does.

        Returns:
            Whether it does; the older ones take them between two callbacks.
        """
        trainer = sys.modules.get(f"{self._package}.src.backend.{self.backend}.trainer")
        iterators = getattr(trainer, "JAXEpochIterator", None)
        if iterators is None or "__next__" not in vars(iterators):
            return False
        original = iterators._get_iterator
        waited = self._guarded(self._waited)

        @functools.wraps(original)
        def _get_iterator(epoch_iterator: Any) -> Iterator[Any]:
            return _timed(original(epoch_iterator), waited)

        self._patches.replace(iterators, "_get_iterator", _get_iterator)
        return True

    def _waited(self, batch: Any, start_ns: int, end_ns: int) -> None:
        if self._running and self._running[-1].loop.fetching:
            loop = self._running[-1].loop
            loop.wait(start_ns, end_ns)
            made_ns = self._context.origins.take(batch)
            if made_ns is not None:
                loop.took(made_ns, end_ns)

    def _before(self, owner: Any, name: str, tell: Callable[..., None]) -> None:
        self._patch(owner, name, before=tell)

    def _after(self, owner: Any, name: str, tell: Callable[..., None]) -> None:
        self._patch(owner, name, after=tell)

    def _patch(
        self,
        owner: Any,
        name: str,
        before: Callable[..., None] | None = None,
        after: Callable[..., None] | None = None,
    ) -> None:
        original = getattr(owner, name)
        guarded_before = self._guarded(before) if before else None
        guarded_after = self._guarded(after) if after else None

        @functools.wraps(original)
        def method(callbacks: Any, *args: Any, **kwargs: Any) -> Any:
            if guarded_before is not None:
                guarded_before(callbacks, *args, **kwargs)
            result = original(callbacks, *args, **kwargs)
            if guarded_after is not None:
                guarded_after(callbacks, *args, **kwargs)
            return result

        self._patches.replace(owner, name, method)

    def _guarded(self, tell: Callable[..., None]) -> Callable[..., None]:
        def guarded(*args: Any, **kwargs: Any) -> None:
            if not self._context.framework_elsewhere:
                self._guard.run(tell, *args, **kwargs)

        return guarded

    def _begin(self, kind: LoopKind, callbacks: Any, logs: Any = None) -> None:
        # A `fit` may have been taken hold of (`fit = model.fit`) before the profile began.
        joined = not self._context.in_framework and self._context.enter_framework_loop()
        if self._running:
            # Keras resets its metrics for an evaluation, and not for a prediction.
            self._leave_steps(self._running[-1], count=kind is not LoopKind.PREDICT)
        fed_by = self._fed_by[-1] if self._fed_by else self._context.given
        loop = self._context.loops.open(kind, fed_by=fed_by, fetches_first=self._fetches_first)
        running = _RunningLoop(loop, callbacks, joined=joined)
        self._running.append(running)
        if self._waits_seen:
            loop.waits_told_by(WaitSource.ITERATOR)
        elif self.listener is not None:
            self.listener.loop_opened(loop)
        if kind is not LoopKind.FIT:
            loop.begin_epoch(now_ns())

    def _end(self, callbacks: Any, logs: Any = None) -> None:
        if self._running and self._running[-1].callbacks is callbacks:
            self._close_down_to(len(self._running) - 1)

    def _close_down_to(self, depth: int) -> None:
        while len(self._running) > depth:
            running = self._running.pop()
            self._guarded(self._leave_steps)(running)
            self._context.loops.close(running.loop)
            if running.joined:
                self._context.leave_framework_loop()

    def _leave_steps(self, running: "_RunningLoop", *, count: bool = True) -> None:
        if count:
            self._count_samples(running)
        if self.listener is not None and not self._waits_seen:
            self.listener.epoch_ended(running.loop)
        running.loop.leave_steps()

    def _epoch_begins(self, callbacks: Any, epoch: Any, logs: Any = None) -> None:
        if self._running:
            self._running[-1].loop.begin_epoch(now_ns())

    def _epoch_ends(self, callbacks: Any, epoch: Any, logs: Any = None) -> None:
        if self._running:
            self._leave_steps(self._running[-1])

    def _step_begins(self, callbacks: Any, batch: Any, logs: Any = None) -> None:
        if self._running:
            running = self._running[-1]
            running.first_batch = int(batch)
            running.loop.begin_step(now_ns())

    def _step_ends(self, callbacks: Any, batch: Any, logs: Any = None) -> None:
        if not self._running:
            return
        running = self._running[-1]
        now = now_ns()
        batches = int(batch) - running.first_batch + 1
        running.loop.end_step(now, batches)
        running.uncounted += batches
        if running.loop.kind is LoopKind.PREDICT and isinstance(logs, dict):
            samples = count_samples(logs.get("outputs"))
            if samples is not None:
                running.loop.samples(samples)
        if self.listener is not None and not self._waits_seen:
            # Only of a known number of batches does Keras say what the last step may take.
            at_most = batches > 1 and not running.batches_known
            self.listener.step_ended(running.loop, now, batches, at_most=at_most)
        running.loop.mark()

    def _count_samples(self, running: "_RunningLoop") -> None:
        """Reads how many samples went into the loss since Keras last reset it."""
        batches, running.uncounted = running.uncounted, 0
        if not batches or running.loop.kind is LoopKind.PREDICT:
            return
        samples = running.weight_of_loss()
        # Keras weights the loss of a batch with its size; a user's own step often does not.
        if samples is not None and samples <= batches and self._has_own_step(running):
            samples = None
        if samples is not None:
            running.loop.samples(samples)
        else:
            self._context.recorder.warn(
                f"The samples of a {running.loop.kind.value} could not be counted: the model does "
                "not weight its loss with the size of the batch, as Keras's own steps do."
            )

    def _has_own_step(self, running: "_RunningLoop") -> bool:
        name = "train_step" if running.loop.kind is LoopKind.FIT else "test_step"
        model = type(running.callbacks.model)
        return getattr(model, name, None) is not getattr(self._model, name, None)

    def _watched_batch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def train_on_batch(model: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._context.by_hand():
                return original(model, x, *args, **kwargs)
            start_ns = now_ns()
            result = original(model, x, *args, **kwargs)
            self._context.loops.hand.trained_on_batch(start_ns, now_ns(), count_samples(x))
            return result

        return train_on_batch


def _timed(batches: Any, waited: Callable[[Any, int, int], None]) -> Iterator[Any]:
    """The same batches; tells of each how long it was waited for."""
    iterator = iter(batches)
    while True:
        start_ns = now_ns()
        try:
            batch = next(iterator)
        except StopIteration:
            return
        waited(batch, start_ns, now_ns())
        yield batch
        del batch


class _Joined:
    """Stands for the callbacks of a ``fit`` that was taken up late."""

    def __init__(self, model: Any) -> None:
        self.model = model


class _RunningLoop:
    """A Keras loop that has not ended; ``uncounted`` are its batches whose samples are not counted."""

    def __init__(self, loop: OpenLoop, callbacks: Any, *, joined: bool) -> None:
        self.loop = loop
        self.joined = joined
        self.callbacks = callbacks
        self.first_batch = 0
        self.uncounted = 0

    @property
    def batches_known(self) -> bool:
        """Whether Keras knows how many batches an epoch has."""
        params = getattr(self.callbacks, "params", None)
        return isinstance(params, dict) and params.get("steps") is not None

    def weight_of_loss(self) -> int | None:
        """The number that Keras divides the loss by, or None where there is none."""
        for metric in getattr(self.callbacks.model, "metrics", [])[:1]:
            count = getattr(metric, "count", None)
            if getattr(metric, "name", None) == "loss" and count is not None:
                return round(float(count.numpy())) or None  # of all replicas together
        return None


def _workers_of_fit(kind: InputKind | None, bound: inspect.BoundArguments) -> dict[str, Any]:
    """What Keras 2 takes on ``fit``, and Keras 3 on the dataset; it means something for two kinds."""
    if kind not in (InputKind.GENERATOR, InputKind.SEQUENCE):
        return {}
    defaults = {name: p.default for name, p in bound.signature.parameters.items()}
    given = defaults | bound.arguments
    told = {
        "workers": given.get("workers"),
        "multiprocessing": given.get("use_multiprocessing"),
        "queue_size": given.get("max_queue_size"),
    }
    return {name: value for name, value in told.items() if value is not None}
