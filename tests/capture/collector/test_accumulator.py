"""Records in, a whole profile out."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector import loop_sums as steps
from pipeprof.capture.collector import span_keeping as windows
from pipeprof.capture.collector.accumulator import SAMPLED_ONE_IN
from pipeprof.capture.collector.growing_series import BINS
from pipeprof.capture.collector.run_sums import FIRST_ENDS, LAST_ENDS
from pipeprof.capture.collector.subject_sums import FIRST_STARTS, LAST_STARTS
from pipeprof.capture.recorder.facts import (
    HostCallFacts,
    InputFacts,
    LoopUpdate,
    RunGauge,
    StackFacts,
    StageGauge,
    StageLevel,
)
from pipeprof.capture.recorder.records import Kind, cpu_value
from pipeprof.recording.account import HostFunction, Part
from pipeprof.recording.lane import GilSamples, Role
from pipeprof.recording.loop import InputKind, Loop, LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import CodeLine, Location, StackSamples
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import StageKind
from tests.builders import MS, PID, SECOND, START_NS
from tests.streams import (
    CODE_LINE,
    CPU_OF_OTHERS,
    DECODE,
    FIT,
    INPUT,
    MAIN,
    NAMES,
    QUEUE,
    READ,
    SHAPE,
    STACK,
    Row,
    accumulator,
    collect,
    gap,
    generator_wait,
    lane_line,
    loop_line,
    many,
    profile_of,
    records,
    row,
    span,
    stage_line,
    step,
    thread,
    wait,
    worker_line,
)

# Stages


def worked(loop: Loop) -> tuple[int, ...]:
    """Work of input stages while a loop ran, and while it waited."""
    return tuple(loop.input_over_time.total().tolist())


def test_own_work_leaves_out_the_stages_called_from_within():
    profile = collect(
        span(READ, 2 * MS, 5 * MS, root=False, cpu=MS),
        span(DECODE, 0, 10 * MS, inner=3 * MS, cpu=6 * MS),
        span(DECODE, 20 * MS, 24 * MS),
    )
    read, decode = profile.stages
    assert read.work.total().tolist() == [1, 3 * MS, MS, 3 * MS, 0, 0, 0]
    assert decode.work.total().tolist() == [2, 11 * MS, 6 * MS, 7 * MS, 0, 0, 0]
    assert (decode.name, decode.kind) == ("decode", StageKind.FUNCTION)
    assert (decode.function, decode.location) == ("decode", Location("train.py", 41))
    assert (read.lanes, decode.lanes) == ({0: 3 * MS}, {0: 11 * MS})
    assert (read.parent, decode.parent) == (1, None)


def test_a_reading_counts_for_all_the_calls_that_it_stands_for():
    profile = collect(
        span(READ, 0, 4 * MS, cpu=cpu_value(4 * MS, 1)),
        span(READ, 4 * MS, 6 * MS, cpu=cpu_value(MS, 3)),
        span(READ, 6 * MS, 9 * MS),
    )
    calls, work, cpu, timed = profile.stages[0].work.total()[:4].tolist()
    assert (calls, work) == (3, 9 * MS)
    assert (cpu, timed) == (7 * MS, 10 * MS)


def test_sampled_work_counts_for_the_work_that_was_left_out():
    collected = accumulator()
    collected.add(PID, 0, records(thread(MAIN)))
    once = records(
        span(READ, 0, 2 * MS, root=False, cpu=MS),
        span(DECODE, 0, 5 * MS, inner=2 * MS),
        wait(0, 5 * MS),
        step(0, 0, 6 * MS),
    )
    rows = np.tile(once, SAMPLED_ONE_IN * 50)
    rows["inner"][3::4] = np.arange(len(rows) // 4)
    for name in ("start_ns", "end_ns"):
        rows[name] += np.repeat(np.arange(len(rows) // 4), 4) * 6 * MS
    left_out = collected.add_sampled(PID, 0, rows)
    collected.settle()
    profile = profile_of(collected)
    calls = len(rows) // 4
    assert left_out == 2 * calls - 2 * calls // SAMPLED_ONE_IN
    assert profile.loops[0].step_count == calls
    read, decode = (stage.work.total()[:4].tolist() for stage in profile.stages)
    assert read[0] + decode[0] == 2 * calls
    assert 0.7 < read[0] / calls < 1.3
    assert read[1] == read[0] * 2 * MS == 2 * read[2] == read[3]
    assert decode[1] == decode[0] * 3 * MS
    assert profile.lanes[0].busy.total()[0] == decode[0] * 5 * MS


def test_cpu_time_is_never_more_than_the_work():
    profile = collect(span(READ, 0, 3 * MS, cpu=5 * MS))
    assert profile.stages[0].work.total().tolist() == [1, 3 * MS, 3 * MS, 3 * MS, 0, 0, 0]


def test_work_that_was_read_from_counters_is_spread_over_its_time():
    profile = collect(row(Kind.WORK, READ, 0, SECOND, inner=10, value=400 * MS))
    (read, _) = profile.stages
    assert read.work.total().tolist() == [10, 400 * MS, 0, 0, 0, 0, 0]
    half = read.work.between(START_NS, START_NS + SECOND // 2)
    assert half[1] == pytest.approx(200 * MS, rel=0.03)


def test_work_that_was_estimated_is_known_as_that():
    profile = collect(
        row(Kind.WORK, READ, 0, SECOND, inner=10, value=400 * MS),
        row(Kind.ESTIMATED_WORK, READ, 0, SECOND, value=100 * MS),
    )
    assert profile.stages[0].work.total().tolist() == [10, 400 * MS, 0, 0, 0, 0, 100 * MS]


def test_bytes_and_levels_belong_to_their_stage():
    levels = [(20 + n, StageGauge(level=level, stage=READ)) for n, level in enumerate(StageLevel)]
    profile = collect(
        row(Kind.BYTES, READ, 0, MS, inner=300, value=500),
        *(row(Kind.GAUGE, 20 + n, n * MS, n * MS, value=4 + n) for n in range(3)),
        lines=(*NAMES, *levels),
    )
    read, decode = profile.stages
    assert read.work.total().tolist() == [0, 0, 0, 0, 500, 300, 0]
    means = [g.mean() if g else None for g in (read.parallelism, read.buffer, read.buffer_size)]
    assert means == [4, 5, 6]
    assert decode.buffer is None


def test_what_a_stage_did_at_the_beginnings_of_epochs_is_kept_of_the_first_and_the_last():
    epochs = FIRST_STARTS + LAST_STARTS + 10
    rows = [
        row(Kind.EPOCH_START, READ, epoch * MS, epoch * MS + 7, inner=5 << 32 | 3, value=epoch)
        for epoch in range(epochs)
    ]
    read, decode = collect(*rows, lines=NAMES).stages
    assert len(read.starts) == FIRST_STARTS + LAST_STARTS
    assert read.starts[:, 3].tolist() == [*range(FIRST_STARTS), *range(FIRST_STARTS + 10, epochs)]
    assert read.starts[0].tolist()[1:] == [read.starts[0, 0] + 7, 3, 0, 5]
    assert not len(decode.starts)


def test_a_level_of_nothing_in_particular_is_kept_by_its_name():
    profile = collect(
        row(Kind.GAUGE, 20, 0, 0, value=8), lines=(*NAMES, (20, RunGauge(name="RAM")))
    )
    assert profile.gauges["RAM"].mean() == 8


def test_work_is_reported_by_lane():
    collected = accumulator()
    collected.add(PID, 0, records(thread(MAIN), span(READ, 0, 2)))
    collected.add(PID, 1, records(thread(INPUT), span(READ, 0, 3), span(READ, 3, 4)))
    collected.add(PID, 0, records(span(READ, 5, 9)))
    read = profile_of(collected).stages[0]
    assert read.lanes == {0: 6, 1: 4}
    assert read.lane_calls == {0: 2, 1: 2}


# Lanes


def test_a_ring_may_pass_from_one_thread_to_another():
    profile = collect(
        span(READ, 0, 2 * MS),
        thread(INPUT, 77),
        span(READ, 3 * MS, 4 * MS),
        span(READ, 6 * MS, 9 * MS),
    )
    main, feed = profile.lanes[:2]
    assert profile.stages[0].lanes == {0: 2 * MS, 1: 4 * MS}
    assert (main.tid, feed.tid) == (PID, 77)
    assert (main.busy.total()[0], feed.busy.total()[0]) == (2 * MS, 4 * MS)
    assert (feed.first_ns, feed.last_ns) == (START_NS + 3 * MS, START_NS + 9 * MS)


def test_only_work_from_outside_any_stage_makes_a_lane_busy():
    profile = collect(span(READ, MS, 2 * MS, root=False), span(DECODE, 0, 5 * MS, inner=MS))
    assert profile.lanes[0].busy.total()[0] == 5 * MS


def test_cpu_time_of_lanes_and_of_all_processes_is_kept_over_time():
    profile = collect(
        row(Kind.CPU, CPU_OF_OTHERS, 0, 100 * MS, value=30 * MS),
        row(Kind.CPU, CPU_OF_OTHERS, 100 * MS, 200 * MS, value=50 * MS),
        row(Kind.PROCESS_CPU, 0, 0, 100 * MS, value=140 * MS),
    )
    main, _, others = profile.lanes
    assert main.cpu is None
    assert others.cpu is not None
    assert others.cpu.total()[0] == 80 * MS
    assert (others.first_ns, others.last_ns) == (START_NS, START_NS + 200 * MS)
    assert profile.cpu.used is not None
    assert profile.cpu.sampled is not None
    assert profile.cpu.used.total()[0] == 140 * MS
    assert profile.cpu.sampled.total()[0] == 100 * MS


def test_a_thread_that_takes_steps_is_there_for_training():
    collected = accumulator()
    collected.add(PID, 1, records(thread(INPUT), step(0, 0, MS)))
    profile = profile_of(collected)
    assert profile.loops[0].lane == 1
    assert profile.lanes[1].role is Role.TRAINING


def test_workers_of_later_epochs_share_lanes():
    collected = accumulator()
    for epoch in range(3):
        for worker in range(2):
            pid = 100 * (epoch + 1) + worker
            collected.add_names(pid, [worker_line(1), stage_line(2, "read")])
            at = epoch * SECOND
            collected.add(pid, 0, records(thread(1, pid), span(2, at, at + MS)))
        for worker in range(2):
            collected.forget(100 * (epoch + 1) + worker)
    profile = profile_of(collected)
    workers = [lane for lane in profile.lanes if lane.role is Role.WORKER]
    assert [lane.name for lane in workers] == ["worker 1", "worker 2"]
    assert [lane.busy.total()[0] for lane in workers] == [3 * MS, 3 * MS]
    assert profile.stages[0].work.total()[0] == 6


# Loops


def test_a_loop_is_reported_with_what_fed_it():
    fed_by = InputFacts(kind=InputKind.SEQUENCE, name="Photos", workers=4, multiprocessing=True)
    lines = (*NAMES[:2], loop_line(FIT, fed_by=fed_by), *NAMES[3:])
    profile = collect(
        wait(0, 4 * MS, signature=SHAPE, samples=32),
        step(0, 0, 10 * MS),
        wait(10 * MS, 13 * MS, signature=SHAPE, samples=20),
        step(1, 10 * MS, 20 * MS, epoch=1, batches=3),
        row(Kind.GAUGE, QUEUE, MS, MS, value=0),
        row(Kind.GAUGE, QUEUE, 2 * MS, 2 * MS, value=3),
        lines=lines,
    )
    (loop,) = profile.loops
    assert (loop.kind, loop.waits_by) == (LoopKind.FIT, WaitSource.ITERATOR)
    assert (loop.epochs, loop.step_count, loop.batch_count, loop.sample_count) == (2, 2, 4, 52)
    assert loop.steps.wait_ns.tolist() == [4 * MS, 3 * MS]
    assert (loop.input.kind, loop.input.name) == (InputKind.SEQUENCE, "Photos")
    assert (loop.input.workers, loop.input.multiprocessing) == (4, True)
    assert loop.input.queue is not None
    assert (loop.input.queue.mean(), int(loop.input.queue.zeros.sum())) == (1.5, 1)
    (delivered,) = profile.deliveries
    assert (delivered.batches, delivered.samples, delivered.shapes) == (2, 32, ((32, 100),))


def test_samples_and_batches_may_be_recorded_by_themselves():
    profile = collect(
        step(0, 0, MS),
        row(Kind.SAMPLES, FIT, MS, MS, value=32),
        row(Kind.SAMPLES, FIT, MS, MS, value=8),
        row(Kind.BATCH, SHAPE, MS, MS),
    )
    assert profile.loops[0].sample_count == 40
    assert profile.deliveries[0].batches == 1


def test_a_shape_that_never_came_is_no_delivery():
    assert collect(step(0, 0, MS)).deliveries == ()


def test_waits_by_gaps():
    lines = (*NAMES[:2], loop_line(FIT, waits_by=WaitSource.GAP_TIMES), *NAMES[3:])
    profile = collect(step(0, 0, 10), step(1, 10, 20), gap(0, 4), gap(1, 9), lines=lines)
    assert profile.loops[0].steps.wait_ns.tolist() == [6, 1]


def test_waits_in_a_generator_are_those_of_the_loop_that_runs_where_these_measure_them():
    lines = (*NAMES[:2], loop_line(FIT, waits_by=WaitSource.GENERATOR), *NAMES[3:])
    inner = loop_line(20, LoopKind.EVALUATE, parent=FIT, waits_by=WaitSource.GENERATOR)
    collected = accumulator(*lines, inner)
    collected.add(PID, 0, records(thread(MAIN), step(0, 0, 10), step(0, 10, 20, loop=20)))
    collected.add(PID, 1, records(thread(INPUT), generator_wait(2, 5), generator_wait(11, 12)))
    collected.settle()
    fit, evaluate = profile_of(collected).loops
    assert (fit.steps.wait_ns.tolist(), evaluate.steps.wait_ns.tolist()) == ([3], [1])
    assert (fit.parent, evaluate.parent) == (None, 0)


# Intervals of one thread, one after the other.
intervals = st.lists(st.integers(0, 120), max_size=12, unique=True).map(
    lambda times: list(zip(sorted(times)[::2], sorted(times)[1::2], strict=False))
)


@given(
    waits=st.lists(st.integers(0, 10), min_size=1, max_size=6),
    beside=intervals,
    work=intervals,
    of_keras=st.booleans(),
    late=st.booleans(),
)
def test_a_loops_waits_are_what_its_iterator_blocked_whatever_works_beside_it(
    waits: list[int],
    beside: list[tuple[int, int]],
    work: list[tuple[int, int]],
    of_keras: bool,
    late: bool,
):
    # What measures the waits may become known after other threads' records have been read.
    source = loop_line(
        FIT,
        waits_by=None if late else WaitSource.ITERATOR,
        fed_by=InputFacts(kind=InputKind.TF_DATA),
    )
    collected = accumulator(*NAMES[:2], source, *NAMES[3:])
    collected.add(PID, 1, records(thread(INPUT), *(span(READ, *interval) for interval in work)))
    blocked = [generator_wait(*interval, of_keras=of_keras) for interval in beside]
    collected.add(PID, 1, records(thread(INPUT), *blocked))
    if late:
        collected.add_names(PID, [(FIT, LoopUpdate(waits_by=WaitSource.ITERATOR))])
    own = [
        row
        for n, ns in enumerate(waits)
        for row in (wait(20 * n, 20 * n + ns), step(n, 20 * n, 20 * n + 20))
    ]
    collected.add(PID, 0, records(thread(MAIN), *own))
    collected.settle()
    (loop,) = profile_of(collected).loops
    assert loop.steps.wait_ns.tolist() == waits


def test_generators_that_the_user_wrote_are_not_what_a_loop_on_keras_own_waits_for():
    fed_by_workers = loop_line(
        FIT, waits_by=WaitSource.GENERATOR, fed_by=InputFacts(kind=InputKind.SEQUENCE)
    )
    collected = accumulator(*NAMES[:2], fed_by_workers, *NAMES[3:])
    waits = (generator_wait(0, 2), generator_wait(1, 9, of_keras=False))
    collected.add(PID, 1, records(thread(INPUT), *waits))
    collected.add(PID, 0, records(thread(MAIN), step(0, 0, 10)))
    collected.settle()
    assert profile_of(collected).loops[0].steps.wait_ns.tolist() == [2]


# Input work laid against steps


def test_work_that_overlaps_computing_is_distinguished_from_work_in_waits():
    collected = accumulator()
    steps_and_waits = (wait(0, 4), step(0, 0, 10), wait(10, 12), step(1, 10, 20))
    collected.add(PID, 0, records(thread(MAIN), *steps_and_waits))
    collected.add(PID, 1, records(thread(INPUT), span(READ, 0, 3), span(READ, 7, 11)))
    collected.settle()
    (loop,) = profile_of(collected).loops
    assert worked(loop) == (3 + 4, 3 + 1)


def test_every_loop_gets_the_work_of_its_own_steps():
    collected = accumulator(
        *NAMES,
        loop_line(20, LoopKind.EVALUATE, parent=FIT),
        loop_line(21, LoopKind.FIT),
    )
    collected.add(
        PID,
        0,
        records(
            thread(MAIN),
            span(READ, 2, 5),
            wait(0, 10),
            step(0, 0, 10),
            span(READ, 12, 14),
            step(0, 10, 20, loop=20),
            span(READ, 25, 26),
            wait(20, 30, 21),
            step(0, 20, 30, loop=21),
        ),
    )
    collected.settle(START_NS + 100)
    fit, evaluate, again = profile_of(collected).loops
    assert worked(fit) == (3, 3)
    assert worked(evaluate) == (2, 0)
    assert worked(again) == (1, 1)
    assert len(collected.sums.held_spans) == 0


def test_work_waits_until_the_steps_around_it_are_settled():
    collected = accumulator(*NAMES[:2], loop_line(FIT, waits_by=WaitSource.GAP_TIMES), *NAMES[3:])
    collected.add(PID, 0, records(thread(MAIN), span(READ, 2, 5), step(0, 0, 10)))
    collected.settle(START_NS + 50)
    assert len(collected.sums.held_spans) == 1
    collected.add(PID, 0, records(gap(0, 6), span(READ, 12, 15)))
    collected.settle(START_NS + 50)
    assert collected.sums.held_spans.tolist() == [[START_NS + 12, START_NS + 15]]
    loop = profile_of(collected).loops[0]
    assert worked(loop) == (3, 2)


def test_ends_of_iterators_are_kept_with_the_lane_that_they_held_up():
    collected = accumulator(*NAMES)
    collected.add(PID, 0, records(thread(MAIN), row(Kind.ITERATOR_END, 0, 5, 9)))
    ends = profile_of(collected).iterator_ends
    assert ends.tolist() == [[START_NS + 5, START_NS + 9, 0]]


def test_of_very_many_ends_of_iterators_the_first_and_the_last_are_kept():
    collected = accumulator(*NAMES)
    ends = [row(Kind.ITERATOR_END, 0, at, at + 1) for at in range(1000)]
    collected.add(PID, 0, records(thread(MAIN), *ends))
    kept = profile_of(collected).iterator_ends
    assert len(kept) == FIRST_ENDS + LAST_ENDS
    assert (kept[0, 0], kept[-1, 0]) == (START_NS, START_NS + 999)


def test_a_moment_waits_until_the_step_around_it_is_settled():
    collected = accumulator(*NAMES[:2], loop_line(FIT, waits_by=WaitSource.GAP_TIMES), *NAMES[3:])
    moments = (row(Kind.MOMENT, 0, 12, 14, value=3), row(Kind.MOMENT, 0, 17, 19, value=1))
    steps = step(0, 0, 10), step(1, 10, 20)
    collected.add(PID, 0, records(thread(MAIN), *moments, *steps))
    collected.settle(START_NS + 50)
    assert len(collected.sums.held_moments) == 2
    collected.add(PID, 0, records(gap(0, 4), gap(1, 6)))
    collected.settle(START_NS + 50)
    assert len(collected.sums.held_moments) == 0
    found = profile_of(collected).loops[0].moments_over_time
    assert found is not None
    assert found.total().tolist() == [2, 3, 2, 1]


def test_work_in_a_step_that_is_held_waits_though_another_loop_has_gone_on():
    collected = accumulator(
        *NAMES[:2],
        loop_line(FIT, waits_by=WaitSource.GAP_TIMES),
        *NAMES[3:],
        loop_line(20, LoopKind.EVALUATE, parent=FIT),
    )
    held = (span(READ, 2, 5), step(0, 0, 10), step(0, 10, 20, loop=20))
    collected.add(PID, 0, records(thread(MAIN), *held))
    collected.settle(START_NS + 50)
    collected.add(PID, 0, records(gap(0, 6)))
    collected.settle(START_NS + 50)
    fit, _ = profile_of(collected).loops
    assert worked(fit) == (3, 2)


def test_a_loop_whose_waits_nobody_shows_does_not_hold_up_a_later_one():
    collected = accumulator(*NAMES[:2], loop_line(FIT, waits_by=None), *NAMES[3:], loop_line(20))
    collected.add(
        PID, 0, records(thread(MAIN), step(0, 0, 10), span(READ, 12, 14), step(0, 10, 20, loop=20))
    )
    collected.settle(START_NS + 50)
    assert len(collected.sums.held_spans) == 0
    assert [worked(loop)[0] for loop in profile_of(collected).loops] == [0, 2]


# Single intervals


def test_single_intervals_are_kept_with_what_they_were():
    profile = collect(
        span(READ, 1, 3, root=False), span(DECODE, 0, 4, inner=2), wait(0, 5), step(0, 0, 9)
    )
    spans = profile.spans
    kinds = [SpanKind(kind) for kind in spans.kind.tolist()]
    assert kinds == [SpanKind.WORK, SpanKind.WORK, SpanKind.WAIT, SpanKind.STEP]
    assert spans.subject.tolist() == [0, 1, -1, 0]
    assert spans.inner_ns.tolist() == [0, 2, 0, 0]
    assert (spans.end_ns - START_NS).tolist() == [3, 4, 5, 9]
    assert spans.lane.tolist() == [0, 0, 0, 0]


def test_a_batch_is_an_interval_from_its_making_to_the_step_that_took_it():
    profile = collect(span(READ, 1, 3), row(Kind.TAKEN, FIT, 1, 8), step(0, 2, 9))
    (batch,) = np.flatnonzero(profile.spans.kind == SpanKind.BATCH)
    columns = (profile.spans.start_ns, profile.spans.end_ns, profile.spans.subject)
    assert [int(column[batch]) for column in columns] == [START_NS + 1, START_NS + 8, 0]
    assert profile.check() == ()


def test_calls_of_the_host_and_compiling_are_intervals_unless_they_are_too_short_to_see():
    function = HostCallFacts(part=Part.CALLBACKS, name="Save.on_epoch_end")
    collected = accumulator(*NAMES, (30, function))
    collected.add(
        PID,
        0,
        records(
            thread(MAIN),
            row(Kind.COMPILE, FIT, 0, 3),
            row(Kind.HOST_CALL, 30, 4, 9, inner=FIT),
            row(Kind.HOST_CALL, 30, 10, 10 + MS, inner=FIT),
        ),
    )
    profile = profile_of(collected)
    spans = profile.spans
    assert spans.kind.tolist() == [SpanKind.COMPILE, SpanKind.CALL]
    assert (spans.start_ns - START_NS).tolist() == [0, 10]
    assert spans.subject.tolist() == [0, 0]
    assert profile.host_functions == (
        HostFunction(part=Part.CALLBACKS, name="Save.on_epoch_end", location=None),
    )
    assert profile.check() == ()


# What makes no sense


def test_records_of_unknown_things_and_kinds_count_as_events_only():
    collected = accumulator()
    collected.add(
        PID, 0, records(span(READ, 0, 1), span(99, 0, 1), row(Kind(1), 98), step(0, 0, 1, 97))
    )
    strange = records(row(Kind.STEP))
    strange["code"] = 200 << 24 | READ
    collected.add(PID, 0, strange)
    collected.add(12_345, 0, records(span(READ, 0, 1)))
    collected.add(PID, 0, records())
    collected.settle()
    profile = profile_of(collected)
    assert collected.sums.event_count == 6
    assert len(profile.spans) == 0
    assert profile.stages[0].work.total()[0] == 1
    assert profile.loops[0].step_count == 0


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 255))
def test_any_times_can_be_taken(start: int, end: int, kind: int):
    collected = accumulator()
    odd = records(row(Kind.STEP))
    odd["start_ns"], odd["end_ns"], odd["code"] = start, end, kind << 24 | READ
    collected.add_names(PID, [loop_line(FIT)])
    collected.add(PID, 0, odd)
    collected.settle()
    assert collected.sums.event_count == 1


# Bounded memory


def sizes(value: Any) -> int:
    """Bytes of all arrays in a value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if is_dataclass(value):
        return sum(sizes(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, (tuple, list)):
        return sum(map(sizes, value))
    if isinstance(value, dict):
        return sum(map(sizes, value.values()))
    return 0


def recorded(events: int) -> Profile:
    """A long training: five events a step."""
    once = [
        span(READ, 1 * MS, 2 * MS, root=False),
        span(DECODE, 0, 3 * MS, inner=MS),
        wait(0, 4 * MS, signature=SHAPE, samples=32),
        row(Kind.GAUGE, QUEUE, MS, MS, value=2),
        step(0, 0, 10 * MS),
    ]
    stream = many(once, events // len(once), 10 * MS)
    collected = accumulator(warmup=5)
    collected.add(PID, 0, records(thread(MAIN)))
    for first in range(0, len(stream), 20_000):
        collected.add(PID, 0, stream[first : first + 20_000])
        collected.settle(int(stream["end_ns"][min(first + 20_000, len(stream)) - 1]))
        assert len(collected.sums.held_spans) <= 1
    collected.settle()
    return profile_of(collected)


def test_a_million_events_need_no_more_memory_than_the_bounds_say():
    short, long = recorded(10_000), recorded(1_000_000)
    (loop,) = long.loops
    assert (loop.step_count, loop.sample_count) == (200_000, 200_000 * 32)
    assert worked(loop) == (200_000 * 3 * MS,) * 2
    assert [stage.work.total()[1] for stage in long.stages] == [200_000 * MS, 400_000 * MS]
    assert len(loop.steps) == steps.FIRST + steps.LAST
    many_windows = 10 * windows.BETWEEN
    assert len(long.spans) <= windows.FIRST + windows.LAST + many_windows
    assert len(loop.over_time.sums) <= BINS
    assert sizes(long) - sizes(short) < 2_000_000


def test_work_that_no_step_ever_follows_is_not_held_without_end():
    collected = accumulator()
    stream = many([span(READ, 0, MS)], 100_000, 2 * MS)
    collected.add(PID, 0, records(thread(MAIN)))
    for first in range(0, len(stream), 10_000):
        collected.add(PID, 0, stream[first : first + 10_000])
        collected.settle(0)
    assert len(collected.sums.held_spans) <= 32_768
    assert profile_of(collected).stages[0].work.total().tolist()[:2] == [100_000, 100_000 * MS]


def test_a_lane_line_for_another_process_is_that_processs():
    collected = accumulator(lane_line(1), worker_line(2, pid=77))
    assert [lane.pid for lane in profile_of(collected).lanes] == [PID, 77]


def test_stacks_and_the_gil_are_added_up_over_the_windows():
    collected = collect(
        row(Kind.STACK, STACK, 0, MS, value=60),
        row(Kind.STACK, STACK, MS, 2 * MS, value=40),
        row(Kind.GIL, INPUT, 0, MS, inner=100, value=70),
        row(Kind.GIL, INPUT, MS, 2 * MS, inner=50, value=5),
        lines=(
            *NAMES,
            (30, StackFacts(lines=(replace(CODE_LINE, location=Location("train.py", 45)),))),
        ),
    )
    assert collected.stacks == (
        StackSamples(
            lines=(
                CodeLine(
                    function="f", location=Location("train.py", 44), text="x = g()", blocks=(43,)
                ),
            ),
            samples=100,
        ),
    )
    assert [lane.gil for lane in collected.lanes[:2]] == [None, GilSamples(held=75, samples=150)]


def test_what_a_worker_is_at_is_known_until_its_span_follows():
    collected = accumulator(worker_line(1), stage_line(2, "load"), stage_line(3, "read"))

    def at(*rows: Row) -> list[tuple[int, int]]:
        collected.add(PID, 0, records(*rows))
        return [(call.item, call.since_ns - START_NS) for call in collected.open_calls.values()]

    assert at(thread(1, 77)) == []
    assert at(row(Kind.CALLED, 2, 10, 10, value=5)) == [(5, 10)]
    assert collected.open_calls[PID, 0].tid == 77
    assert at(span(3, 11, 15, root=False)) == [(5, 10)]  # of another stage
    assert at(span(2, 2, 8)) == [(5, 10)]  # of the call before
    assert at(span(2, 10, 20), row(Kind.CALLED, 2, 21, 21, value=6)) == [(6, 21)]
    assert at(row(Kind.CALLED, 2, 30, 30, value=7), span(2, 30, 40)) == []
    at(row(Kind.CALLED, 2, 50, 50, value=8))
    collected.forget(PID)
    assert collected.open_calls == {}
