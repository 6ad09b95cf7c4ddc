"""Trains on a feed, or only takes its batches, for a limited time, and clocks the steps."""

import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from pipeprof.clock import now_ns
from pipeprof.errors import TuningRefused
from pipeprof.recording.light_dataclasses import dataclass

_MANY = 1_000_000
# tf.data.INFINITE_CARDINALITY
_INFINITE = -1
_KERAS = ("keras", "tf_keras")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a feed is consumed.

    Attributes:
        warmup_steps: steps that are taken first and not measured.
        warmup_ns: time in which steps are not measured.
        epochs: full epochs that are not measured.
        measured_ns: how long it is measured.
        least_steps: steps that are measured at the least.
        latest_ns: when it ends in any case, after its beginning.
    """

    warmup_steps: int = 5
    warmup_ns: int = 300_000_000
    epochs: int = 0
    measured_ns: int = 1_500_000_000
    least_steps: int = 10
    latest_ns: int = 20_000_000_000


class StepClock:
    """Notes when steps end, and knows when enough of them were measured."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._start_ns = now_ns()
        self._steps = 0
        self._epochs = 0
        self._before = 0
        self._ends: list[int] = []

    @property
    def done(self) -> bool:
        """Whether enough was measured."""
        if not self._ends:
            return now_ns() - self._start_ns > self._limits.latest_ns
        measured_ns = self._ends[-1] - self._ends[0]
        enough = (
            len(self._ends) > self._limits.least_steps and measured_ns >= self._limits.measured_ns
        )
        return enough or self._ends[-1] - self._start_ns > self._limits.latest_ns

    def step(self) -> None:
        """Notes the end of a step."""
        self._steps += 1
        end_ns = now_ns()
        warm = (
            self._steps >= self._limits.warmup_steps
            and end_ns - self._start_ns >= self._limits.warmup_ns
            and self._epochs >= self._limits.epochs
        )
        if warm:
            self._ends.append(end_ns)

    def epoch(self) -> bool:
        """Notes the end of an epoch; gives whether another one is of use: this one had steps."""
        self._epochs += 1
        had_steps, self._before = self._steps > self._before, self._steps
        return had_steps and not self.done

    def durations_ns(self) -> tuple[int, ...]:
        """How long each measured step took, with all that lay between it and the one before.

        Raises:
            TuningRefused: too few steps were seen.
        """
        if len(self._ends) < 3:
            raise TuningRefused(
                f"expected steps enough to measure, received {self._steps} in "
                f"{(now_ns() - self._start_ns) / 1e9:.0f} s: steps that are too long, or too little data."
            )
        return tuple(int(step) for step in np.diff(np.array(self._ends, np.int64)))


def train_on(feed: Any, model: Any, limits: Limits, **fit: Any) -> tuple[int, ...]:
    """Step times of a model that is trained on a feed by ``fit``, in nanoseconds."""
    clock = StepClock(limits)
    callback = _clocking(model, clock)
    epochs = {"epochs": _MANY}
    if _is_gone_through_once(feed) or never_ends(feed):
        epochs = {"epochs": 1, "steps_per_epoch": _MANY}
    if not hasattr(feed, "__getitem__"):
        fit = {"shuffle": False, **fit}  # Keras warns of everything else that it cannot shuffle
    if hasattr(feed, "__next__") and not hasattr(feed, "element_spec"):
        feed = (batch for batch in feed)  # Keras knows generators, and no other iterators
    model.fit(feed, verbose=0, callbacks=[callback], **epochs, **fit)
    return clock.durations_ns()


def never_ends(feed: Any) -> bool:
    """Whether a feed is a ``tf.data`` dataset that repeats forever: its first epoch is its last."""
    cardinality = getattr(feed, "cardinality", None)
    return cardinality is not None and int(cardinality()) == _INFINITE


def _is_gone_through_once(feed: Any) -> bool:
    """Whether a feed can be gone through only once, so that all steps belong to one epoch."""
    return hasattr(feed, "send") or (
        hasattr(feed, "__next__") and not hasattr(feed, "element_spec")
    )


def keras_of(model: Any) -> Any:
    """The Keras that a model is of: Keras 3 or Keras 2."""
    roots = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    return importlib.import_module(next((root for root in roots if root in _KERAS), "keras"))


def model_that_only_takes(sequence: Any, note: Callable[[Any], None] | None = None) -> Any:
    """A model whose steps do nothing: what Keras does to load a Sequence, without any training.

    Args:
        sequence: what it will be trained on, which decides which Keras trains.
        note: called with each batch, or None where only the steps count.
    """
    keras = keras_of(sequence)

    class OnlyTakes(keras.Model):  # type: ignore[name-defined]
        def train_step(self, *given: Any) -> Any:
            """Takes a batch; on JAX the state comes before it, and goes back with the logs."""
            *state, batch = given
            if note is not None:
                note(batch)
            logs = {"loss": 0.0}
            return (logs, *state) if state else logs

        def call(self, inputs: Any) -> Any:
            return inputs

    model = OnlyTakes()
    model.built = True  # to build it, Keras would take a batch that the steps then lack
    model.compile(run_eagerly=note is not None or backend_of(keras) == "jax")
    return model


def backend_of(keras: Any) -> str:
    """The backend of a Keras: Keras 2 has TensorFlow only."""
    return str(keras.config.backend()) if hasattr(keras, "config") else "tensorflow"


def loaded_by_fit(
    sequence: Any, most: int, within_ns: int, **fit: Any
) -> tuple[tuple[Any, ...], bool]:
    """The first batches that ``fit`` gets of a Sequence in its own order, and whether there are no more.

    Args:
        sequence: the Sequence, with its workers.
        most: how many batches at the most.
        within_ns: how long that may take.
        fit: further arguments of ``fit``.
    """
    keras = keras_of(sequence)
    taken: list[Any] = []
    start_ns = now_ns()

    class Stopping(keras.callbacks.Callback):  # type: ignore[name-defined]
        stopped = False

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if len(taken) >= most or now_ns() - start_ns > within_ns:
                self.stopped = self.model.stop_training = True

    stopping = Stopping()
    model = model_that_only_takes(sequence, taken.append)
    model.fit(sequence, epochs=1, shuffle=False, verbose=0, callbacks=[stopping], **fit)
    return tuple(taken), not stopping.stopped


def _clocking(model: Any, clock: StepClock) -> Any:
    """A callback of the model's own Keras that drives the clock and ends the training."""
    keras = keras_of(model)

    class Clocking(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.step()
            if clock.done:
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if not clock.epoch():
                self.model.stop_training = True

    return Clocking()


def take_from(fresh: Callable[[], Iterable[Any]], limits: Limits) -> tuple[int, ...]:
    """Step times of a loop that only takes the batches, epoch after epoch, in nanoseconds."""
    clock = StepClock(limits)
    for _ in itertools.count():
        for _batch in fresh():
            clock.step()
            if clock.done:
                return clock.durations_ns()
        if not clock.epoch():
            return clock.durations_ns()
    raise AssertionError


def first_batches(feed: Iterable[Any], most: int, within_ns: int) -> Iterator[Any]:
    """The first batches of a feed, as many as can be had in some time."""
    start_ns = now_ns()
    for batch in itertools.islice(feed, most):
        yield batch
        if now_ns() - start_ns > within_ns:
            return
