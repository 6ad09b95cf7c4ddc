import gc
import inspect
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from functools import partial
from types import GeneratorType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof import stage
from pipeprof.capture.probes.python.stage_timing import (
    Fetches,
    StageSite,
    site_of_function,
    site_of_generator,
    timed_generator,
    timing_of,
)
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import OUTSIDE, Recorder
from pipeprof.capture.recorder.records import NOT_READ, Kind, code
from pipeprof.errors import UsageError
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import (
    Event,
    events,
    facts_of,
    names,
    recording_on,
    spans,
    warnings_of,
)

THIS_FILE = "test_stage_timing.py"


class Batch:
    """Something that a weak reference can point at."""


def line_of(function: Any) -> int:
    return int(inspect.unwrap(function).__code__.co_firstlineno)


def is_at_rest(recorder: Recorder) -> bool:
    lane = recorder.lane()
    return lane.inner_ns == OUTSIDE and lane.block is None


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
    assert (facts["name"], facts["kind"]) == ("decode", StageKind.FUNCTION.value)
    assert facts["function"].endswith("decode")
    assert facts["file"].endswith(THIS_FILE)
    assert facts["line"] == line_of(decode)


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


def test_inner_stages_are_told_apart_also_in_recursion() -> None:
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


def test_cpu_time_is_read_for_long_calls_only() -> None:
    now = itertools.chain([0, 100, 200, 100_200, 200_000, 300_000], itertools.count(300_000, 10))
    site = StageSite("work", StageKind.FUNCTION)
    recorder = Recorder(None)
    lane = recorder.lane()
    read = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeprof.capture.probes.python.stage_timing.now_ns", lambda: next(now))
        for _ in range(50):
            site.finish(recorder, lane, site.begin(lane))
            read.append(events(recorder, Kind.ROOT_SPAN)[-1].value != NOT_READ)
    assert read[:4] == [False, False, True, True]
    assert not read[-1]


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
    assert outer.subject["line"] == line
    assert outer.subject["file"].endswith(THIS_FILE)
    assert "test_a_block_records" in outer.subject["function"]
    assert other.subject["line"] == line + 4


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


# Iterables and generators.


def test_around_an_iterable_every_element_is_timed() -> None:
    with recording_on() as recorder:
        assert list(stage("rows", {"a": 1, "b": 2})) == ["a", "b"]
    line = sys._getframe().f_lineno - 1
    assert names(recorder) == ["rows", "rows"]
    facts = spans(recorder)[0].subject
    assert (facts["kind"], facts["line"]) == (StageKind.ITERABLE.value, line)


def test_what_is_no_iterable_fails_as_a_loop_over_it_would() -> None:
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        stage("rows", 3)  # type: ignore[call-overload]


def test_stages_of_generators_nest() -> None:
    @stage("decode")
    def decode(x: int) -> int:
        return x

    @stage("read")
    def read() -> Iterator[int]:
        yield from range(4)

    @stage("batches")
    def batches() -> Iterator[list[int]]:
        source = read()
        while pair := list(itertools.islice(source, 2)):
            yield [decode(x) for x in pair]

    with recording_on() as recorder:
        assert list(batches()) == [[0, 1], [2, 3]]
        assert is_at_rest(recorder)
    assert names(recorder) == (["read"] * 2 + ["decode"] * 2 + ["batches"]) * 2
    for batch in (spans(recorder)[:5], spans(recorder)[5:]):
        assert batch[4].kind is Kind.ROOT_SPAN
        assert batch[4].inner == sum(event.duration_ns for event in batch[:4])


def test_a_generator_that_raises_raises_the_same_object() -> None:
    error = OSError("disk")

    @stage("read")
    def read() -> Iterator[int]:
        yield 1
        raise error

    with recording_on() as recorder:
        rows = read()
        next(rows)
        with pytest.raises(OSError, match="disk") as caught:
            next(rows)
        assert list(rows) == []
        assert is_at_rest(recorder)
    assert caught.value is error
    assert names(recorder) == ["read", "read"]


def test_a_generator_made_while_recording_goes_on_untimed() -> None:
    @stage("read")
    def read() -> Iterator[int]:
        yield from range(4)

    rows = read()
    assert next(rows) == 0
    with recording_on() as first:
        assert next(rows) == 1
    assert next(rows) == 2
    with recording_on() as second:
        assert list(rows) == [3]
    assert len(spans(first)) == len(spans(second)) == 1


def test_the_profile_may_end_inside_a_resume() -> None:
    @stage("read")
    def read() -> Iterator[int]:
        recording.activate(None)
        yield 1

    with recording_on() as recorder:
        assert list(read()) == [1]
        assert is_at_rest(recorder)


def test_a_generator_that_the_user_holds_is_not_closed() -> None:
    closed = []

    def rows() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(True)

    mine = rows()
    for row in stage("rows", mine):
        assert row == 0
        break
    gc.collect()
    assert closed == []
    assert next(mine) == 1
    del mine
    assert closed == [True]


