import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from pipeprof import stage
from pipeprof.capture.probes.python.stage_site import site_of_function
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.errors import UsageError
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import (
    is_at_rest,
    names,
    recording_on,
    spans,
    warnings_of,
)

THIS_FILE = "test_marked_stages.py"


def line_of(function: Any) -> int:
    return int(inspect.unwrap(function).__code__.co_firstlineno)


# Functions.


def test_a_decorated_function_keeps_its_face_and_records_each_call() -> None:
    @stage("decode")
    def decode(path: str, *, scale: int = 1) -> str:
        """Decodes."""
        return path * scale

    assert (decode.__name__, decode.__doc__) == ("decode", "Decodes.")
    assert str(inspect.signature(decode)) == "(path: str, *, scale: int = 1) -> str"
    with recording_on() as recorder:
        assert decode("a", scale=2) + decode("b") == "aab"
    first, second = spans(recorder)
    assert first.kind is Kind.ROOT_SPAN
    assert first.end_ns <= second.start_ns
    facts = first.subject
    assert (facts.name, facts.kind) == ("decode", StageKind.FUNCTION)
    assert facts.function.endswith("decode")
    assert facts.location.file.endswith(THIS_FILE)
    assert facts.location.line == line_of(decode)


def test_nothing_is_recorded_while_no_profile_is_on() -> None:
    @stage("decode")
    def decode() -> int:
        return 1

    @stage("batches")
    def batches() -> Iterator[int]:
        with stage("read"):
            yield decode()

    assert list(batches()) == list(stage("rows", [1])) == [1]
    with recording_on() as recorder:
        pass
    assert spans(recorder) == []


def test_methods_of_every_kind_are_timed() -> None:
    class Reader:
        @stage("method")
        def method(self) -> "Reader":
            return self

        @classmethod
        @stage("class method")
        def make(cls) -> "type[Reader]":
            return cls

        @staticmethod
        @stage("static")
        def static(x: int) -> int:
            return x

        @stage("outside class method")
        @classmethod
        def other(cls) -> "type[Reader]":
            return cls

        @stage("outside static")
        @staticmethod
        def plain(x: int) -> int:
            return x

        @stage("rows")
        def rows(self) -> Iterator[int]:
            yield 1

    reader = Reader()
    with recording_on() as recorder:
        assert reader.method() is reader
        assert Reader.make() is reader.other() is Reader
        assert Reader.static(1) == reader.plain(1) == 1
        assert list(reader.rows()) == [1]
    assert names(recorder) == [
        "method",
        "class method",
        "outside class method",
        "static",
        "outside static",
        "rows",
    ]


def test_the_exception_of_a_function_is_its_own() -> None:
    error = ValueError("no image")

    @stage("decode")
    def decode() -> None:
        raise error

    with recording_on() as recorder:
        with pytest.raises(ValueError, match="no image") as caught:
            decode()
        assert is_at_rest(recorder)
    assert caught.value is error
    assert error.__context__ is error.__cause__ is None
    assert names(recorder) == ["decode"]


def test_inner_stages_are_distinguished_also_in_recursion() -> None:
    @stage("walk")
    def walk(depth: int) -> None:
        if depth:
            walk(depth - 1)
            walk(depth - 1)

    with recording_on() as recorder:
        walk(3)
        assert is_at_rest(recorder)
    kinds = [event.kind for event in spans(recorder)]
    assert kinds == [Kind.NESTED_SPAN] * 14 + [Kind.ROOT_SPAN]
    found = spans(recorder)
    assert found[-1].inner < found[-1].duration_ns
    assert found[-1].inner == found[6].duration_ns + found[13].duration_ns


@pytest.mark.parametrize("thing", [None, 3, int, [1], "read"])
def test_what_is_no_function_cannot_be_decorated(thing: Any) -> None:
    with pytest.raises(UsageError, match="expected a function for stage 'x', received"):
        stage("x")(thing)


def test_async_functions_are_refused_with_the_reason() -> None:
    async def fetch() -> None: ...

    async def rows() -> Any:
        yield 1

    for function in (fetch, rows):
        with pytest.raises(UsageError, match="is async: its calls only make a coroutine"):
            stage("fetch")(function)


def test_a_forgotten_name_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="expected the name of a stage"):

        @stage  # type: ignore[call-overload]
        def decode() -> None: ...


def test_a_function_that_makes_a_generator_is_timed_where_it_works() -> None:
    @stage("rows")
    def rows() -> Iterator[int]:
        return (x for x in (1, 2))

    @stage("outer")
    @stage("inner")
    def both() -> Iterator[int]:
        yield 1

    with recording_on() as recorder:
        assert list(rows()) == [1, 2]
        assert names(recorder) == ["rows"] * 3
        assert list(both()) == [1]
    assert names(recorder)[3:] == ["outer", "inner", "outer"]


