"""Which loop, and which part of a run, records of the training thread belong to."""

import numpy as np

from pipeprof.capture.recorder.facts import HostCallFacts, LoopFacts, PlaceFacts
from pipeprof.capture.recorder.records import BETWEEN_STEPS, Kind
from pipeprof.recording.account import EPOCH_COLUMNS, HostState, LoopAccount, Part, PassContext
from pipeprof.recording.loop import LoopKind, WaitSource
from pipeprof.recording.source_code import Location
from tests.builders import PID, SECOND, START_NS
from tests.streams import (
    FIT,
    MAIN,
    NAMES,
    READ,
    accumulator,
    loop_line,
    profile_of,
    records,
    row,
    span,
    step,
    thread,
    wait,
)

EVALUATE, AGAIN, CALLBACK, PLACE, POOL, BY_HAND = 20, 21, 22, 23, 25, 26
LINES = (
    *NAMES,
    (
        EVALUATE,
        LoopFacts(
            kind=LoopKind.EVALUATE, start_ns=START_NS, parent=FIT, waits_by=WaitSource.ITERATOR
        ),
    ),
    (AGAIN, LoopFacts(kind=LoopKind.FIT, start_ns=START_NS, waits_by=WaitSource.ITERATOR)),
    (CALLBACK, HostCallFacts(part=Part.CALLBACKS, name="Dashboard.on_epoch_end")),
    (PLACE, PlaceFacts(function="load", location=Location("train.py", 3))),
    (POOL, HostCallFacts(part=Part.EPOCH_START, name="end of the pool of workers")),
)


def began(at: int, loop: int = FIT, context: PassContext = PassContext.TOP):
    return row(Kind.PASS_BEGAN, loop, at, at, context)


def ended(start: int, end: int, loop: int = FIT, context: PassContext = PassContext.TOP):
    return row(Kind.PASS_ENDED, loop, start, end, context)


def sampled(at: int, loop: int = 0, outside: int = 0):
    return row(Kind.HOST_SAMPLE, PLACE, at, at, loop, HostState.OWN_CODE + outside)


def collect(*rows):
    collected = accumulator(*LINES)
    collected.add(PID, 0, records(thread(MAIN), *rows))
    collected.settle()
    return profile_of(collected)


def total(account: LoopAccount, column: str) -> int:
    return int(account.totals[0, EPOCH_COLUMNS.index(column)])


def test_a_callback_belongs_to_the_loop_that_it_names():
    call = row(Kind.HOST_CALL, CALLBACK, 20, 25, FIT, -1)
    fit, evaluate, again = collect(began(0), wait(0, 4), step(0, 0, 10), call, ended(0, 30)).loops
    [found] = fit.account.calls
    assert (found.name, found.part, found.calls, found.total_ns) == (
        "Dashboard.on_epoch_end",
        Part.CALLBACKS,
        1,
        5,
    )
    assert total(fit.account, "outside_callback_ns") == 5
    assert evaluate.account.calls == again.account.calls == ()


def test_an_evaluation_between_the_steps_is_validation_and_in_a_callback_the_callbacks():
    inside = (PassContext.BETWEEN_STEPS, PassContext.IN_CALLBACK)
    fit, *_ = collect(
        began(0),
        *(
            move
            for n, context in enumerate(inside)
            for move in (
                began(10 + 10 * n, EVALUATE, context),
                ended(10 + 10 * n, 17 + 10 * n, EVALUATE, context),
            )
        ),
        ended(0, 40),
    ).loops
    assert total(fit.account, "validation_ns") == 7


def test_a_prediction_between_the_steps_is_no_validation():
    predict = LoopFacts(kind=LoopKind.PREDICT, start_ns=START_NS, parent=FIT)
    context = PassContext.BETWEEN_STEPS
    collected = accumulator(*LINES, (24, predict))
    passes = (began(0), began(10, 24, context), ended(10, 17, 24, context), ended(0, 40))
    collected.add(PID, 0, records(thread(MAIN), *passes))
    fit, *_ = profile_of(collected).loops
    assert total(fit.account, "validation_ns") == 0


def test_batches_that_are_taken_before_the_first_step_are_the_inputs_start():
    # Keras takes a generator's first batches before it says that a fit begins.
    fit, *_ = collect(
        span(READ, 2, 6), began(1), wait(10, 12), step(0, 10, 20), span(READ, 12, 14), ended(1, 30)
    ).loops
    assert total(fit.account, "outside_input_ns") == 4 + 2 - 2


