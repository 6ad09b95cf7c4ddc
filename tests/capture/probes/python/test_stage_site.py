import gc
import itertools
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof import stage
from pipeprof.capture.recorder.records import Kind, code
from tests.capture.probes.recorded import (
    Event,
    events,
    is_at_rest,
    names,
    recording_on,
    spans,
    stages_of,
    warnings_of,
)

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
    stages = [facts.name for facts in stages_of(recorder)]
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
