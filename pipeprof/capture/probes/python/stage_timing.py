"""`stage`: marks a part of a pipeline, so that its work is timed while a profile is on.

Own work is told apart from that of stages called from within: every thread carries the time spent in
inner stages so far, and a stage saves and restores it around its work.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from time import thread_time_ns
from types import CodeType, FrameType, GeneratorType, TracebackType
from typing import Any, TypeVar, cast, overload

from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import (
    OUTSIDE,
    LaneWriter,
    Recorder,
    location_of,
    location_of_frame,
)
from pipeprof.capture.recorder.records import NOT_READ, Kind, code
from pipeprof.clock import now_ns
from pipeprof.errors import UsageError
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

# Calls at least this long also have their CPU time read, which costs more than all the rest; once one
# was, so have some after it, because long and short ones may alternate.
_CPU_FROM_NS = 50_000
_CPU_CALLS = 32

_MOST_ITEMS = 1 << 62


class StageSite:
    """A place whose work is timed: knows what to call itself and how to record a piece of work.

    Attributes:
        slow: how many of the next calls have their CPU time read.
    """

    __slots__ = (
        "_called_code",
        "_nested_code",
        "_root_code",
        "_told",
        "_work_code",
        "function",
        "kind",
        "location",
        "name",
        "slow",
        "workers",
    )

    def __init__(
        self,
        name: str,
        kind: StageKind,
        function: str | None = None,
        location: Location | None = None,
        workers: int | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.function = function
        self.location = location
        self.workers = workers
        self.slow = 0
        self._told = 0  # the recorder whose numbers these are
        self._root_code = 0
        self._nested_code = 0
        self._work_code = 0
        self._called_code = 0

    def facts(self) -> dict[str, Any]:
        """What is written about it into the name log."""
        facts: dict[str, Any] = {"type": "stage", "name": self.name, "kind": self.kind.value}
        if self.function:
            facts["function"] = self.function
        if self.location:
            facts |= {"file": self.location.file, "line": self.location.line}
        if self.workers:
            facts["workers"] = self.workers
        return facts

    def _take_number(self, recorder: Recorder) -> None:
        number = recorder.names.number(self.facts())
        self._root_code = code(Kind.ROOT_SPAN, number)
        self._nested_code = code(Kind.NESTED_SPAN, number)
        self._work_code = code(Kind.WORK, number)
        self._called_code = code(Kind.CALLED, number)
        self._told = recorder.serial

    def begin(self, lane: LaneWriter) -> "Begun":
        """Turns the thread over to this stage; the result goes to `finish`."""
        cpu_ns = thread_time_ns() if self.slow else NOT_READ
        begun = (lane.inner_ns, lane.inner_cpu_ns, lane.block, cpu_ns, now_ns())
        lane.inner_ns = lane.inner_cpu_ns = 0
        lane.block = None
        return begun

    def called(self, recorder: Recorder, lane: LaneWriter, begun: "Begun", item: Any) -> None:
        """Records that the work begun is on a certain item, for whoever wants to know meanwhile."""
        if self._told != recorder.serial:
            self._take_number(recorder)
        start_ns = begun[4]
        number = item if type(item) is int and 0 <= item < _MOST_ITEMS else NOT_READ
        lane.write(self._called_code, start_ns, start_ns, 0, number)

    def finish(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> int:
        """Records the work since `begin` and gives the thread back; returns when it ended."""
        end_ns = now_ns()
        outer_ns, outer_cpu_ns, outer_block, cpu_ns, start_ns = begun
        if self._told != recorder.serial:
            self._take_number(recorder)
        if lane.block is not None:
            _warn_of_open_blocks(recorder, lane.block)
        lane.block = outer_block
        inner_ns = lane.inner_ns
        duration_ns = end_ns - start_ns
        if cpu_ns != NOT_READ:
            whole_cpu_ns = thread_time_ns() - cpu_ns
            own_cpu_ns = max(whole_cpu_ns - lane.inner_cpu_ns, 0)
            self.slow -= 1
        else:
            # Too short to be worth a reading: what is short seldom sleeps.
            whole_cpu_ns, own_cpu_ns = duration_ns, NOT_READ
        if duration_ns > _CPU_FROM_NS:
            self.slow = _CPU_CALLS
        if outer_ns < 0:
            lane.inner_ns = OUTSIDE
            lane.write(self._root_code, start_ns, end_ns, inner_ns, own_cpu_ns)
        else:
            lane.inner_ns = outer_ns + duration_ns
            lane.inner_cpu_ns = outer_cpu_ns + whole_cpu_ns
            lane.write(self._nested_code, start_ns, end_ns, inner_ns, own_cpu_ns)
        return end_ns

    def finish_last(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> None:
        """Like `finish`, for the resume in which a generator ends: work, but no element."""
        end_ns = now_ns()
        outer_ns, start_ns, inner_ns = begun[0], begun[4], lane.inner_ns
        if self._told != recorder.serial:
            self._take_number(recorder)
        leave(recorder, lane, begun)
        if outer_ns >= 0:
            lane.inner_ns = outer_ns + end_ns - start_ns
        lane.write(self._work_code, start_ns, end_ns, 0, max(end_ns - start_ns - inner_ns, 0))


def leave(recorder: Recorder, lane: LaneWriter, begun: "Begun") -> None:
    """Gives the thread back without a record of the stage."""
    if lane.block is not None:
        _warn_of_open_blocks(recorder, lane.block)
    lane.inner_ns, lane.inner_cpu_ns, lane.block = begun[:3]


# What `StageSite.begin` hands to `StageSite.finish`: what the lane held before (time and CPU time of
# inner stages, innermost open block), CPU time and clock at the begin.
Begun = tuple[int, int, Any, int, int]

# An open ``with stage(...)`` block: whose it is, and since when.
_Block = tuple["Stage", StageSite, Begun]


def _warn_of_open_blocks(
    recorder: Recorder, innermost: _Block, outermost: _Block | None = None
) -> None:
    block: _Block | None = innermost
    while block is not None:
        recorder.warn(
            f"Stage '{block[0].name}' was left open across a yield, so its time is not shown: "
            "close the block before yielding."
        )
        block = block[2][2] if block is not outermost else None


class Stage:
    """A named stage; `stage` makes it.

    As a decorator it times every call of a function and every resume of a generator function; as a
    context manager the block. Free, but for a look at one variable, while no profile is on.
    """

    __slots__ = ("_sites", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._sites: dict[tuple[int, int], tuple[StageSite, CodeType]] = {}

    def __call__(self, function: F) -> F:
        """Decorates a function or a generator function.

        Raises:
            UsageError: it is neither.
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
            _warn_of_open_blocks(recorder, lane.block, block)
            lane.block = None
            leave(recorder, lane, begun)

    def _new_site(self, frame: FrameType) -> StageSite:
        place = frame.f_code
        function = getattr(place, "co_qualname", place.co_name)
        site = StageSite(self.name, StageKind.BLOCK, function, location_of_frame(frame))
        self._sites[id(place), frame.f_lasti] = (site, place)  # with the code, so that its id stays
        return site