def test_the_end_of_a_pool_of_workers_is_the_inputs():
    fit, *_ = collect(
        began(0),
        wait(0, 4),
        step(0, 0, 10),
        row(Kind.HOST_CALL, POOL, 10, 17, FIT, -1),
        ended(0, 30),
    ).loops
    assert total(fit.account, "outside_input_ns") == 7
    assert total(fit.account, "outside_callback_ns") == total(fit.account, "outside_call_ns") == 0


def test_work_before_a_pass_or_on_other_threads_is_none_of_its():
    fit, *_ = collect(span(READ, 2, 6), began(7), ended(7, 30), span(READ, 31, 40)).loops
    assert total(fit.account, "outside_input_ns") == 0


def test_samples_are_startup_own_code_of_a_loop_or_of_the_run():
    profile = collect(
        sampled(0),
        began(1),
        ended(1, 5),
        sampled(6),
        began(7),
        ended(7, 9),
        sampled(10),
        began(11, AGAIN),
        ended(11, 12, AGAIN),
        sampled(13),
    )
    fit, _, again = profile.loops
    assert [(s.part, s.samples) for s in fit.account.samples] == [(Part.OWN_CODE, 1)]
    assert again.account.samples == ()
    assert [(s.part, s.samples) for s in profile.host_samples] == [
        (Part.STARTUP, 1),
        (Part.OWN_CODE, 1),
        (Part.SHUTDOWN, 1),
    ]


def test_samples_inside_a_framework_loop_lie_between_its_epochs():
    fit, *_ = collect(began(0), sampled(3, FIT, BETWEEN_STEPS), ended(0, 5)).loops
    assert [(s.function, s.part) for s in fit.account.samples] == [("load", Part.BETWEEN_EPOCHS)]


def test_a_pass_in_another_context_than_there_is_counts_as_one_of_the_top():
    fit, *_ = collect(
        row(Kind.PASS_BEGAN, FIT, 0, 0, 99), row(Kind.PASS_ENDED, FIT, 0, 5, 99)
    ).loops
    assert fit.account.pass_ns == (5, 0, 0, 0)
    assert np.array_equal(fit.account.passes[:, 2], [0])


def test_samples_before_a_hand_written_loop_showed_itself_are_its_own():
    collected = accumulator(*LINES, loop_line(BY_HAND, LoopKind.CUSTOM))
    collected.add(PID, 0, records(thread(MAIN), sampled(1), sampled(4)))
    collected.settle()
    collected.add(PID, 0, records(began(3, BY_HAND), ended(3, 9, BY_HAND), sampled(10)))
    collected.settle()
    profile = profile_of(collected)
    [found] = profile.loops[-1].account.samples
    assert (found.part, found.samples) == (Part.OWN_CODE, 1)
    assert {s.part: s.samples for s in profile.host_samples} == {Part.STARTUP: 1, Part.SHUTDOWN: 1}


def test_samples_before_the_first_step_of_a_fit_are_start_up_or_its_inputs_start():
    fit, *_ = collect(
        sampled(2),
        sampled(4),
        span(READ, 3, 6),
        began(1),
        step(0, 10, 20),
        ended(1, 30),
        sampled(32),
        sampled(35),
        began(34),
        ended(34, 40),
    ).loops
    assert {(s.part, s.samples) for s in fit.account.samples} == {
        (Part.STARTUP, 1),
        (Part.EPOCH_START, 1),
        (Part.OWN_CODE, 1),
        (Part.BETWEEN_EPOCHS, 1),
    }


def open_call(start: int, end: int):
    return row(Kind.HOST_CALL_OPEN, CALLBACK, start, end, FIT, 0)


def test_a_call_in_which_the_process_died_is_the_accounts_last():
    fit, *_ = collect(began(0), open_call(20, 25), sampled(32)).loops
    [call] = fit.account.calls
    until_the_end = 4 * SECOND - 20
    assert (call.name, call.calls, call.total_ns) == ("Dashboard.on_epoch_end", 1, until_the_end)
    assert total(fit.account, "outside_callback_ns") == until_the_end


def test_a_long_call_that_ended_counts_once():
    ends = row(Kind.HOST_CALL, CALLBACK, 20, 29, FIT, -1)
    for rows in ((open_call(20, 25), ends), (ends, open_call(20, 25))):
        fit, *_ = collect(began(0), *rows, sampled(32)).loops
        [call] = fit.account.calls
        assert (call.calls, call.total_ns) == (1, 9)
    fit, *_ = collect(began(0), open_call(20, 25), ended(0, 30)).loops
    assert fit.account.calls == ()
