"""`stage`: marks a part of a pipeline, so that its work is timed while a profile is on.

Own work is told apart from that of stages called from within: every thread carries the time spent in
inner stages so far, and a stage saves and restores it around its work.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from threading import get_ident
from time import thread_time_ns
from types import GeneratorType, TracebackType
from typing import Any, TypeVar, cast, overload

from pipeprof import recorder as recording
from pipeprof.clock import now_ns
from pipeprof.recorder import OUTSIDE, LaneWriter, Recorder, location_of, location_of_frame
from pipeprof.recording import Location, StageKind
from pipeprof.records import NOT_READ, Kind, code

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

# Calls at least this long also have their CPU time read, which costs about as much as the rest.
_CPU_FROM_NS = 50_000


class StageSite:
    """A place whose work is timed: knows what to call itself and how to record a piece of work.

    Attributes:
        slow: whether a call took long enough for its CPU time to be worth reading.
    """

    __slots__ = (
        "_nested_code",
        "_recorder",
        "_root_code",
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
        self.slow = False
        self._recorder: Recorder | None = None
        self._root_code = 0
        self._nested_code = 0

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

    def number(self, recorder: Recorder) -> int:
        """Its number in a recorder's names."""
        if self._recorder is not recorder:
            number = recorder.names.number(self.facts())
            self._root_code = code(Kind.ROOT_SPAN, number)
            self._nested_code = code(Kind.NESTED_SPAN, number)
            self._recorder = recorder
        return self._root_code & ~(Kind.ROOT_SPAN << 24)

    def begin(self, lane: LaneWriter) -> "Begun":
        """Turns the thread over to this stage; the result goes to `finish`."""
        outer_ns, outer_cpu_ns = lane.inner_ns, lane.inner_cpu_ns
        lane.inner_ns = lane.inner_cpu_ns = 0
        cpu_ns = thread_time_ns() if self.slow else NOT_READ
        return outer_ns, outer_cpu_ns, cpu_ns, now_ns()

    def finish(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> int:
        """Records the work since `begin` and gives the thread back; returns when it ended."""
        end_ns = now_ns()
        outer_ns, outer_cpu_ns, cpu_ns, start_ns = begun
        if self._recorder is not recorder:
            self.number(recorder)
        inner_ns = lane.inner_ns
        duration_ns = end_ns - start_ns
        if cpu_ns != NOT_READ:
            whole_cpu_ns = thread_time_ns() - cpu_ns
            own_cpu_ns = max(whole_cpu_ns - lane.inner_cpu_ns, 0)
        else:
            # Too short to be worth a reading: what is short seldom sleeps.
            whole_cpu_ns, own_cpu_ns = duration_ns, NOT_READ
            self.slow = duration_ns > _CPU_FROM_NS
        if outer_ns < 0:
            lane.inner_ns = OUTSIDE
            lane.write(self._root_code, start_ns, end_ns, inner_ns, own_cpu_ns)
        else:
            lane.inner_ns = outer_ns + duration_ns
            lane.inner_cpu_ns = outer_cpu_ns + whole_cpu_ns
            lane.write(self._nested_code, start_ns, end_ns, inner_ns, own_cpu_ns)
        return end_ns

    def abandon(self, lane: LaneWriter, begun: "Begun") -> None:
        """Gives the thread back without a record: there was no work."""
        lane.inner_ns, lane.inner_cpu_ns = begun[0], begun[1]


# What `StageSite.begin` hands to `StageSite.finish`: the thread's inner wall and CPU time before,
# its CPU time and the clock at the begin.
Begun = tuple[int, int, int, int]


class Stage:
    """A named stage; `stage` makes it.

    As a decorator it times every call of a function and every resume of a generator function; as a
    context manager the block. Free, but for a look at one variable, while no profile is on.
    """

    __slots__ = ("_name", "_site")

    def __init__(self, name: str) -> None:
        self._name = name
        self._site: StageSite | None = None

    def __call__(self, function: F) -> F:
        """Decorates a function or a generator function."""
        if inspect.isgeneratorfunction(function):
            return _timed_generator_function(self._name, function)
        return _timed_function(self._name, function)

    def __enter__(self) -> None:
        recorder = recording.current
        if recorder is None:
            return
        site = self._site
        if site is None:
            location = location_of_frame(sys._getframe(1))
            site = self._site = StageSite(self._name, StageKind.BLOCK, None, location)
        lane = recorder.lane()
        lane.blocks.append((site, lane.resume, site.begin(lane)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder = recording.current
        if recorder is None or self._site is None:
            return
        lane = recorder.lane()
        if lane.blocks:
            site, resume, begun = lane.blocks[-1]
            if site is self._site and resume == lane.resume:
                lane.blocks.pop()
                site.finish(recorder, lane, begun)
                return
        recorder.warn(
            f"Stage '{self._name}' was left open across a yield, so its time is not shown: "
            "close the block before yielding."
        )


_named = functools.cache(Stage)


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
    """
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
            return function(*args, **kwargs) if kwargs else function(*args)
        lane = recorder.lanes.get(get_ident()) or recorder.lane()
        begun = site.begin(lane)
        try:
            return function(*args, **kwargs)
        finally:
            site.finish(recorder, lane, begun)

    return timed  # type: ignore[return-value]  # functools.wraps keeps the signature


def _timed_generator_function(name: str, function: F) -> F:
    site = site_of_function(function, StageKind.GENERATOR, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        return timed_generator(site, function(*args, **kwargs))

    return timed  # type: ignore[return-value]  # functools.wraps keeps the signature


def site_of_function(function: Any, kind: StageKind, name: str | None = None) -> StageSite:
    """The site of a function: its name and where it begins, as far as it has that."""
    plain = inspect.unwrap(function)
    code_object = getattr(plain, "__code__", None)
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

    def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
        """An element was taken."""

    def exhausted(self, start_ns: int) -> None:
        """There was no more."""


def timed_generator(
    site: StageSite, source: Iterator[T], fetches: Fetches | None = None
) -> "GeneratorType[T, Any, Any]":
    """A generator that gives what ``source`` gives and times each resume while a profile is on.

    It behaves as the generator it stands for: what is sent or thrown into it arrives there.

    Args:
        site: records the work.
        source: a generator, or any iterator.
        fetches: is told of each element.
    """
    timed = cast("GeneratorType[T, Any, Any]", _resumes(site, source, fetches))
    timed.__name__ = site.name
    timed.__qualname__ = site.function or site.name
    return timed


def _resumes(
    site: StageSite, source: Iterator[T], fetches: Fetches | None
) -> Generator[T, Any, Any]:
    is_generator = inspect.isgenerator(source)
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        resume: Callable[[], T]
        if thrown is not None and is_generator:
            resume = functools.partial(source.throw, thrown)  # type: ignore[attr-defined]
        elif thrown is not None:
            raise thrown
        elif sent is not None and is_generator:
            resume = functools.partial(source.send, sent)  # type: ignore[attr-defined]
        else:
            resume = source.__next__
        sent = thrown = None
        try:
            item = _timed_resume(site, resume, fetches)
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield item
        except GeneratorExit:
            # The source is not closed: whoever holds it may go on with it, else it ends by itself.
            raise
        except BaseException as error:
            thrown = error


def _timed_resume(site: StageSite, resume: Callable[[], T], fetches: Fetches | None) -> T:
    recorder = recording.current
    if recorder is None:
        return resume()
    lane = recorder.lanes.get(get_ident()) or recorder.lane()
    outer_resume, open_blocks = lane.resume, len(lane.blocks)
    lane.resume += 1
    begun = site.begin(lane)
    try:
        item = resume()
    except StopIteration:
        site.abandon(lane, begun)
        if fetches is not None:
            fetches.exhausted(begun[3])
        raise
    except BaseException:
        site.finish(recorder, lane, begun)
        raise
    finally:
        lane.resume = outer_resume
        del lane.blocks[open_blocks:]
    end_ns = site.finish(recorder, lane, begun)
    if fetches is not None:
        fetches.fetched(item, begun[3], end_ns)
    return item
