"""Times the user's functions that a loader calls, in its worker processes too.

A function is replaced by a `TimedCall` where the loader keeps it. Pickling a `TimedCall` pickles the user's
function; unpickling makes a `TimedCall` again if it happens in a worker process of a run that is on.
"""

import functools
import inspect
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.stage_site import StageSite, site_of_function
from pipeprof.capture.probes.python.timed_subclass import has_replaced_methods, replace_methods
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import StageKind

# Functions of these owners belong to the loader itself; TensorFlow's are there because the user chose them.
_LOADING = (CodeOwner.KERAS, CodeOwner.TORCH, CodeOwner.GRAIN, CodeOwner.PYTHON)
_OPERATORS = ("__getitem__", "__getitems__", "__call__")


@dataclass(frozen=True, slots=True)
class Destination:
    """What a worker process that was not forked needs to know to record for a run.

    Attributes:
        folder: the run folder, or None where the run has none.
        workers: how many worker processes there are, or None.
    """

    folder: Path | None
    workers: int | None

    def arrive(self) -> bool:
        """Begins to record if this is a worker process of a run that is on.

        Returns:
            Whether this process records.
        """
        if recording.current is None:
            in_worker = multiprocessing.parent_process() is not None
            if not in_worker or self.folder is None or not self.folder.is_dir():
                return False
            recording.activate(Recorder(self.folder, forked=True))
        return True


class TimedCall:
    """Stands for a function while a profile is on, and times its calls.

    Args:
        function: the function.
        name: name of the stage.
        kind: kind of the stage.
        to: where worker processes record.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, kind: StageKind, to: Destination
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._site = site_of(function, name, to, kind)
        self._to = to

    @pass_over
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function, timed while a profile is on."""
        return _call(self._site, self._function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_function"], name)

    def __reduce__(self) -> Any:
        return _arrived_call, (self._function, self._site.name, self._site.kind, self._to)


def _arrived_call(
    function: Callable[..., Any], name: str, kind: StageKind, to: Destination
) -> Callable[..., Any]:
    return TimedCall(function, name, kind, to) if to.arrive() else function


def site_of(
    function: Callable[..., Any],
    name: str,
    to: Destination,
    kind: StageKind = StageKind.FUNCTION,
) -> StageSite:
    """The site of a function that a loader calls; it has a line only for a user's function."""
    site = site_of_function(function, kind, name)
    site.workers = to.workers
    if not is_users(function):
        site.location = None
    return site


def time_attribute(
    owner: Any,
    attribute: str,
    name: str,
    to: Destination,
    *,
    one_by_one: bool = False,
) -> Callable[[], None]:
    """Times a function that an object keeps in an attribute, or a method of the object.

    Args:
        owner: the object.
        attribute: name of the attribute or method.
        name: name of the stage.
        to: where worker processes record.
        one_by_one: whether each worker, or the thread that iterates, makes the calls one after another.

    Returns:
        A function that restores the attribute.

    Raises:
        Exception: the attribute cannot be set.
    """
    function = getattr(owner, attribute)
    if isinstance(function, TimedCall):
        return lambda: None
    own = attribute in vars(owner)
    kind = StageKind.ITERABLE if one_by_one else StageKind.FUNCTION
    timed = TimedCall(function, name, kind, to)
    vars(owner)[attribute] = timed

    def release() -> None:
        if vars(owner).get(attribute) is not timed:
            return
        if own:
            vars(owner)[attribute] = function
        else:
            del vars(owner)[attribute]

    return release


def time_operators(thing: Any, context: ProbeContext, to: Destination) -> Callable[[], None]:
    """Times the operators of an object (``thing[i]``, ``thing()``) while a profile is on.

    Returns:
        A function that ends the timing.

    Raises:
        Exception: the class of the object does not allow it.
    """
    if has_replaced_methods(thing):
        return lambda: None
    return replace_methods(
        thing, _methods(type(thing), to), lambda: _Arrival(to) if context.on else None
    )


@dataclass(frozen=True, slots=True)
class _Arrival:
    to: Destination

    def __call__(self, thing: Any) -> None:
        if self.to.arrive() and not has_replaced_methods(thing):
            replace_methods(thing, _methods(type(thing), self.to))


def _methods(original: type, to: Destination) -> dict[str, Any]:
    return {
        operator: _timed_method(getattr(original, operator), f"{original.__name__}.{operator}", to)
        for operator in _OPERATORS
        if inspect.isfunction(getattr(original, operator, None))
    }


@pass_over
def _timed_method(method: Callable[..., Any], name: str, to: Destination) -> Callable[..., Any]:
    site = site_of(method, name, to)

    @functools.wraps(method)
    def timed(*args: Any, **kwargs: Any) -> Any:
        return _call(site, method, args, kwargs)

    return timed


@pass_over
def _call(site: StageSite, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    recorder = recording.current
    if recorder is None:
        return function(*args, **kwargs)
    lane = recorder.lane()
    begun = site.begin(lane)
    try:
        return function(*args, **kwargs)
    finally:
        site.finish(recorder, lane, begun)


def is_users(thing: Any) -> bool:
    """Whether a function or a class is the user's, and not a loading framework's or Python's."""
    plain = inspect.unwrap(thing)
    while isinstance(plain, functools.partial):
        plain = plain.func
    made_in = getattr(plain, "__module__", None) or type(plain).__module__
    return owner_of_module(made_in) not in _LOADING
