"""Generators that time each element of another iterator, and report it to a follower of its batches."""

import functools
from collections.abc import Callable, Generator, Iterator
from types import GeneratorType
from typing import Any, TypeVar, cast

from pipeprof.capture.probes.python.stage_site import StageSite
from pipeprof.capture.recorder import recorder as recording

T = TypeVar("T")


class Fetches:
    """Follows the elements of a timed iterator; called in the thread that takes them."""

    def asks(self) -> None:
        """An element will be taken."""

    def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
        """An element was taken."""

    def exhausted(self, start_ns: int) -> None:
        """There was no further element."""


class Timing:
    """How a generator is timed.

    Attributes:
        site: records the work.
        fetches: follows each element.
    """

    __slots__ = ("fetches", "site")

    def __init__(self, site: StageSite, fetches: Fetches | None) -> None:
        self.site = site
        self.fetches = fetches


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