@pytest.mark.parametrize(
    ("make", "name", "line"),
    [
        (lambda: recursive, "recursive", None),
        (lambda: partial(partial(recursive, 1), 2), "recursive", None),
        (lambda: Callable_(), "Callable_", "call"),
        (lambda: Callable_().method, "method", "method"),
        (lambda: len, "len", 0),
    ],
)
def test_sites_find_the_function_below(make: Callable[[], Any], name: str, line: Any) -> None:
    site = site_of_function(make(), StageKind.FUNCTION)
    expected = {None: recursive, "call": Callable_.__call__, "method": Callable_.method}.get(line)
    assert site.name == name
    assert (site.location.line if site.location else 0) == (line_of(expected) if expected else 0)


def recursive() -> None: ...


class Callable_:  # noqa: N801 - stands for any class
    def __call__(self) -> None: ...

    def method(self) -> None: ...


# Blocks.


def test_a_block_records_where_it_stands_and_what_ran_in_it() -> None:
    with recording_on() as recorder:
        with stage("read"):
            line = sys._getframe().f_lineno - 1
            with stage("open"):
                pass
        with stage("read"):
            pass
        assert is_at_rest(recorder)
    inner, outer, other = spans(recorder)
    assert [e.kind for e in (inner, outer)] == [Kind.NESTED_SPAN, Kind.ROOT_SPAN]
    assert outer.inner == inner.duration_ns
    assert outer.subject.location.line == line
    assert outer.subject.location.file.endswith(THIS_FILE)
    assert "test_a_block_records" in outer.subject.function
    assert other.subject.location.line == line + 4


def test_one_stage_object_serves_many_blocks_at_once() -> None:
    read = stage("read")
    with recording_on() as recorder:
        with read, read, stage("read"):
            pass
        with ExitStack() as stack:
            stack.enter_context(read)
            stack.enter_context(stage("decode"))
        assert is_at_rest(recorder)
    assert names(recorder) == ["read", "read", "read", "decode", "read"]
    inner = [event.inner for event in spans(recorder)]
    assert inner[0] == 0 < inner[1] < inner[2]


def test_an_exception_in_a_block_comes_out_and_the_block_is_recorded() -> None:
    error = KeyError("gone")
    with recording_on() as recorder:
        with pytest.raises(KeyError) as caught, stage("read"):
            raise error
        assert is_at_rest(recorder)
    assert caught.value is error
    assert names(recorder) == ["read"]


def test_blocks_around_the_begin_or_the_end_of_a_profile_do_no_harm() -> None:
    with stage("before"):
        recording.activate(first := Recorder(None))
    with stage("during"):
        recording.activate(None)
    with recording_on() as second, stage("later"):
        pass
    assert is_at_rest(second)
    assert names(first) == []
    assert names(second) == ["later"]
    assert warnings_of(first) == warnings_of(second) == []


def test_a_block_left_open_across_a_yield_is_said_and_corrupts_nothing() -> None:
    @stage("batches")
    def batches() -> Iterator[int]:
        for i in range(3):
            with stage("read"):
                yield i

    with recording_on() as recorder:
        taken = []
        for i in batches():
            with stage("train"):
                taken.append(i)
        assert is_at_rest(recorder)
    assert taken == [0, 1, 2]
    assert names(recorder) == ["batches", "train"] * 3
    assert [w for w in warnings_of(recorder) if "left open across a yield" in w] == [
        "Stage 'read' was left open across a yield, so its time is not shown: "
        "close the block before yielding."
    ]
    assert all(event.own_ns >= 0 for event in spans(recorder))


def test_a_block_left_open_by_an_untimed_generator_inside_a_function() -> None:
    def lines() -> Iterator[int]:
        for i in range(4):
            with stage("lines"):
                yield i

    source = lines()

    @stage("load")
    def load() -> int:
        return next(source)

    with recording_on() as recorder:
        for _ in range(4):
            with stage("lines"):
                load()
        assert is_at_rest(recorder)
    assert names(recorder) == ["load", "lines"] * 4
    assert all(event.own_ns >= 0 for event in spans(recorder))
    assert len(warnings_of(recorder)) == 1


def test_blocks_that_do_not_nest_are_given_up() -> None:
    def lines() -> Iterator[int]:
        with stage("lines"):
            yield 1
        yield 2

    with recording_on() as recorder:
        source = lines()
        next(source)
        with stage("train"):
            next(source)
        with stage("after"):
            pass
        assert is_at_rest(recorder)
    assert names(recorder) == ["after"]
    assert spans(recorder)[0].kind is Kind.ROOT_SPAN
    assert len(warnings_of(recorder)) == 2
