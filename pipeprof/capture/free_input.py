"""Feeds a training with batches that are kept in memory: the same training with input for free.

The first batches of whatever feeds the training are kept, everything upstream rests, and they are fed
again and again for some steps. Then the training ends by `CeilingReached`.
"""

import functools
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.capture.patches import ImportHook, Patches
from pipeprof.capture.probes.loaders.datasets import recognise
from pipeprof.capture.probes.loops.batch_shapes import count_samples, size_of
from pipeprof.capture.probes.probe_context import called_from_framework
from pipeprof.capture.recorder import recorder
from pipeprof.capture.settings import MOST_KEPT_BATCHES
from pipeprof.errors import UsageError
from pipeprof.recording.loop import InputKind

MOST_BATCHES = MOST_KEPT_BATCHES
MOST_BYTES = 256 << 20

_FITS = ("fit", "fit_generator")
# A hand-written loop over a dataset has taken at least so many batches.
_MORE_THAN_A_LOOK = 3

# Arguments of `fit` that belong to its input, to its validation or to its length.
_OF_INPUT = (
    "x",
    "y",
    "sample_weight",
    "batch_size",
    "generator",
    "initial_epoch",
    "validation_data",
    "validation_split",
    "validation_steps",
    "validation_batch_size",
    "validation_freq",
)


class CeilingReached(SystemExit):
    """Enough steps were measured: ends the script, whose ``except Exception`` does not hold it up."""


class FreeInput:
    """Replaces the input of the first training that begins.

    Args:
        steps: how many steps it takes, the warm-up included.
        batches: how many batches are kept at most; fewer where they are large.

    Attributes:
        steps: as given.
        most_batches: how many batches are kept at most.
        most_bytes: batches that together are larger than this are enough.
        kept: how many batches were kept; 0 while no training has begun.
    """

    most_bytes = MOST_BYTES

    def __init__(self, steps: int, batches: int = MOST_BATCHES) -> None:
        self.kept = 0
        self.steps = steps
        self.most_batches = batches
        self._patches = Patches()
        self._imports = [
            ImportHook("tensorflow", self._install_tfdata),
            ImportHook("keras", lambda: self._install_keras("keras")),
            ImportHook("tf_keras", lambda: self._install_keras("tf_keras")),
        ]

    def install(self) -> None:
        """Replaces what is there, and the rest when it is imported; to be called inside a profile."""
        for hook in self._imports:
            hook.start()

    def remove(self) -> None:
        """Gives everything back."""
        for hook in self._imports:
            hook.stop()
        self._patches.undo()

    def _install_keras(self, package: str) -> None:
        keras = importlib.import_module(package)
        backend = keras.config.backend() if hasattr(keras, "config") else "tensorflow"
        model = keras.Model
        for name in _FITS:
            if hasattr(model, name):
                self._patches.replace(model, name, self._fit(getattr(model, name), backend))
        train = self._train_on_batch(model.train_on_batch)
        self._patches.replace(model, "train_on_batch", train)

    def _fit(self, original: Callable[..., Any], backend: str) -> Callable[..., Any]:
        signature = inspect.signature(original)
        feed = "x" if "x" in signature.parameters else "generator"

        @functools.wraps(original)
        def fit(model: Any, *args: Any, **kwargs: Any) -> Any:
            if self.kept or called_from_framework():
                return original(model, *args, **kwargs)
            bound = signature.bind(model, *args, **kwargs)
            arguments = bound.arguments
            batches = self.keep(_batches_of_fit(arguments, feed))
            for name in _OF_INPUT:
                arguments.pop(name, None)
            arguments[feed] = repeated(batches, backend)
            arguments["steps_per_epoch"] = self.steps
            arguments["epochs"] = 1
            if backend != "tensorflow":
                arguments["callbacks"] = _with_waiting_steps(arguments.get("callbacks"))
            if "shuffle" in signature.parameters:
                arguments["shuffle"] = False
            original(*bound.args, **bound.kwargs)
            raise CeilingReached

        return fit

    def _train_on_batch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        @functools.wraps(original)
        def train_on_batch(model: Any, *args: Any, **kwargs: Any) -> Any:
            if self.kept or called_from_framework():
                return original(model, *args, **kwargs)
            calls.append((args, kwargs))
            room = MOST_BYTES - sum(size_of(given) for given in calls)
            if len(calls) < self.most_batches and room > 0:
                return original(model, *args, **kwargs)
            self.kept = len(calls)
            for again, named in itertools.islice(itertools.cycle(calls), self.steps):
                original(model, *again, **named)
            raise CeilingReached

        return train_on_batch

    def _install_tfdata(self) -> None:
        tf = importlib.import_module("tensorflow")
        iterate = tf.data.Dataset.__iter__

        @functools.wraps(iterate)
        def __iter__(dataset: Any) -> Any:  # noqa: N807 - it is the method of that name
            if self.kept or not tf.executing_eagerly() or called_from_framework():
                return iterate(dataset)
            return self._by_hand(iterate(dataset))

        self._patches.replace(tf.data.Dataset, "__iter__", __iter__)

    def _by_hand(self, batches: Iterator[Any]) -> Iterator[Any]:
        """What a hand-written loop takes from a dataset; a look at a few batches is none."""
        kept: list[Any] = []
        room = MOST_BYTES
        for batch in batches:
            yield batch
            kept.append(batch)
            room -= size_of(batch)
            if len(kept) >= self.most_batches or room <= 0:
                break
        if len(kept) < _MORE_THAN_A_LOOK:
            return
        self.kept = len(kept)
        del batches  # everything upstream rests from now on
        yield from repeated(kept, "tensorflow").take(self.steps)
        raise CeilingReached

    def keep(self, batches: Iterator[Any]) -> list[Any]:
        """Takes the first batches, as many as there is room for; what pipeprof takes is not recorded.

        Raises:
            UsageError: there are none.
        """
        current = recorder.current
        recorder.activate(None)
        try:
            kept: list[Any] = []
            room = MOST_BYTES
            for batch in itertools.islice(batches, self.most_batches):
                kept.append(batch)
                room -= size_of(batch)
                if room <= 0:
                    break
        finally:
            recorder.activate(current)
        if not kept:
            raise UsageError("expected a dataset with batches, received one without any.")
        self.kept = len(kept)
        return kept


