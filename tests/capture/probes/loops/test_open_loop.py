"""What an open loop records of its passes, its epochs, the host's calls and compiling."""

import threading

import numpy as np
import pytest

from pipeprof.capture.probes.loops.open_loop import NO_EPOCH, OpenLoop
from pipeprof.capture.recorder.facts import HostCallFacts, LoopFacts, ReasonFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.recording.account import Part, PassContext
from pipeprof.recording.loop import LoopKind
from tests.capture.probes.recorded import events, facts_of

PASSES = (Kind.PASS_BEGAN, Kind.PASS_ENDED)
EPOCHS = (Kind.EPOCH_BEGAN, Kind.EPOCH_ENDED)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(None)


@pytest.fixture
def fit(recorder: Recorder) -> OpenLoop:
    return opened(recorder, LoopKind.FIT)


def opened(recorder: Recorder, kind: LoopKind) -> OpenLoop:
    number = recorder.names.new(LoopFacts(kind=kind, start_ns=0))
    return OpenLoop(recorder, kind, number, fetches_first=False)


def recorded(recorder: Recorder, *kinds: Kind) -> list[tuple[Kind, int, int, int]]:
    return [(e.kind, e.inner, e.start_ns, e.end_ns) for e in events(recorder, *kinds)]


def test_a_pass_is_recorded_when_it_begins_and_when_it_ends(
    recorder: Recorder, fit: OpenLoop
) -> None:
    fit.begin_pass(10, PassContext.IN_CALLBACK)
    fit.end_pass(50)
    assert recorded(recorder, *PASSES) == [
        (Kind.PASS_BEGAN, PassContext.IN_CALLBACK, 10, 10),
        (Kind.PASS_ENDED, PassContext.IN_CALLBACK, 10, 50),
    ]


def test_an_epoch_holds_the_callbacks_before_its_first_batch_and_after_its_steps(
    recorder: Recorder, fit: OpenLoop
) -> None:
    fit.begin_pass(0, PassContext.TOP)
    fit.open_epoch(10)
    fit.begin_epoch(15)
    fit.begin_step(20)
    fit.end_step(25)
    fit.leave_steps()
    fit.end_epoch(40)
    fit.end_pass(50)
    assert recorded(recorder, *EPOCHS) == [
        (Kind.EPOCH_BEGAN, 0, 10, 10),
        (Kind.EPOCH_ENDED, 0, 10, 40),
    ]


def test_epochs_without_such_callbacks_reach_from_one_first_batch_to_the_next(
    recorder: Recorder, fit: OpenLoop
) -> None:
    fit.begin_pass(0, PassContext.TOP)
    fit.begin_epoch(10)
    fit.begin_epoch(30)
    fit.end_pass(50)
    assert [each for each in recorded(recorder, *EPOCHS) if each[0] is Kind.EPOCH_ENDED] == [
        (Kind.EPOCH_ENDED, 0, 10, 30),
        (Kind.EPOCH_ENDED, 1, 30, 50),
    ]


def test_epochs_go_on_counting_over_passes(recorder: Recorder, fit: OpenLoop) -> None:
    for begin in (0, 100):
        fit.begin_pass(begin, PassContext.TOP)
        fit.open_epoch(begin + 10)
        fit.begin_epoch(begin + 10)
        fit.end_pass(begin + 50)
    ended = events(recorder, Kind.EPOCH_ENDED)
    assert [(e.inner, e.end_ns) for e in ended] == [(0, 50), (1, 150)]


def test_a_pass_that_fails_before_its_first_batch_has_no_epoch(
    recorder: Recorder, fit: OpenLoop
) -> None:
    fit.begin_pass(0, PassContext.TOP)
    fit.end_pass(5)
    assert recorded(recorder, *EPOCHS) == []


