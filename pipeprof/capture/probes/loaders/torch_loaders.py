"""Times the user's dataset and ``collate_fn`` of a `torch.utils.data.DataLoader`.

It uses the loader's public attributes; PyTorch itself is not imported.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.loaders.timed_calls import Destination, time_attribute, time_operators
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.stage_site import site_of_function
from pipeprof.capture.probes.python.timed_generators import timed_generator
from pipeprof.capture.probes.python.timed_subclass import (
    has_replaced_methods,
    original_class,
    replace_methods,
)
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.recording.stage import StageKind


def describe(loader: Any) -> InputFacts:
    """Facts about a loader as an input."""
    workers = loader.num_workers
    ahead = workers * (loader.prefetch_factor or 0)
    return InputFacts(
        kind=InputKind.LOADER,
        name=original_class(loader).__name__,
        workers=workers,
        multiprocessing=workers > 0,
        queue_size=ahead or None,
        library=InputLibrary.TORCH_LOADER,
    )


def works_ahead(loader: Any) -> bool:
    """Whether the loop waits for workers, instead of doing the work itself."""
    return bool(loader.num_workers > 0)


def observe_parts(loader: Any, context: ProbeContext) -> Iterator[Callable[[], None]]:
    """Times the user's code that the loader calls; yields, for each part, a function that ends this."""
    to = Destination(context.recorder.folder_for_workers(), loader.num_workers or None)
    for dataset in _users_datasets(loader.dataset):
        if hasattr(type(dataset), "__iter__"):  # a stream has a __getitem__ too, which only refuses
            yield _observe_stream(dataset, to)
        else:
            yield time_operators(dataset, context, to)
    yield time_attribute(loader, "collate_fn", _name(loader.collate_fn), to)


def _users_datasets(dataset: Any) -> Iterator[Any]:
    """The dataset, or the datasets inside it where it only selects from them (``random_split``)."""
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    if owner_of_module(original_class(dataset).__module__) is not CodeOwner.TORCH or None in inner:
        yield dataset
        return
    for part in inner:
        yield from _users_datasets(part)


@pass_over
def _observe_stream(dataset: Any, to: Destination) -> Callable[[], None]:
    """Times an ``IterableDataset`` sample by sample."""
    if has_replaced_methods(dataset):
        return lambda: None
    original: Any = type(dataset)
    site = site_of_function(original.__iter__, StageKind.FUNCTION, f"{original.__name__}.__iter__")
    site.workers = to.workers

    def __iter__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
        return timed_generator(site, iter(original.__iter__(self)), owned=True)

    return replace_methods(dataset, {"__iter__": __iter__})


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