def test_an_owned_generator_is_closed_at_once_and_by_its_own_rules() -> None:
    said = []

    @stage("rows")
    def rows(answer: str) -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            said.append(answer)
            if answer == "yield":
                yield 2
            if answer == "raise":
                raise ValueError("at close") from None

    with closing(rows("return")) as made:  # type: ignore[type-var]
        next(made)
    for answer, error in (("yield", RuntimeError), ("raise", ValueError)):
        made = rows(answer)
        next(made)
        with pytest.raises(error):
            made.close()  # type: ignore[attr-defined]
    for _ in rows("dropped"):
        break
    assert said == ["return", "yield", "raise", "dropped"]


def test_batches_are_not_kept_alive() -> None:
    def plain() -> Iterator[Batch]:
        while True:
            yield Batch()

    @stage("decorated")
    def decorated() -> Iterator[Batch]:
        while True:
            yield Batch()

    with recording_on():
        for source in (decorated(), stage("around", plain())):
            kept = weakref.ref(next(source))
            assert kept() is None
        echo = stage("echo", echoes())
        next(echo)
        sent = Batch()
        kept = weakref.ref(sent)
        echo.send(sent)  # type: ignore[attr-defined]
        del sent
        assert kept() is None


def echoes() -> Generator[None, Any, None]:
    while True:
        yield


def test_a_timed_generator_is_one_and_says_how_it_is_timed() -> None:
    def rows() -> Iterator[int]:
        yield 1

    site = StageSite("read", StageKind.GENERATOR)
    timed = timed_generator(site, rows())
    assert isinstance(timed, GeneratorType)
    assert timed.__name__ == "rows"
    timing = timing_of(timed)
    assert timing is not None
    assert timing.site is site
    assert timing_of(rows()) is None  # type: ignore[arg-type]
    assert list(timed) == [1]
    assert timing_of(timed) is None
    location = site_of_generator(rows()).location  # type: ignore[arg-type]
    assert location is not None
    assert location.line == line_of(rows)


def test_fetches_are_told_of_elements_and_of_the_end() -> None:
    class Told(Fetches):
        def __init__(self) -> None:
            self.items: list[Any] = []

        def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
            assert start_ns <= end_ns
            self.items.append(item)

        def exhausted(self, start_ns: int) -> None:
            self.items.append("end")

    told = Told()
    site = StageSite("read", StageKind.ITERABLE)
    assert list(timed_generator(site, iter([0]), told)) == [0]
    with recording_on():
        assert list(timed_generator(site, iter([1, 2]), told)) == [1, 2]
    assert told.items == [1, 2, "end"]


def test_work_in_the_last_resume_counts_but_is_no_element() -> None:
    @stage("decode")
    def decode() -> None: ...

    @stage("rows")
    def rows() -> Iterator[int]:
        yield 1
        decode()

    @stage("load")
    def load() -> list[int]:
        return list(rows())

    with recording_on() as recorder:
        load()
        assert is_at_rest(recorder)
    element, decoding, loading = spans(recorder)
    (last,) = events(recorder, Kind.WORK)
    assert (element.name, decoding.name, last.name) == ("rows", "decode", "rows")
    assert last.inner == 0
    assert last.value == last.duration_ns - decoding.duration_ns
    assert loading.inner == element.duration_ns + last.duration_ns


# A timed generator against the bare one, whatever is done to it.


def fussy(plan: list[str]) -> Generator[Any, Any, Any]:
    """Answers what comes in as the plan says."""
    heard: Any = None
    for word in plan:
        try:
            heard = yield (word, heard)
        except KeyError as error:
            heard = f"caught {error}"
            if word == "raise":
                raise ValueError(word) from None
            if word == "stop":
                raise StopIteration(word) from None
        except GeneratorExit:
            if word == "ignore":
                yield "ignored"
            if word == "return":
                return "closed"
            raise
        if word == "return":
            return heard
    return "end"


def play(generator: Any, moves: list[str]) -> list[Any]:
    to_the_end = [*moves, *["next"] * 8]
    return [answer(generator, move, number) for number, move in enumerate(to_the_end)]


def answer(generator: Any, move: str, number: int) -> Any:
    try:
        match move:
            case "send":
                return generator.send(number)
            case "throw":
                return generator.throw(KeyError(number))
            case "exit":
                return generator.throw(GeneratorExit())
            case "close":
                return generator.close()
            case _:
                return next(generator)
    except BaseException as error:
        return type(error), str(error), getattr(error, "value", None)


