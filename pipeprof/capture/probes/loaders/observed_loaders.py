"""Observes loaders of other frameworks that Keras accepts: PyTorch's and grain's.

The loader stays the user's object. While a profile is on, each batch taken from it is recorded, and the
user's functions in it are timed. Loaders are recognised by the names of classes; no framework is imported.
"""

from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.loaders import grain_loaders, torch_loaders
from pipeprof.capture.probes.loaders.hand_fetches import HandFetches
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.stage_site import site_of_function
from pipeprof.capture.probes.python.timed_generators import Timing
from pipeprof.capture.probes.python.timed_subclass import (
    has_replaced_methods,
    original_class,
    replace_methods,
)
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.capture.recorder.recorder import OUTSIDE
from pipeprof.clock import now_ns
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.loop import InputKind
from pipeprof.recording.stage import StageKind

Release = Callable[[], None]


def describe_loader(loader: Any) -> InputFacts:
    """Facts about a loader as an input."""
    try:
        described: InputFacts = _framework(loader).describe(loader)
        return described
    except Exception:  # another version of the framework, which keeps its settings elsewhere
        return InputFacts(kind=InputKind.LOADER, name=original_class(loader).__name__)


def observe_loader(loader: Any, context: ProbeContext) -> Release:
    """Records the batches that are taken from a loader, and times the user's functions in it.

    Returns:
        A function that ends this.
    """
    if has_replaced_methods(loader):
        return lambda: None
    name, warn = original_class(loader).__name__, context.recorder.warn
    releases = ExitStack()
    Guard(warn, f"The work inside {name} is shown in part only: it cannot be observed").run(
        _observe_parts, loader, context, releases
    )
    Guard(
        warn, f"The batches taken from {name} by hand are not seen: its class cannot be observed"
    ).run(_observe_taking, loader, context, releases)
    return releases.close


def _observe_parts(loader: Any, context: ProbeContext, releases: ExitStack) -> None:
    for release in _framework(loader).observe_parts(loader, context):
        releases.callback(release)


def _observe_taking(loader: Any, context: ProbeContext, releases: ExitStack) -> None:
    releases.callback(_observe_iteration(loader, context))


def _framework(loader: Any) -> ModuleType:
    owners = [owner_of_module(parent.__module__) for parent in type(loader).__mro__]
    return torch_loaders if CodeOwner.TORCH in owners else grain_loaders


@pass_over
def _observe_iteration(loader: Any, context: ProbeContext) -> Release:
    original: Any = type(loader)
    fetches = HandFetches(context, describe_loader(loader))
    works_ahead = _framework(loader).works_ahead(loader)
    site = site_of_function(original.__iter__, StageKind.ITERABLE, original.__name__)
    timing = Timing(site, fetches)
    releases = ExitStack()

    def take(advance: Callable[[], Any]) -> Any:
        return _waited(fetches, advance) if works_ahead else timing.take(timing, advance)

    def __iter__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
        made = original.__iter__(self)
        if not has_replaced_methods(made):
            release = _observe_iterator(made, take)
            if getattr(self, "_iterator", None) is made:  # it will be used again
                releases.callback(release)
        return made

    releases.callback(replace_methods(loader, {"__iter__": __iter__}))
    return releases.close


@pass_over
def _observe_iterator(iterator: Any, take: Callable[[Callable[[], Any]], Any]) -> Release:
    original: Any = type(iterator)

    def __next__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
        return take(lambda: original.__next__(self))

    try:
        return replace_methods(iterator, {"__next__": __next__})
    except TypeError:  # not written in Python
        return lambda: None


@pass_over
def _waited(fetches: HandFetches, advance: Callable[[], Any]) -> Any:
    """Takes a batch that workers make; waiting for it is no stage's work."""
    recorder = recording.current
    if recorder is None:
        return advance()
    fetches.asks()
    lane = recorder.lane()
    outer_ns = lane.inner_ns
    start_ns = now_ns()
    try:
        batch = advance()
    except StopIteration:
        fetches.exhausted(start_ns)
        raise
    finally:
        end_ns = now_ns()
        if outer_ns != OUTSIDE:
            lane.inner_ns = outer_ns + end_ns - start_ns
    fetches.fetched(batch, start_ns, end_ns)
    return batch
