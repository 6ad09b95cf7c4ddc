"""Waits of single steps are read from the trace of a window on them; needs no framework."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler.trace_plan import EndedWindow
from pipeprof.capture.probes.profiler.wait_traces import (
    MOST_WINDOWS,
    STEPS_PER_WINDOW,
    WaitTraces,
)
from pipeprof.capture.recorder.facts import LoopFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.loop import LoopKind, WaitSource
from pipeprof.xspace.trace_reader import ANCHOR
from pipeprof.xspace.xplane_schema import XSpace
from tests.builders import MS
from tests.capture.probes.recorded import events
from tests.xspace.test_trace_reader import add_plane

WARMUP = 5
STEP_NS = 30 * MS


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(None)


@pytest.fixture
def loop(recorder: Recorder) -> OpenLoop:
    number = recorder.names.new(LoopFacts(kind=LoopKind.FIT, start_ns=0))
    return OpenLoop(recorder, LoopKind.FIT, number, fetches_first=False)


def take_steps(traces: WaitTraces, loop: OpenLoop, count: int, start_ns: int) -> EndedWindow:
    """Takes some steps in a window."""
    first = loop.step
    for number in range(count):
        loop.begin_step(start_ns + number * STEP_NS)
        traces.step_began(loop, loop.step)
        loop.end_step(start_ns + (number + 1) * STEP_NS)
    loop.leave_steps()
    return EndedWindow(
        loop=loop,
        first_step=first,
        step_count=loop.step - first,
        start_ns=start_ns,
        end_ns=start_ns + count * STEP_NS,
        anchors=((start_ns, start_ns + MS),),
    )


def trace_of(path: Path, *waits: tuple[int, int]) -> Path:
    """A trace whose clock is 0 where its window begins; times in milliseconds."""
    space: Any = XSpace()
    fetching = [("IteratorGetNextOp::DoCompute", *wait) for wait in waits]
    add_plane(space, "/host:CPU", python=[(ANCHOR, 0, 1)], fetching=fetching)
    path.write_bytes(space.SerializeToString())
    return path


def test_each_step_of_a_window_gets_the_wait_that_was_traced_in_it(
    recorder: Recorder, loop: OpenLoop, tmp_path: Path
) -> None:
    traces = WaitTraces(loop, warmup=WARMUP)
    loop.step = WARMUP
    traces.opening(loop)
    window = take_steps(traces, loop, 2, start_ns=1_000 * MS)
    assert traces.ended(window)
    traces.take(window, trace_of(tmp_path / "host.xplane.pb", (2, 22), (30, 35)))
    gaps = [(e.inner, e.value) for e in events(recorder, Kind.GAP)]
    assert gaps == [(5, STEP_NS - 20 * MS), (6, STEP_NS - 5 * MS)]
    assert loop.waits_by is WaitSource.TRACE


def test_windows_are_due_after_the_warm_up_and_ever_further_apart(
    loop: OpenLoop, tmp_path: Path
) -> None:
    traces = WaitTraces(loop, warmup=WARMUP)
    assert [traces.is_due(loop, done) for done in (WARMUP - 1, WARMUP)] == [False, True]
    loop.step = WARMUP
    traces.opening(loop)
    window = take_steps(traces, loop, STEPS_PER_WINDOW, start_ns=1_000 * MS)
    traces.take(window, trace_of(tmp_path / "host.xplane.pb", (2, 22)))
    apart = 2 * (WARMUP + STEPS_PER_WINDOW)
    assert [traces.is_due(loop, done) for done in (apart - 1, apart)] == [False, True]


def test_windows_that_come_to_nothing_have_an_end(recorder: Recorder, loop: OpenLoop) -> None:
    traces = WaitTraces(loop, warmup=0)
    for _ in range(MOST_WINDOWS):
        assert traces.is_due(loop, 10)
        traces.opening(loop)
        assert not traces.ended(take_steps(traces, loop, 0, start_ns=MS))
    assert not traces.is_due(loop, 10)
    assert loop.waits_by is None


def test_a_trace_of_unknown_clock_measures_nothing(
    recorder: Recorder, loop: OpenLoop, tmp_path: Path
) -> None:
    traces = WaitTraces(loop, warmup=0)
    traces.opening(loop)
    window = take_steps(traces, loop, 2, start_ns=1_000 * MS)
    path = tmp_path / "host.xplane.pb"
    path.write_bytes(XSpace().SerializeToString())
    traces.take(window, path)
    assert events(recorder, Kind.GAP) == []
    assert loop.waits_by is None


def test_another_loop_has_no_windows_of_this_plan(recorder: Recorder, loop: OpenLoop) -> None:
    other = OpenLoop(recorder, LoopKind.FIT, 9, fetches_first=False)
    assert not WaitTraces(loop, warmup=0).is_due(other, 100)
