"""Times the user's functions in grain's ``DataLoader``, ``MapDataset`` and ``IterDataset``.

A pipeline of grain's is a graph of nodes that keep the user's functions. grain itself is not
imported; where it keeps things otherwise than known here, they are not timed, and nothing else changes.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.capture.probes.loaders.timed_calls import (
    Destination,
    is_users,
    time_attribute,
    time_operators,
)
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.recording.loop import InputKind, InputLibrary

_FUNCTIONS = ("_map_fn", "_filter_fn", "_batch_fn")
# Methods of the user's transformations, as they are given to `DataLoader` or `flat_map`.
_METHODS = (
    "map",
    "map_with_index",
    "random_map",
    "np_random_map",
    "filter",
    "flat_map",
    "batch_fn",
)


_PUBLIC = {
    "DataLoader": InputLibrary.GRAIN_LOADER,
    "MapDataset": InputLibrary.GRAIN_MAP_DATASET,
    "IterDataset": InputLibrary.GRAIN_ITER_DATASET,
}


def describe(loader: Any) -> InputFacts:
    """Facts about a loader as an input."""
    library = _library(loader)
    processes = _processes(loader)
    buffers = [
        size
        for node in _nodes(loader)
        if isinstance(size := getattr(node, "_buffer_size", None), int)
    ]
    return InputFacts(
        kind=InputKind.LOADER,
        name=library.value if library else "grain",
        workers=processes or _threads(loader),
        multiprocessing=processes > 0,
        queue_size=sum(buffers) or None,
        library=library,
    )


def works_ahead(loader: Any) -> bool:
    """Whether the loop waits for workers: always, as grain reads in threads of its own."""
    return True


def observe_parts(loader: Any, context: ProbeContext) -> Iterator[Callable[[], None]]:
    """Times the user's functions that grain calls; yields, for each, a function that ends the timing."""
    to = Destination(context.recorder.folder_for_workers(), _processes(loader) or None)
    for operation in getattr(loader, "_operations", ()):
        yield from _observe_transformation(operation, to, one_by_one=True)
    for node in _nodes(loader):
        # The thread that iterates does all work after that of the reading threads.
        one_by_one = any(parent.__name__ == "IterDataset" for parent in type(node).__mro__)
        source = getattr(node, "_source", None)
        if source is not None and is_users(type(source)):
            yield time_operators(source, context, to)
        for attribute in _FUNCTIONS:
            function = vars(node).get(attribute)
            # The default of `DataLoader` keeps the user's function one level deeper.
            if hasattr(function, "values_batch_fn"):
                node, attribute = function, "values_batch_fn"
                function = function.values_batch_fn
            if callable(function) and is_users(function):
                yield time_attribute(node, attribute, _name(function), to, one_by_one=one_by_one)
        transformation = getattr(node, "_transform", None)
        if hasattr(transformation, "flat_map"):
            yield from _observe_transformation(transformation, to, one_by_one=one_by_one)


def _observe_transformation(
    thing: Any, to: Destination, *, one_by_one: bool
) -> Iterator[Callable[[], None]]:
    for method in _METHODS:
        function = getattr(thing, method, None)
        if callable(function) and is_users(function):
            yield time_attribute(thing, method, _name(function), to, one_by_one=one_by_one)


def _nodes(loader: Any) -> Iterator[Any]:
    """All nodes of a loader's graph, each once."""
    seen: set[int] = set()
    left = [getattr(loader, "_dataset", loader)]
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            left.extend(getattr(node, "_parents", ()))
            # Inputs of nodes that interleave, as over worker processes.
            inputs = getattr(node, "_datasets", ())
            left.extend(inputs if isinstance(inputs, (list, tuple)) else ())


def _processes(loader: Any) -> int:
    return sum(type(node).__name__ == "ProcessPrefetchIterDataset" for node in _nodes(loader))


def _threads(loader: Any) -> int | None:
    """How many threads read; None where grain decides that later."""
    options = [getattr(node, "_read_options", None) for node in _nodes(loader)]
    threads = [getattr(option, "num_threads", None) for option in options]
    return sum(number for number in threads if isinstance(number, int)) if any(options) else None


def _library(loader: Any) -> InputLibrary | None:
    """Which public class of grain's a loader is of; the classes of most nodes are grain's internals."""
    names = (parent.__name__ for parent in type(loader).__mro__)
    return next((_PUBLIC[name] for name in names if name in _PUBLIC), None)


def _name(function: Any) -> str:
    """``Decode.map`` of a transformation's method, else the function's own name."""
    qualified = str(getattr(function, "__qualname__", type(function).__name__))
    return qualified.rpartition("<locals>.")[2]