_named = functools.lru_cache(maxsize=1024)(Stage)


@overload
def stage(name: str) -> Stage: ...
@overload
def stage(name: str, iterable: Iterable[T]) -> Iterator[T]: ...
def stage(name: str, iterable: Iterable[Any] | None = None) -> Any:
    """Marks a stage of an input pipeline.

    Three ways, all free when no profile is on::

        @pipeprof.stage("decode")          # a function, or a generator function
        def decode(path): ...

        with pipeprof.stage("read"):       # a block
            data = file.read()

        for row in pipeprof.stage("rows", reader):   # around an iterable
            ...

    Args:
        name: what to call it in reports.
        iterable: times every element taken from it.

    Returns:
        A decorator that is also a context manager, or, given an iterable, an iterator over it.

    Raises:
        UsageError: the name is none.
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


def _timed_function(name: str, function: F) -> F:
    site = site_of_function(function, StageKind.FUNCTION, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        recorder = recording.current
        if recorder is None:
            # A call without keywords costs less when it says so.
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


def _timed_generator_function(name: str, function: F) -> F:
    site = site_of_function(function, StageKind.GENERATOR, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        return timed_generator(site, function(*args, **kwargs), owned=True)

    return timed  # type: ignore[return-value]  # functools.wraps keeps the signature


def site_of_function(function: Any, kind: StageKind, name: str | None = None) -> StageSite:
    """The site of a function: its name and where it begins, as far as it has that."""
    plain = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    code_object = getattr(plain, "__code__", None)
    if code_object is None:  # an object that can be called
        code_object = getattr(vars(type(plain)).get("__call__"), "__code__", None)
    qualified = getattr(plain, "__qualname__", None)
    shown = str(name or getattr(plain, "__name__", type(plain).__name__))
    return StageSite(shown, kind, qualified, location_of(code_object) if code_object else None)


def site_of_generator(generator: "GeneratorType[Any, Any, Any]") -> StageSite:
    """The site of a generator object: its function's name and where that begins."""
    return StageSite(
        generator.__name__,
        StageKind.GENERATOR,
        generator.__qualname__,
        location_of(generator.gi_code),
    )


