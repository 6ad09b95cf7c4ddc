"""Checkpoints: a recording that is stored, read and gone on with is as if nothing had been."""

import dataclasses
import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector import checkpoint
from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.checkpoint import Checkpoint
from pipeprof.capture.recorder.facts import LoopUpdate, TraceWindowFacts
from pipeprof.capture.recorder.records import RECORD_DTYPE, Kind, Records
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.recording.loop import LoopKind, WaitSource
from tests import builders
from tests.builders import MS, PID
from tests.streams import (
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
    gap,
    generator_wait,
    loop_line,
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

EVALUATE = 30
WORKER = 5_000


def stored_and_read(collected: Accumulator) -> Accumulator:
    """Through JSON and numbers, as a run folder has them."""
    taken = checkpoint.take(
        collected,
        {(PID, 0): 9, (WORKER, 1): 4},
        ended=[17],
        run=builders.run_info(),
        cores=2,
        cpu_limit=None,
        overhead=builders.profile().overhead,
    )
    encoder = Encoder()
    document = json.loads(json.dumps(encoder.encode(taken)))
    read = Decoder(encoder.numbers()).decode(Checkpoint, document)
    assert [(ring.pid, ring.number, ring.position) for ring in read.rings] == [
        (PID, 0, 9),
        (WORKER, 1, 4),
    ]
    assert read.ended == (17,)
    return checkpoint.resume(read)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, int, Records]]:
    """What the rings of a training give, pass by pass: (process, ring, records)."""
    passes: list[tuple[int, int, Records]] = [(PID, 0, records(thread(MAIN)))]
    at, ordinal = 0, 0
    for epoch in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 4))):
            rows: list[Row] = []
            begin = at
            for _ in range(draw(st.integers(1, 12))):
                length = draw(st.sampled_from([1, 7 * MS, 300 * MS]))
                rows += [
                    span(READ, at, at + length // 3, cpu=length // 4, root=False),
                    span(DECODE, at, at + length // 2, inner=length // 3),
                    wait(at, at + length // 2, signature=SHAPE, samples=8),
                    row(Kind.GAUGE, QUEUE, at, at, value=ordinal % 3),
                    step(ordinal, at, at + length, epoch=epoch),
                    gap(ordinal - 1, length // 5),
                ]
                at, ordinal = at + length, ordinal + 1
            rows.append(row(Kind.CPU, CPU_OF_OTHERS, 0, at, value=3))
            rows.append(row(Kind.PROCESS_CPU, 0, 0, at, value=5))
            passes.append((PID, 0, records(*rows)))
            worked = [thread(1, WORKER), span(2, begin, at), row(Kind.BYTES, 2, 0, at, value=9)]
            looked = [row(Kind.STACK, STACK, value=3), row(Kind.GIL, INPUT, inner=9, value=2)]
            passes.append((PID, 1, records(*looked)))
            passes.append((WORKER, 0, records(*worked)))
        inner = [step(epoch, at, at + MS, loop=EVALUATE), generator_wait(at, at + 5)]
        passes.append((PID, 1, records(thread(INPUT), *inner)))
        at += MS
    return passes


def feed(collected: Accumulator, passes: list[tuple[int, int, Records]]) -> None:
    for pid, ring, new in passes:
        collected.add(pid, ring, new)
        ends = new["end_ns"][new["end_ns"] > builders.START_NS]
        collected.settle(int(ends.max(initial=builders.START_NS)))


def name_all(collected: Accumulator, waits_by: WaitSource | None) -> None:
    """All names, as a name log that is read from its begin."""
    lines = (*NAMES[:2], loop_line(FIT, waits_by=waits_by), *NAMES[3:])
    collected.add_names(PID, (*lines, loop_line(EVALUATE, LoopKind.EVALUATE, parent=FIT)))
    collected.add_names(WORKER, [worker_line(1), stage_line(2, "read in worker")])


def plain(collected: Accumulator) -> dict[str, Any]:
    return dataclasses.asdict(profile_of(collected))


@given(
    streams(),
    st.sampled_from([WaitSource.ITERATOR, WaitSource.GENERATOR, WaitSource.GAP_TIMES, None]),
    st.data(),
)
def test_a_recording_goes_on_as_if_nothing_had_been(
    passes: list[tuple[int, int, Records]], waits_by: WaitSource | None, data: st.DataObject
):
    cut = data.draw(st.integers(0, len(passes)))
    whole, broken = accumulator(warmup=2), accumulator(warmup=2)
    for collected in (whole, broken):
        name_all(collected, waits_by)
    feed(whole, passes)
    feed(broken, passes[:cut])
    resumed = stored_and_read(broken)
    name_all(resumed, waits_by)
    feed(resumed, passes[cut:])
    for collected in (whole, resumed):
        collected.settle()
    np.testing.assert_equal(plain(resumed), plain(whole))
    assert resumed.sums.event_count == whole.sums.event_count


def test_what_was_stored_does_not_change_with_what_comes_later():
    collected = accumulator()
    feed(collected, [(PID, 0, records(thread(MAIN), wait(0, 5), step(0, 0, 10)))])
    taken = checkpoint.take(
        collected,
        {},
        run=builders.run_info(),
        cores=2,
        cpu_limit=None,
        overhead=builders.profile().overhead,
    )
    encoder = Encoder()
    document = encoder.encode(taken)
    before, numbers = json.dumps(document), encoder.numbers().tolist()
    feed(collected, [(PID, 0, records(span(READ, 11, 12), wait(10, 15), step(1, 10, 20)))])
    collected.add_names(PID, [(FIT, LoopUpdate(waits_by=WaitSource.GAP_TIMES))])
    assert json.dumps(document) == before
    assert encoder.numbers().tolist() == numbers
    assert json.dumps(Encoder().encode(taken)) != before


def test_workers_keep_their_lanes():
    collected = accumulator()
    for pid in (WORKER, WORKER + 1):
        collected.add_names(pid, [worker_line(1)])
    collected.forget(WORKER)
    resumed = stored_and_read(collected)
    resumed.add_names(WORKER + 1, [worker_line(1)])
    resumed.add_names(WORKER + 2, [worker_line(1)])
    assert resumed.registry.worker_slots == {WORKER + 1: 1, WORKER + 2: 0}


def test_an_empty_recording_can_be_taken():
    resumed = stored_and_read(Accumulator.begin(start_ns=5, warmup=1))
    resumed.settle()
    assert profile_of(resumed).loops == ()
    resumed.add(PID, 0, np.empty(0, RECORD_DTYPE))
    assert resumed.sums.event_count == 0


def test_a_trace_window_is_known_after_a_checkpoint_and_is_not_doubled_by_its_log():
    line = (
        40,
        TraceWindowFacts(
            run="w",
            loop=FIT,
            start_ns=builders.START_NS,
            end_ns=builders.START_NS + MS,
            first_step=5,
            step_count=3,
        ),
    )
    resumed = stored_and_read(accumulator(*NAMES, line))
    resumed.add_names(PID, [*NAMES, line])
    [window] = profile_of(resumed).trace_windows
    assert (window.run, window.loop, window.first_step, window.step_count) == ("w", 0, 5, 3)
    assert (len(window.ordinal), len(window.wait_ns)) == (0, 0)
