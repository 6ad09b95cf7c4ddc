import gc
import inspect
import itertools
import sys
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from types import GeneratorType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof import stage
from pipeprof.capture.probes.python.stage_site import StageSite, site_of_generator
from pipeprof.capture.probes.python.timed_generators import Fetches, timed_generator, timing_of
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import (
    events,
    is_at_rest,
    names,
    recording_on,
    spans,
)

THIS_FILE = "test_timed_generators.py"


class Batch:
    """Something that a weak reference can point at."""


def line_of(function: Any) -> int:
    return int(inspect.unwrap(function).__code__.co_firstlineno)


# Iterables and generators.


def test_around_an_iterable_every_element_is_timed() -> None:
    with recording_on() as recorder:
        assert list(stage("rows", {"a": 1, "b": 2})) == ["a", "b"]
    line = sys._getframe().f_lineno - 1
    assert names(recorder) == ["rows", "rows"]
    facts = spans(recorder)[0].subject
    assert (facts.kind, facts.location.line) == (StageKind.ITERABLE, line)


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


def test_fetches_are_reported_of_elements_and_of_the_end() -> None:
    class Heard(Fetches):
        def __init__(self) -> None:
            self.items: list[Any] = []

        def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
            assert start_ns <= end_ns
            self.items.append(item)

        def exhausted(self, start_ns: int) -> None:
            self.items.append("end")

    heard = Heard()
    site = StageSite("read", StageKind.ITERABLE)
    assert list(timed_generator(site, iter([0]), heard)) == [0]
    with recording_on():
        assert list(timed_generator(site, iter([1, 2]), heard)) == [1, 2]
    assert heard.items == [1, 2, "end"]


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
