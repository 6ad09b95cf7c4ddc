"""Generators that time each element of another iterator, and report it to a follower of its batches."""

import functools
from collections.abc import Callable, Generator, Iterator
from threading import get_ident
from types import GeneratorType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.python.stage_site import Begun, StageSite
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import OUTSIDE, LaneWriter, Recorder
from pipeprof.capture.recorder.records import NOT_READ
from pipeprof.clock import now_ns

T = TypeVar("T")
_Take: TypeAlias = "Callable[[Timing, Callable[[], Any]], Any]"


class Follower(Protocol):
    """Follows the batches that a loop takes.

    Attributes:
        fetching: whether a batch is being taken.
        steady: stays the same object while nothing but batches of one source comes.
    """

    fetching: bool
    steady: object | None


class ShortWay(NamedTuple):
    """How batches are followed while a loop only takes batch after batch from one source.

    Attributes:
        follower: what follows them.
        steady: its `Follower.steady` while this may be used.
        fetched: adds a batch: what it is, when it was asked for, when it had come.
    """

    follower: Follower
    steady: object
    fetched: Callable[[Any, int, int], None]


class Fetches:
    """Follows the elements of a timed iterator; called in the thread that takes them."""

    def asks(self) -> None:
        """An element will be taken."""

    def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
        """An element was taken."""

    def exhausted(self, start_ns: int) -> None:
        """There was no further element."""

    def short_way(self, item: Any) -> ShortWay | None:
        """How the next elements are followed with less work, while nothing else happens.

        Args:
            item: the latest element.
        """
        return None


class Timing:
    """How a generator is timed.

    Attributes:
        site: records the work.
        fetches: follows each element.
        take: takes one element and times it; called with this object and what gives the element.
    """

    __slots__ = ("fetches", "site", "take")

    def __init__(self, site: StageSite, fetches: Fetches | None) -> None:
        self.site = site
        self.fetches = fetches
        self.take: _Take = timed_resume


def timed_generator(
    site: StageSite, source: Iterator[T], fetches: Fetches | None = None, *, owned: bool = False
) -> "GeneratorType[T, Any, Any]":
    """A generator that gives the elements of ``source`` and times each resume while a profile is on.

    What is sent or thrown into it is passed to ``source``.

    Args:
        site: records the work.
        source: a generator, or any iterator.
        fetches: follows each element; None for nothing.
        owned: whether no other code refers to ``source``, so that closing this generator closes it.
    """
    timed = cast("GeneratorType[T, Any, Any]", _resumes(Timing(site, fetches), source, owned))
    timed.__name__ = getattr(source, "__name__", site.name)
    timed.__qualname__ = getattr(source, "__qualname__", site.function or site.name)
    return timed


def timing_of(generator: "GeneratorType[Any, Any, Any]") -> Timing | None:
    """The timing of a generator, or None where it is not timed or has ended."""
    if generator.gi_code is not _resumes.__code__ or generator.gi_frame is None:
        return None
    timing: Timing = generator.gi_frame.f_locals["timing"]
    return timing


# Searches for generators inside one that has just given an element, and returns after how many elements to
# search again. Set while a profile is on, where the interpreter can time inner generators.
follow: "Callable[[GeneratorType[Any, Any, Any]], int] | None" = None


@pass_over
def _resumes(timing: Timing, source: Iterator[T], owned: bool) -> Generator[T, Any, Any]:
    is_generator = isinstance(source, GeneratorType)
    advance: Callable[[], T] = source.__next__
    resume = advance
    taken: list[T] = []
    left = 0
    while True:
        try:
            taken.append(timing.take(timing, resume))
        except StopIteration as stop:
            return stop.value
        resume = advance
        left -= 1
        if left <= 0 and follow is not None and is_generator:
            left = follow(source)  # type: ignore[arg-type]  # it is a generator
        try:
            # Nothing here refers to the element while the user works with it.
            sent = yield taken.pop()
        except BaseException as error:
            # Other code may still use the source.
            if not is_generator or (isinstance(error, GeneratorExit) and not owned):
                raise
            resume = functools.partial(source.throw, error)  # type: ignore[attr-defined]
        else:
            if sent is not None and is_generator:
                resume = functools.partial(source.send, sent)  # type: ignore[attr-defined]
            del sent


@pass_over
def timed_resume(timing: Timing, resume: Callable[[], T]) -> T:
    """Takes one element, timed while a profile is on; `Timing.take` may have a shorter way."""
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
    except BaseException as error:
        _failed(timing, recorder, lane, begun, error)
        raise
    end_ns = site.finish(recorder, lane, begun)
    if fetches is not None:
        fetches.fetched(item, begun[4], end_ns)
        if timing.take is timed_resume and lane.inner_ns == OUTSIDE:
            way = fetches.short_way(item)
            if way is not None:
                timing.take = _shortened(timing, recorder, lane, way)
    return item


def _failed(
    timing: Timing, recorder: Recorder, lane: LaneWriter, begun: Begun, error: BaseException
) -> None:
    """Ends the work on an element that did not come."""
    if not isinstance(error, StopIteration):
        timing.site.finish(recorder, lane, begun)
        return
    timing.site.finish_last(recorder, lane, begun)
    if timing.fetches is not None:
        timing.fetches.exhausted(begun[4])


@pass_over
def _shortened(timing: Timing, recorder: Recorder, lane: LaneWriter, way: ShortWay) -> "_Take":
    """Takes an element as `timed_resume` does, with what was decided before; else it calls that.

    It is a closure because that is fastest in Python. ``lane.write`` is looked up each time: in a process
    that was forked within the work it does nothing.
    """
    follower, steady, fetched = way
    thread = get_ident()
    site = timing.site
    cpu, root_code = site.cpu, site.root_code

    def take(timing: Timing, resume: Callable[[], T]) -> T:
        if follower.steady is not steady or recording.current is not recorder:
            timing.take = timed_resume
            return timed_resume(timing, resume)
        if lane.inner_ns >= 0 or get_ident() != thread:
            return timed_resume(timing, resume)
        follower.fetching = True
        if cpu.left > 0:
            cpu.left -= 1
            lane.inner_ns = lane.inner_cpu_ns = 0
            begun: Begun = (OUTSIDE, 0, None, None, now_ns())
        else:  # CPU time is read, with as little else between as can be
            begun = site.begin(lane)
        try:
            item = resume()
        except BaseException as error:
            _failed(timing, recorder, lane, begun, error)
            raise
        start_ns = begun[4]
        if begun[3] is not None or lane.block is not None:
            end_ns = site.finish(recorder, lane, begun)
        else:
            end_ns = now_ns()
            inner_ns, lane.inner_ns = lane.inner_ns, OUTSIDE
            lane.write(root_code, start_ns, end_ns, inner_ns, NOT_READ)
            own_ns = end_ns - start_ns - inner_ns
            if own_ns > cpu.long_ns:
                cpu.ran_long(own_ns)
        if follower.steady is steady:
            fetched(item, start_ns, end_ns)
        elif timing.fetches is not None:  # something else happened within the work
            timing.fetches.fetched(item, start_ns, end_ns)
        return item

    return take
