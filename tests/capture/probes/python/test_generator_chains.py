"""Generators inside a generator are timed by themselves, on interpreters that report them."""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from statistics import median
from typing import Any

import pytest

import pipeprof
from pipeprof.capture.probes.python import timed_generators
from pipeprof.capture.probes.python.generator_chains import ChainMonitor, inner_generators
from pipeprof.capture.probes.python.stage_site import site_of_generator
from pipeprof.capture.probes.python.timed_generators import timed_generator
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.clock import now_ns
from tests.capture.probes.recorded import SPANS, events, recording_on, warnings_of

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12"
)

MS = 1_000_000


def work(duration_ns: int) -> None:
    until = now_ns() + duration_ns
    while now_ns() < until:
        pass


def read(count: int) -> Iterator[int]:
    for number in range(count):
        work(MS // 4)
        yield number


def decode(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        work(MS)
        yield number


def failing(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        if number == 2:
            raise ValueError("broken")
        work(MS)
        yield number


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    monitor = ChainMonitor()
    with recording_on() as recorder:
        monitor.install()
        try:
            yield recorder
        finally:
            monitor.remove()
    assert timed_generators.follow is None
    assert all(sys.monitoring.get_tool(tool) != "pipeprof" for tool in range(6))


def timed(generator: Any) -> Any:
    return timed_generator(site_of_generator(generator), generator)


def own_ns(recorder: Recorder) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for event in events(recorder, *SPANS):
        found[event.name] = found.get(event.name, 0) + event.own_ns
    return found


def calls(recorder: Recorder) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for event in events(recorder, *SPANS):
        found[event.name] = found.get(event.name, 0) + 1
    return found


def chained(count: int) -> Iterator[int]:
    for number in decode(read(count)):
        work(MS // 2)
        yield number


def test_each_generator_has_its_own_time(recorder: Recorder) -> None:
    assert list(timed(chained(40))) == list(range(40))
    # The first element shows what is inside, the next ones whether it can be timed.
    found = calls(recorder)
    assert (found["chained"], found["decode"] >= 37, found["read"] >= 36) == (40, True, True)
    events_of = events(recorder, *SPANS)
    usual = {
        name: median(e.own_ns for e in events_of if e.name == name)
        for name in ("chained", "decode", "read")
    }
    assert usual["decode"] > usual["chained"] > usual["read"]
    whole = sum(own_ns(recorder).values())
    assert whole == sum(e.duration_ns for e in events_of if e.name == "chained")
    (subject,) = {str(e.subject) for e in events_of if e.name == "decode"}
    assert "test_generator_chains.py" in subject
    assert f"{decode.__code__.co_firstlineno}" in subject


@pytest.mark.parametrize(
    "wrap",
    [
        enumerate,
        lambda inner: zip(inner, inner, strict=False),
        lambda inner: map(str, inner),
        lambda inner: islice(inner, 100),
        lambda inner: (number for number in inner),
    ],
)
def test_iterators_in_between_are_looked_through(
    recorder: Recorder, wrap: Callable[[Any], Any]
) -> None:
    def outer() -> Iterator[Any]:
        yield from wrap(read(16))

    list(timed(outer()))
    assert calls(recorder)["read"] >= 4


def test_a_marked_stage_is_not_timed_twice(recorder: Recorder) -> None:
    marked = pipeprof.stage("marked")(decode)

    def outer() -> Iterator[int]:
        yield from marked(read(10))

    list(timed(outer()))
    found = calls(recorder)
    assert (found["outer"], found["marked"]) == (10, 10)
    assert 6 <= found["read"] <= 8


def test_a_block_inside_is_left_out_of_the_generator_around_it(recorder: Recorder) -> None:
    def opens() -> Iterator[int]:
        for number in range(20):
            with pipeprof.stage("open"):
                work(MS)
            yield number

    def outer() -> Iterator[int]:
        yield from opens()

    list(timed(outer()))
    spent = own_ns(recorder)
    assert spent["open"] > spent["opens"] + spent["outer"]
    assert not warnings_of(recorder)


def test_what_fails_inside_and_is_caught_leaves_the_rest_right(recorder: Recorder) -> None:
    def outer() -> Iterator[int]:
        for _ in range(5):
            try:
                yield from failing(read(5))
            except ValueError:  # noqa: PERF203 - it goes on after each
                work(MS)
                yield -1

    assert list(timed(outer())) == [0, 1, -1] * 5
    assert recorder.lane().inner_ns < 0
    whole = sum(e.duration_ns for e in events(recorder, *SPANS) if e.name == "outer")
    assert sum(own_ns(recorder).values()) <= whole
    assert calls(recorder)["failing"] > 0


def test_an_error_comes_out_as_it_is(recorder: Recorder) -> None:
    def outer() -> Iterator[int]:
        yield from failing(read(5))

    for _ in range(50):
        generator = timed(outer())
        assert [next(generator), next(generator)] == [0, 1]
        with pytest.raises(ValueError, match="broken"):
            next(generator)
    assert recorder.lane().inner_ns < 0


def test_what_gives_elements_too_fast_is_left_alone_and_reported(recorder: Recorder) -> None:
    def numbers() -> Iterator[int]:
        yield from range(1_000)

    def outer() -> Iterator[int]:
        yield from numbers()

    list(timed(outer()))
    assert set(calls(recorder)) == {"outer"}
    (warning,) = warnings_of(recorder)
    assert "too fast to be timed by itself" in warning
    tool = next(t for t in range(6) if sys.monitoring.get_tool(t) == "pipeprof")
    assert sys.monitoring.get_local_events(tool, numbers.__code__) == 0


def test_the_same_function_elsewhere_is_not_timed(recorder: Recorder) -> None:
    list(timed(chained(3)))
    before = len(events(recorder, *SPANS))
    list(decode(read(3)))
    assert len(events(recorder, *SPANS)) == before


def test_nothing_is_watched_after_the_end() -> None:
    monitor = ChainMonitor()
    with recording_on():
        monitor.install()
        list(timed(chained(3)))
        tool = next(t for t in range(6) if sys.monitoring.get_tool(t) == "pipeprof")
        assert sys.monitoring.get_local_events(tool, decode.__code__) != 0
        monitor.remove()
    assert sys.monitoring.get_tool(tool) is None
    sys.monitoring.use_tool_id(tool, "test")
    try:
        assert sys.monitoring.get_local_events(tool, decode.__code__) == 0
    finally:
        sys.monitoring.free_tool_id(tool)


def test_tools_that_are_there_already_are_left_alone() -> None:
    taken = [tool for tool in (2, 3, 4) if sys.monitoring.get_tool(tool) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, "other")
    try:
        monitor = ChainMonitor()
        monitor.install()
        assert timed_generators.follow is None
        monitor.remove()
        assert all(sys.monitoring.get_tool(tool) == "other" for tool in taken)
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)


def test_the_search_is_bounded() -> None:
    def deep(level: int) -> Iterator[int]:
        if level:
            yield from deep(level - 1)
        yield level

    source = deep(30)
    next(source)
    assert len(list(inner_generators(source))) == 8
