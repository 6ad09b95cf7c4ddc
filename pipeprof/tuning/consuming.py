"""Trains on a feed, or only takes its batches, for a limited time, and clocks the steps."""

import importlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeprof.clock import now_ns
from pipeprof.errors import TuningRefused

_MANY = 1_000_000
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

    def epoch(self) -> None:
        """Notes the end of an epoch."""
        self._epochs += 1

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
    endless = _is_gone_through_once(feed)
    steps = {"steps_per_epoch": _MANY} if endless else {}
    model.fit(feed, epochs=_MANY, verbose=0, callbacks=[callback], **steps, **fit)
    return clock.durations_ns()


def _is_gone_through_once(feed: Any) -> bool:
    """Whether a feed can be gone through only once, so that all steps belong to one epoch."""
    return hasattr(feed, "send") or (
        hasattr(feed, "__next__") and not hasattr(feed, "element_spec")
    )


def keras_of(model: Any) -> Any:
    """The Keras that a model is of: Keras 3 or Keras 2."""
    roots = (kind.__module__.partition(".")[0] for kind in type(model).__mro__)
    return importlib.import_module(next((root for root in roots if root in _KERAS), "keras"))


def model_that_only_takes() -> Any:
    """A model whose steps do nothing: what Keras does to load a Sequence, without any training."""
    keras = importlib.import_module("keras")

    class OnlyTakes(keras.Model):  # type: ignore[name-defined]
        def train_step(self, data: Any) -> dict[str, float]:
            return {"loss": 0.0}

        def call(self, inputs: Any) -> Any:
            return inputs

    model = OnlyTakes()
    model.compile()
    return model


def _clocking(model: Any, clock: StepClock) -> Any:
    """A callback of the model's own Keras that drives the clock and ends the training."""
    keras = keras_of(model)

    class Clocking(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.step()
            if clock.done:
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.epoch()

    return Clocking()


def take_from(fresh: Callable[[], Iterable[Any]], limits: Limits) -> tuple[int, ...]:
    """Step times of a loop that only takes the batches, epoch after epoch, in nanoseconds."""
    clock = StepClock(limits)
    for _ in itertools.count():
        taken = False
        for _batch in fresh():
            taken = True
            clock.step()
            if clock.done:
                return clock.durations_ns()
        clock.epoch()
        if not taken or clock.done:
            return clock.durations_ns()
    raise AssertionError


def first_batches(feed: Iterable[Any], most: int, within_ns: int) -> Iterator[Any]:
    """The first batches of a feed, as many as can be had in some time."""
    start_ns = now_ns()
    for batch in itertools.islice(feed, most):
        yield batch
        if now_ns() - start_ns > within_ns:
            return
