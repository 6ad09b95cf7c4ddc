"""Recognises the dataset that a user trains on, and makes its work recorded.

Objects are recognised by the names of their classes and modules, as Keras does it, so that no framework is
imported.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.loaders.hand_fetches import HandFetches
from pipeprof.capture.probes.loaders.image_generators import observe_preprocessing
from pipeprof.capture.probes.loaders.observed_loaders import describe_loader, observe_loader
from pipeprof.capture.probes.loaders.sequences import describe_sequence, observe_sequence
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.stage_site import StageSite, site_of_function, site_of_generator
from pipeprof.capture.probes.python.timed_generators import (
    Timing,
    timed_generator,
    timing_of,
)
from pipeprof.capture.probes.python.timed_subclass import (
    has_replaced_methods,
    original_class,
    replace_methods,
)
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.errors import UsageError
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind
from pipeprof.recording.stage import StageKind


@dataclass(frozen=True, slots=True)
class ObservedDataset:
    """A dataset whose work is recorded.

    Attributes:
        dataset: the dataset to train on: an object of the kind that was given.
        fed_by: facts about it, for the loop that it feeds.
        release: ends the recording and restores the object.
    """

    dataset: Any
    fed_by: InputFacts
    release: Callable[[], None]


def recognise(dataset: Any) -> InputKind | None:
    """The kind of input of an object, or None where it cannot feed a training."""
    for check, kind in _RECOGNISERS:
        if check(dataset):
            return kind
    return None


def require_dataset(dataset: Any) -> InputKind:
    """The kind of input of an object.

    Raises:
        UsageError: the object cannot feed a training.
    """
    kind = recognise(dataset)
    if kind is None:
        raise UsageError(
            "expected a dataset (a generator, a generator function, a Sequence or PyDataset, a "
            "tf.data.Dataset, a DataLoader, arrays or an iterable of batches), "
            f"received {_describe(dataset)}."
        )
    return kind


def observe_dataset(dataset: Any, context: ProbeContext) -> ObservedDataset:
    """Makes the work of a dataset recorded.

    Raises:
        UsageError: the object cannot feed a training.
    """
    kind = require_dataset(dataset)
    match kind:
        case InputKind.SEQUENCE:
            return _observe_sequence(dataset, context)
        case InputKind.TF_DATA | InputKind.ARRAYS:
            return ObservedDataset(
                dataset, InputFacts(kind=kind, name=type(dataset).__name__), _nothing
            )
        case InputKind.GENERATOR:
            return _observe_generator(dataset, context)
        case InputKind.LOADER:
            return ObservedDataset(
                dataset, describe_loader(dataset), observe_loader(dataset, context)
            )
        case InputKind.ITERATOR:
            return _observe_iterable(dataset, kind, context)


def _observe_sequence(sequence: Any, context: ProbeContext) -> ObservedDataset:
    # A user's class may raise anything when one is derived from it.
    guard = Guard(
        context.recorder.warn,
        f"The work inside {type(sequence).__name__} is not shown: its class cannot be observed",
    )
    release = guard.run(_observe_items, sequence, context)
    return ObservedDataset(sequence, describe_sequence(sequence), release or _nothing)


def _observe_items(sequence: Any, context: ProbeContext) -> Callable[[], None]:
    with ExitStack() as releases:
        releases.callback(observe_sequence(sequence, context))
        releases.callback(observe_preprocessing(sequence, context))
        return releases.pop_all().close


@pass_over
def _observe_generator(dataset: Any, context: ProbeContext) -> ObservedDataset:
    if inspect.isgenerator(dataset):
        fed_by = InputFacts(kind=InputKind.GENERATOR, name=dataset.__name__)
        if dataset not in context.timed:
            fetches = HandFetches(context, fed_by)
            dataset = _timed(site_of_generator(dataset), dataset, fetches, context)
        return ObservedDataset(dataset, fed_by, _nothing)
    site = site_of_function(dataset, StageKind.GENERATOR)
    fed_by = InputFacts(kind=InputKind.GENERATOR, name=site.name)
    fetches = HandFetches(context, fed_by)

    @functools.wraps(dataset)
    def batches(*args: Any, **kwargs: Any) -> Any:
        made = dataset(*args, **kwargs)
        if not hasattr(made, "__next__"):
            return made  # a function that makes a dataset of another kind
        return _timed(site, made, fetches, context, owned=True)

    context.timed.add(batches)
    return ObservedDataset(batches, fed_by, _nothing)


def _timed(
    site: StageSite,
    source: Any,
    fetches: HandFetches,
    context: ProbeContext,
    *,
    owned: bool = False,
) -> Any:
    """The source, timed; where that is not possible, a generator that stands for it."""
    if has_replaced_methods(source):
        return source
    if not inspect.isgenerator(source):
        try:
            _replace_iteration(source, site, fetches, context)
        except Exception:  # a class not written in Python, or not to be derived from
            return timed_generator(site, source, fetches)
        return source
    timing = timing_of(source)
    if timing is not None:
        timing.fetches = fetches
    else:
        source = timed_generator(site, source, fetches, owned=owned)
    context.timed.add(source)
    return source


def _observe_iterable(dataset: Any, kind: InputKind, context: ProbeContext) -> ObservedDataset:
    name = original_class(dataset).__name__
    fed_by = InputFacts(kind=kind, name=name)
    if has_replaced_methods(dataset):
        return ObservedDataset(dataset, fed_by, _nothing)
    fetches = HandFetches(context, fed_by)
    method = "__next__" if hasattr(dataset, "__next__") else "__iter__"
    site = site_of_function(getattr(type(dataset), method), StageKind.ITERABLE, name)
    try:
        return ObservedDataset(dataset, fed_by, _replace_iteration(dataset, site, fetches, context))
    except Exception:  # a class not written in Python, or not to be derived from
        if method == "__next__":
            return ObservedDataset(timed_generator(site, dataset, fetches), fed_by, _nothing)
        return ObservedDataset(TimedIterable(dataset, site, fetches), fed_by, _nothing)


@pass_over
def _replace_iteration(
    iterable: Any, site: StageSite, fetches: HandFetches, context: ProbeContext
) -> Callable[[], None]:
    original: Any = type(iterable)
    timing = Timing(site, fetches)

    def __iter__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
        made = original.__iter__(self)
        return self if made is self else _timed(site, made, fetches, context)

    def __next__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
        return timing.take(timing, functools.partial(original.__next__, self))

    methods = {"__iter__": __iter__, "__next__": __next__}
    return replace_methods(
        iterable, {name: m for name, m in methods.items() if hasattr(original, name)}
    )


class TimedIterable:
    """Stands for an iterable whose class cannot be changed (a list of batches)."""

    def __init__(self, iterable: Any, site: StageSite, fetches: HandFetches) -> None:
        self._iterable = iterable
        self._site = site
        self._fetches = fetches

    @pass_over
    def __iter__(self) -> Iterator[Any]:
        return timed_generator(self._site, iter(self._iterable), self._fetches)

    def __len__(self) -> int:
        return len(self._iterable)

    def __getitem__(self, index: Any) -> Any:
        return self._iterable[index]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterable, name)

    def __reduce__(self) -> Any:
        return _itself, (self._iterable,)


def _itself(iterable: Any) -> Any:
    return iterable


def _nothing() -> None:
    return None


def _has_base(dataset: Any, names: tuple[str, ...], *owners: CodeOwner) -> bool:
    return any(
        parent.__name__ in names and owner_of_module(parent.__module__) in owners
        for parent in type(dataset).__mro__
    )


def _is_tf_data(dataset: Any) -> bool:
    names = ("DatasetV2", "DistributedDataset", "DistributedDatasetsFromFunction")
    return _has_base(dataset, names, CodeOwner.TENSORFLOW)


def _is_sequence(dataset: Any) -> bool:
    return _has_base(dataset, ("PyDataset", "Sequence"), CodeOwner.KERAS)


def _is_loader(dataset: Any) -> bool:
    return _has_base(dataset, ("DataLoader",), CodeOwner.TORCH, CodeOwner.GRAIN) or _has_base(
        dataset, ("MapDataset", "IterDataset"), CodeOwner.GRAIN
    )


def _is_array(dataset: Any) -> bool:
    return hasattr(dataset, "shape") and hasattr(dataset, "dtype")


def _is_arrays(dataset: Any) -> bool:
    if _is_array(dataset) or _has_base(dataset, ("DataFrame", "Series"), CodeOwner.PANDAS):
        return True
    if isinstance(dataset, Mapping):
        return bool(dataset) and all(_is_arrays(part) for part in dataset.values())
    # A tuple is how arrays are given to `fit`; a list of tuples is a list of batches.
    if isinstance(dataset, tuple):
        return bool(dataset) and all(_is_arrays(part) for part in dataset)
    return isinstance(dataset, list) and bool(dataset) and all(map(_is_array, dataset))


def _is_generator(dataset: Any) -> bool:
    if inspect.isgenerator(dataset) or inspect.isroutine(dataset):
        return True
    if isinstance(dataset, functools.partial):
        return _is_generator(dataset.func)
    called = getattr(type(dataset), "__call__", None)  # noqa: B004 - it is looked into
    return not isinstance(dataset, type) and inspect.isgeneratorfunction(called)


def _is_iterable(dataset: Any) -> bool:
    if isinstance(dataset, (str, bytes, type)):
        return False
    return hasattr(type(dataset), "__iter__") or hasattr(type(dataset), "__next__")


_RECOGNISERS: tuple[tuple[Callable[[Any], bool], InputKind], ...] = (
    (_is_tf_data, InputKind.TF_DATA),
    (_is_sequence, InputKind.SEQUENCE),
    (_is_loader, InputKind.LOADER),
    (_is_arrays, InputKind.ARRAYS),
    (_is_generator, InputKind.GENERATOR),
    (_is_iterable, InputKind.ITERATOR),
)


def _describe(value: Any) -> str:
    text = repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{shown} of type {type(value).__name__}"
