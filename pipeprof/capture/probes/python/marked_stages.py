"""`stage`: marks a part of a pipeline, so that its work is timed while a profile is on."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType, GeneratorType, TracebackType
from typing import Any, TypeVar, cast, overload

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.python.stage_site import (
    StageSite,
    leave,
    site_of_function,
    warn_of_open_blocks,
)
from pipeprof.capture.probes.python.timed_generators import timed_generator
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import location_of_frame
from pipeprof.errors import UsageError
from pipeprof.recording.stage import StageKind

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class MarkedStage:
    """A named stage, made by `stage`.

    As a decorator it times every call of a function and every resume of a generator function; as a
    context manager it times the block. While no profile is on, it only reads one variable.
    """

    __slots__ = ("_sites", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._sites: dict[tuple[int, int], tuple[StageSite, CodeType]] = {}

    def __call__(self, function: F) -> F:
        """Decorates a function or a generator function.

        Raises:
            UsageError: the object is neither.
        """
        if isinstance(function, (staticmethod, classmethod)):
            return cast(F, type(function)(self(function.__func__)))
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise UsageError(
                f"expected a function for stage '{self.name}', received {function.__qualname__}, "
                "which is async: its calls only make a coroutine. Mark the functions that it calls."
            )
        if not callable(function) or isinstance(function, type):
            raise UsageError(
                f"expected a function for stage '{self.name}', received {function!r}: "
                "around an iterable it is pipeprof.stage(name, iterable)."
            )
        if inspect.isgeneratorfunction(function):
            return _timed_generator_function(self.name, function)
        return _timed_function(self.name, function)

    def __enter__(self) -> None:
        recorder = recording.current
        if recorder is None:
            return
        frame = sys._getframe(1)
        known = self._sites.get((id(frame.f_code), frame.f_lasti))
        site = known[0] if known is not None else self._new_site(frame)
        lane = recorder.lane()
        lane.block = (self, site, site.begin(lane))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder = recording.current
        if recorder is None:
            return
        lane = recorder.lane()
        block = lane.block
        while block is not None and block[0] is not self:
            block = block[2][2]
        if block is None:
            return  # entered before the profile, or left open across a yield
        _, site, begun = block
        if block is lane.block:
            lane.block = None
            site.finish(recorder, lane, begun)
        else:
            warn_of_open_blocks(recorder, lane.block, block)
            lane.block = None
            leave(recorder, lane, begun)

    def _new_site(self, frame: FrameType) -> StageSite:
        place = frame.f_code
        function = getattr(place, "co_qualname", place.co_name)
        site = StageSite(self.name, StageKind.BLOCK, function, location_of_frame(frame))
        self._sites[id(place), frame.f_lasti] = (site, place)  # with the code, so that its id stays
        return site


_named = functools.lru_cache(maxsize=1024)(MarkedStage)


@overload
def stage(name: str) -> MarkedStage: ...
@overload
def stage(name: str, iterable: Iterable[T]) -> Iterator[T]: ...
def stage(name: str, iterable: Iterable[Any] | None = None) -> Any:
    """Marks a stage of an input pipeline.

    Three ways, all of which cost next to nothing while no profile is on::

        @pipeprof.stage("decode")          # a function, or a generator function
        def decode(path): ...

        with pipeprof.stage("read"):       # a block
            data = file.read()

        for row in pipeprof.stage("rows", reader):   # around an iterable
            ...

    Args:
        name: the stage's name in reports.
        iterable: an iterable whose elements are to be timed.

    Returns:
        A decorator that is also a context manager, or, given an iterable, an iterator over it.

    Raises:
        UsageError: the name is not a string.
    """
    if not isinstance(name, str):
        raise UsageError(
            f"expected the name of a stage, received {name!r}: "
            'write @pipeprof.stage("name"), with a name of your choice.'
        )
    if iterable is None:
        return _named(name)
    return timed_generator(
        StageSite(name, StageKind.ITERABLE, None, location_of_frame(sys._getframe(1))),
        iter(iterable),
    )


@pass_over
def _timed_function(name: str, function: F) -> F:
    site = site_of_function(function, StageKind.FUNCTION, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        recorder = recording.current
        if recorder is None:
            # A call without ``**kwargs`` is faster.
            return function(*args, **kwargs) if kwargs else function(*args)
        lane = recorder.lane()
        begun = site.begin(lane)
        try:
            result = function(*args, **kwargs)
        finally:
            site.finish(recorder, lane, begun)
        # A function that makes a generator does its work there.
        return timed_generator(site, result) if type(result) is GeneratorType else result

    return timed  # type: ignore[return-value]  # functools.wraps keeps the signature


@pass_over
def _timed_generator_function(name: str, function: F) -> F:
    site = site_of_function(function, StageKind.GENERATOR, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        return timed_generator(site, function(*args, **kwargs), owned=True)

    return timed  # type: ignore[return-value]  # functools.wraps keeps the signature