def repeated(batches: list[Any], backend: str) -> Any:
    """The batches again and again, as a feed that costs next to nothing: ready in memory."""
    if backend != "tensorflow":
        return _cycle(batches)
    tf = importlib.import_module("tensorflow")
    singles = [tf.data.Dataset.from_tensors(batch) for batch in batches]
    whole = functools.reduce(lambda one, other: one.concatenate(other), singles)
    return whole.repeat().prefetch(2)


def _with_waiting_steps(callbacks: Any) -> Any:
    """Callbacks that make Keras wait for the device at the end of each step, which so has all its work.

    On some backends it does so only for a callback that does something there.
    """
    keras = importlib.import_module("keras")

    def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> None:
        """Does nothing."""

    waits = type(
        "WaitsForDevice", (keras.callbacks.Callback,), {"on_train_batch_end": on_train_batch_end}
    )
    if callbacks is None:
        return [waits()]
    return [*callbacks, waits()] if isinstance(callbacks, list | tuple) else callbacks


def _cycle(batches: list[Any]) -> Iterator[Any]:
    """A generator: Keras takes no other iterator."""
    while True:
        yield from batches


def _batches_of_fit(arguments: dict[str, Any], feed: str) -> Iterator[Any]:
    """The batches that a ``fit`` with these arguments would take, in its order but not shuffled."""
    data: Any = arguments.get(feed)
    match recognise(data):
        case InputKind.SEQUENCE:
            return (data[index] for index in range(len(data)))
        case InputKind.ARRAYS:
            return _slices(arguments)
        case InputKind.GENERATOR if callable(data):
            return iter(data())
        case None:
            raise UsageError(f"expected a fit with a dataset, received {type(data).__name__}.")
        case _:
            return iter(data)


def _slices(arguments: dict[str, Any]) -> Iterator[Any]:
    given = (arguments.get("x"), arguments.get("y"), arguments.get("sample_weight"))
    whole = given[: max(n for n, part in enumerate(given) if part is not None) + 1]
    size = arguments.get("batch_size") or 32
    for begin in range(0, count_samples(whole) or 0, size):
        yield _sliced(whole, slice(begin, begin + size))


def _sliced(data: Any, part: slice) -> Any:
    match data:
        case None:
            return None
        case dict():
            return {key: _sliced(value, part) for key, value in data.items()}
        case tuple() | list():
            return tuple(_sliced(value, part) for value in data)
        case _:
            return data[part]