class Fetches:
    """Is told of every element that a timed iterator gives, by the thread that took it."""

    def asks(self) -> None:
        """An element will be taken."""

    def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
        """An element was taken."""

    def exhausted(self, start_ns: int) -> None:
        """There was no more."""


class Timing:
    """What a timed generator tells: to whom, and under which name.

    Attributes:
        site: records the work.
        fetches: is told of each element.
    """

    __slots__ = ("fetches", "site")

    def __init__(self, site: StageSite, fetches: Fetches | None) -> None:
        self.site = site
        self.fetches = fetches


def timed_generator(
    site: StageSite, source: Iterator[T], fetches: Fetches | None = None, *, owned: bool = False
) -> "GeneratorType[T, Any, Any]":
    """A generator that gives what ``source`` gives and times each resume while a profile is on.

    It behaves as the generator it stands for: what is sent or thrown into it arrives there.

    Args:
        site: records the work.
        source: a generator, or any iterator.
        fetches: is told of each element.
        owned: nobody else holds ``source``, so closing the one closes the other.
    """
    timed = cast("GeneratorType[T, Any, Any]", _resumes(Timing(site, fetches), source, owned))
    timed.__name__ = getattr(source, "__name__", site.name)
    timed.__qualname__ = getattr(source, "__qualname__", site.function or site.name)
    return timed


def timing_of(generator: "GeneratorType[Any, Any, Any]") -> Timing | None:
    """How a generator is timed, or None when it is not, or is over."""
    if generator.gi_code is not _resumes.__code__ or generator.gi_frame is None:
        return None
    timing: Timing = generator.gi_frame.f_locals["timing"]
    return timing


# Looks for the generators inside one that has just given an element, and says after how many more to
# look again; set while a profile is on, where the interpreter can time them.
follow: "Callable[[GeneratorType[Any, Any, Any]], int] | None" = None


def _resumes(timing: Timing, source: Iterator[T], owned: bool) -> Generator[T, Any, Any]:
    is_generator = isinstance(source, GeneratorType)
    advance: Callable[[], T] = source.__next__
    resume = advance
    taken: list[T] = []
    left = 0
    while True:
        try:
            taken.append(timed_resume(timing, resume))
        except StopIteration as stop:
            return stop.value
        resume = advance
        left -= 1
        if left <= 0 and follow is not None and is_generator:
            left = follow(source)  # type: ignore[arg-type]  # it is a generator
        try:
            # Nothing here holds the element while the user works with it.
            sent = yield taken.pop()
        except BaseException as error:
            # Whoever else holds the source may go on with it.
            if not is_generator or (isinstance(error, GeneratorExit) and not owned):
                raise
            resume = functools.partial(source.throw, error)  # type: ignore[attr-defined]
        else:
            if sent is not None and is_generator:
                resume = functools.partial(source.send, sent)  # type: ignore[attr-defined]
            del sent


def timed_resume(timing: Timing, resume: Callable[[], T]) -> T:
    """Takes one element, timed while a profile is on."""
    recorder = recording.current
    if recorder is None:
        return resume()
    site, fetches = timing.site, timing.fetches
    if fetches is not None:
        fetches.asks()
    lane = recorder.lane()
    begun = site.begin(lane)
    try:
        item = resume()
    except StopIteration:
        site.finish_last(recorder, lane, begun)
        if fetches is not None:
            fetches.exhausted(begun[4])
        raise
    except BaseException:
        site.finish(recorder, lane, begun)
        raise
    end_ns = site.finish(recorder, lane, begun)
    if fetches is not None:
        fetches.fetched(item, begun[4], end_ns)
    return item