def test_a_hand_written_loop_ends_with_its_last_step(recorder: Recorder) -> None:
    loop = opened(recorder, LoopKind.CUSTOM)
    loop.begin_pass(0, PassContext.TOP)
    loop.begin_epoch(0)
    loop.turn(10)
    loop.turn(20)
    loop.end_pass(1000)
    [ended] = events(recorder, Kind.PASS_ENDED)
    assert ended.end_ns == 20


def test_a_call_of_the_hosts_knows_its_loop_and_epoch(recorder: Recorder, fit: OpenLoop) -> None:
    facts = HostCallFacts(part=Part.CALLBACKS, name="Dashboard.on_train_begin")
    call = code(Kind.HOST_CALL, recorder.names.number(facts))
    fit.host_call(call, 1, 2)
    fit.open_epoch(3)
    fit.host_call(call, 4, 5)
    fit.end_epoch(6)
    fit.host_call(call, 7, 8)
    calls = events(recorder, Kind.HOST_CALL)
    assert [(c.subject, c.inner, c.value) for c in calls] == [
        (facts, fit.number, epoch) for epoch in (NO_EPOCH, 0, NO_EPOCH)
    ]


def test_compiling_has_its_reason_from_the_second_time_on(
    recorder: Recorder, fit: OpenLoop
) -> None:
    fit.compiled(10, 50, 30, None)
    fit.compiled(60, 90, 0, "float32 (2,) → float32 (3,)")
    first, again = events(recorder, Kind.COMPILE)
    assert (first.start_ns, first.end_ns, first.inner, first.value) == (10, 50, 30, 0)
    assert facts_of(recorder)[again.value] == ReasonFacts(text="float32 (2,) → float32 (3,)")


def test_a_pass_belongs_to_the_thread_that_begins_it(recorder: Recorder, fit: OpenLoop) -> None:
    def train() -> None:
        fit.begin_pass(0, PassContext.TOP)
        fit.end_pass(10)

    thread = threading.Thread(target=train, name="trainer")
    thread.start()
    thread.join()
    assert {event.lane for event in events(recorder, *PASSES)} == {"trainer"}
    assert fit.thread == thread.ident


def test_tracing_has_ended_when_a_generator_is_asked_for_its_first_element(
    recorder: Recorder, fit: OpenLoop
) -> None:
    fit.begin_epoch(10)
    fit.asks_generator(40)
    fit.asks_generator(60)  # one that feeds the first
    fit.compiled(20, 90, 30, None)
    fit.compiled(50, 90, 70, None)
    fit.compiled(20, 90, 0, None)
    assert [event.inner for event in events(recorder, Kind.COMPILE)] == [40, 70, 0]


def test_compiling_for_another_batch_says_how_that_differs(
    recorder: Recorder, fit: OpenLoop
) -> None:
    small, large = np.zeros((2, 4), np.float32), np.zeros((3, 4), np.float32)
    for batch in (small, None, large):
        fit.compiled_for(batch, 10, 20)
    *others, last = events(recorder, Kind.COMPILE)
    assert [event.value for event in others] == [0, 0]
    assert facts_of(recorder)[last.value] == ReasonFacts(text="float32 (2, 4) → float32 (3, 4)")


def test_a_call_of_the_hosts_that_runs_long_is_recorded_once_before_it_ends() -> None:
    recorder = Recorder(None)
    loop = opened(recorder, LoopKind.FIT)
    facts = HostCallFacts(part=Part.CALLBACKS, name="Saves.on_epoch_end")
    loop.call = code(Kind.HOST_CALL, recorder.names.number(facts))
    loop.call_began_ns = 1_000_000_000
    second = 1_000_000_000
    loop.note_long_call(5 * second)
    loop.in_callback = True
    for now in (second + 1, 2 * second, 3 * second):
        loop.note_long_call(now)
    [found] = events(recorder, Kind.HOST_CALL_OPEN)
    assert (found.subject, found.start_ns, found.end_ns) == (facts, second, 2 * second)
    assert (found.inner, found.value) == (loop.number, NO_EPOCH)