@pytest.mark.parametrize("on", [True, False])
@given(
    st.lists(st.sampled_from(["go", "raise", "stop", "return", "ignore"]), max_size=6),
    st.lists(st.sampled_from(["next", "send", "throw", "exit", "close"]), max_size=10),
)
def test_a_decorated_generator_behaves_as_the_bare_one(
    on: bool, plan: list[str], moves: list[str]
) -> None:
    expected = play(fussy(plan), moves)
    with recording_on() as recorder:
        if not on:
            recording.activate(None)
        assert play(stage("fussy")(fussy)(plan), moves) == expected
        assert is_at_rest(recorder)


# Threads.


def test_threads_have_lanes_and_nesting_of_their_own() -> None:
    meet = threading.Barrier(2, timeout=10)

    @stage("inner")
    def inner() -> None:
        meet.wait()

    @stage("outer")
    def outer() -> None:
        meet.wait()
        inner()
        meet.wait()

    with recording_on() as recorder:
        threads = [threading.Thread(target=outer, name=f"reader {i}") for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for lane in ("reader 0", "reader 1"):
        found = [event for event in spans(recorder) if event.lane == lane]
        assert [event.name for event in found] == ["inner", "outer"]
        assert found[1].inner == found[0].duration_ns


def test_a_generator_may_go_from_thread_to_thread() -> None:
    @stage("rows")
    def rows() -> Iterator[int]:
        yield from range(3)

    with recording_on() as recorder:
        source = rows()
        next(source)
        thread = threading.Thread(target=lambda: next(source), name="other")
        thread.start()
        thread.join()
        assert list(source) == [2]
        assert is_at_rest(recorder)
    assert sorted(event.lane for event in spans(recorder)) == ["main", "main", "other"]


# Whatever the program is shaped like.

Shape = Any
shapes: Any = st.recursive(
    st.just(()),
    lambda inner: st.lists(
        st.tuples(st.sampled_from(["call", "block", "rows", "fail", "plain"]), inner), max_size=3
    ),
    max_leaves=12,
)


@stage("call")
def run_call(shape: Shape) -> None:
    run(shape)


@stage("fail")
def run_fail(shape: Shape) -> None:
    run(shape)
    raise LookupError


@stage("rows")
def run_rows(shape: Shape) -> Iterator[int]:
    run(shape)
    yield 1
    run(shape)
    yield 2


def run(shape: Shape) -> None:
    """Runs a program of that shape."""
    for what, inner in shape:
        if what == "call":
            run_call(inner)
        elif what == "block":
            with stage("block"):
                run(inner)
        elif what == "rows":
            for _ in run_rows(inner):
                run(inner)
        elif what == "fail":
            with pytest.raises(LookupError):
                run_fail(inner)
        else:
            run(inner)


def holds(outer: Event, inner: Event) -> bool:
    return outer.start_ns <= inner.start_ns < outer.end_ns


@given(shapes)
def test_self_times_of_any_program_add_up(shape: Shape) -> None:
    with recording_on() as recorder:
        run(shape)
        assert is_at_rest(recorder)
    found = spans(recorder)
    roots = [event for event in found if event.kind is Kind.ROOT_SPAN]
    ends = events(recorder, Kind.WORK)
    outer_ends = [end for end in ends if not any(holds(root, end) for root in roots)]
    assert all(event.own_ns >= 0 for event in found)
    assert all(end.value >= 0 for end in ends)
    assert sum(e.own_ns for e in found) + sum(end.value for end in ends) == sum(
        event.duration_ns for event in (*roots, *outer_ends)
    )
    for one, other in itertools.pairwise(roots):
        assert one.end_ns <= other.start_ns
    assert warnings_of(recorder) == []


def test_a_place_has_one_number_in_a_recorder() -> None:
    @stage("decode")
    def decode() -> None: ...

    with recording_on() as recorder:
        for _ in range(3):
            decode()
            with stage("block"):
                pass
    stages = [facts["name"] for facts in facts_of(recorder).values() if facts["type"] == "stage"]
    assert stages == ["decode", "block"]


# Other processes.


def test_a_forked_process_never_writes_into_its_parents_ring() -> None:
    child = 0
    with recording_on() as recorder:

        @stage("forks")
        def forks() -> Iterator[int]:
            nonlocal child
            yield 1
            child = os.fork()
            yield 2

        resumed = forks()
        next(resumed)
        next(resumed)
        if not child:  # leaves the stage of its parent, and uses what its parent's probes hold
            try:
                recorder.lane().write(code(Kind.ROOT_SPAN, 1), 1, 1, 1, 1)
                recorder.warn("of the child")
                list(resumed)
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    assert names(recorder) == ["forks", "forks"]
    assert warnings_of(recorder) == []


def test_a_stage_that_outlives_its_profile_does_not_keep_the_recorder():
    @stage("read")
    def read() -> None: ...

    with recording_on() as recorder:
        read()
    gone = weakref.ref(recorder)
    del recorder
    gc.collect()
    assert gone() is None
    with recording_on() as recorder:
        read()
    assert names(recorder) == ["read"]
