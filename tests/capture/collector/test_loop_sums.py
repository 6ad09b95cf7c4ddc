"""Steps and their waits: every source of waits, late news, lost news, bounded holding."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector.loop_sums import (
    FIRST,
    HELD_AT_MOST,
    LAST,
    LINE_AT_MOST,
    LoopSums,
    time_inside,
)
from pipeprof.capture.recorder.facts import LoopFacts
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.recording.loop import UNKNOWN_NS, Loop, LoopKind, WaitSource
from pipeprof.recording.series import IntArray
from tests.builders import PID
from tests.memory import made_with_bytes


def loop_sums(waits_by: WaitSource | None = WaitSource.ITERATOR, warmup: int = 0) -> LoopSums:
    facts = LoopFacts(kind=LoopKind.FIT, start_ns=0, waits_by=waits_by)
    return LoopSums.begin(facts, pid=PID, number=1, parent=None, warmup=warmup)


def steps(
    first: int, count: int, length: int = 10, epoch: int = 0, batches: int = 1, start: int = 0
) -> IntArray:
    """Steps one after the other, the first of the loop at ``start``."""
    ordinal = np.arange(first, first + count)
    begin = start + ordinal * length
    fill = np.ones_like(ordinal)
    columns = (ordinal, epoch * fill, begin, begin + length, UNKNOWN_NS * fill, batches * fill)
    return np.column_stack(columns)


def add_waits(sums: LoopSums, *intervals: tuple[int, int]) -> None:
    start, end = np.array(intervals, np.int64).reshape(-1, 2).T
    by_generator = sums.waits_by is WaitSource.GENERATOR
    (sums.add_generator_waits if by_generator else sums.add_waits)(start, end)


def add_gaps(sums: LoopSums, gaps: dict[int, int]) -> None:
    sums.add_gaps(np.array(list(gaps)), np.array(list(gaps.values())))


def waits(sums: LoopSums) -> list[int]:
    """Waits of the settled steps that are kept."""
    found: list[int] = sums.freeze().steps.wait_ns.tolist()
    return found


# Waits by intervals


def test_a_steps_wait_is_the_part_of_it_that_lies_in_waits():
    sums = loop_sums()
    sums.add_steps(steps(0, 4))
    add_waits(sums, (0, 3), (8, 12), (21, 22), (23, 25))
    sums.settle()
    assert waits(sums) == [5, 2, 3, 0]


def test_waits_of_several_threads_count_once_where_they_overlap():
    sums = loop_sums(WaitSource.GENERATOR)
    sums.add_steps(steps(0, 2))
    add_waits(sums, (2, 6), (12, 14))
    add_waits(sums, (1, 3), (5, 7), (13, 13))
    sums.settle()
    assert waits(sums) == [6, 2]


def test_a_step_that_may_lack_waits_of_another_thread_is_held_back():
    sums = loop_sums(WaitSource.GENERATOR)
    sums.add_steps(steps(0, 3))
    add_waits(sums, (0, 5))
    sums.settle(until_ns=25)
    assert waits(sums) == [5, 0]
    assert sums.held_from_ns == 20
    add_waits(sums, (20, 24))
    sums.settle(until_ns=30)
    assert waits(sums) == [5, 0, 4]


# Waits by gaps


@pytest.mark.parametrize("told_by", [WaitSource.GAP_TIMES, WaitSource.TRACE])
def test_a_steps_wait_is_what_its_gap_leaves(told_by: WaitSource):
    sums = loop_sums(told_by)
    sums.add_steps(steps(0, 4))
    add_gaps(sums, {0: 4, 1: 0, 2: 25})
    sums.settle(until_ns=0)
    assert waits(sums) == [6, 10, 0]
    sums.settle()
    assert waits(sums) == [6, 10, 0, UNKNOWN_NS]


def test_what_cancels_in_a_sum_is_no_waiting():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 6))
    gaps = {0: 13, 1: 7, 2: 8, 3: 13, 4: 4, 5: 10}
    for ordinal, gap_ns in gaps.items():  # it is carried from one settling to the next
        add_gaps(sums, {ordinal: gap_ns})
        sums.settle(until_ns=0)
    assert waits(sums) == [0, 0, 2, 0, 3, 0]
    assert sum(waits(sums)) == sum(10 - gap_ns for gap_ns in gaps.values())


def test_a_gap_that_does_not_belong_to_its_step_takes_nothing_from_others():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 2, length=10_000_000))
    add_gaps(sums, {0: 15_000_000, 1: 4_000_000})
    sums.settle()
    assert waits(sums) == [0, 6_000_000]


def test_gaps_of_one_step_add_up():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 1, batches=2))
    add_gaps(sums, {0: 2})
    add_gaps(sums, {0: 3})
    sums.settle()
    assert waits(sums) == [5]
    assert sums.freeze().batch_count == 2


def test_a_gap_that_was_lost_leaves_its_wait_unknown():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 3))
    add_gaps(sums, {0: 4, 2: 4})
    sums.settle(until_ns=0)
    assert waits(sums) == [6, UNKNOWN_NS, 6]
    loop = sums.freeze()
    assert (loop.step_times.count, loop.wait_times.count, loop.compute_times.sum_ns) == (2, 1, 4)
    assert loop.over_time.total().tolist() == [3, 30, 2, 20, 12, 0]


def test_gaps_may_come_long_after_their_steps():
    sums = loop_sums(WaitSource.GAP_TIMES)
    for first in range(0, 1_000, 100):
        sums.add_steps(steps(first, 100))
        sums.settle(until_ns=0)
    assert waits(sums) == []
    add_gaps(sums, dict.fromkeys(range(1_000), 3))
    sums.settle(until_ns=0)
    assert waits(sums) == [7] * 1_000


def test_steps_are_not_held_without_end():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, HELD_AT_MOST + 10))
    sums.settle(until_ns=0)
    assert waits(sums) == [UNKNOWN_NS] * 10
    assert sums.held_from_ns == 100


def test_gaps_without_steps_are_not_held_without_end():
    sums = loop_sums(WaitSource.GAP_TIMES)
    for first in range(0, 5 * HELD_AT_MOST, 1_000):
        add_gaps(sums, dict.fromkeys(range(first, first + 1_000), 1))
        sums.settle(until_ns=0)
    assert len(sums.gaps) <= HELD_AT_MOST + 1_000


def test_a_gap_that_comes_too_late_is_forgotten():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 2))
    add_gaps(sums, {1: 5})
    sums.settle(until_ns=0)
    add_gaps(sums, {0: 5})
    sums.settle(until_ns=0)
    assert waits(sums) == [UNKNOWN_NS, 5]
    assert sums.gaps == {}


# Waits by nothing


def test_steps_wait_for_word_of_what_shows_their_waits():
    sums = loop_sums(None)
    sums.add_steps(steps(0, 2))
    sums.settle(until_ns=1_000)
    assert waits(sums) == []
    sums.facts = replace(sums.facts, waits_by=WaitSource.ITERATOR)
    add_waits(sums, (0, 4))
    sums.settle(until_ns=1_000)
    assert waits(sums) == [4, 0]


def test_without_any_word_waits_stay_unknown():
    sums = loop_sums(None)
    sums.add_steps(steps(0, HELD_AT_MOST + 1))
    sums.settle(until_ns=0)
    assert waits(sums) == [UNKNOWN_NS]
    sums.settle()
    assert not sums.freeze().steps.measured.any()
    assert sums.freeze().waits_by is None


# What counts


def test_warmup_and_the_first_of_each_epoch_count_apart():
    sums = loop_sums(warmup=3)
    for epoch in range(2):
        sums.add_steps(steps(5 * epoch, 5, epoch=epoch))
        add_waits(sums, *((10 * n, 10 * n + 1) for n in range(5 * epoch, 5 * epoch + 5)))
        sums.settle()
    loop = sums.freeze()
    assert (loop.epochs, loop.step_count) == (2, 10)
    assert loop.step_times.count == loop.wait_times.count == 10 - 3 - 1
    assert (loop.epoch_start_times.count, loop.epoch_start_times.sum_ns) == (2, 2)
    assert (loop.start_ns, loop.steady_ns, loop.end_ns) == (0, 30, 100)


def test_a_loop_that_never_came_past_its_warmup_has_no_steady_time():
    sums = loop_sums(warmup=5)
    sums.add_steps(steps(0, 5))
    sums.settle()
    assert sums.freeze().steady_ns is None


def test_a_loop_without_steps_is_empty():
    sums = loop_sums()
    sums.settle()
    loop = sums.freeze()
    assert (loop.step_count, loop.epochs, len(loop.steps), loop.sample_count) == (0, 0, 0, None)
    assert loop.start_ns == loop.end_ns == 0


@given(st.lists(st.integers(1, 3_000), max_size=8))
def test_the_first_and_the_last_steps_are_kept(counts: list[int]):
    sums, taken = loop_sums(), 0
    for count in counts:
        sums.add_steps(steps(taken, count))
        sums.settle()
        taken += count
    behind = range(max(FIRST, taken - LAST), taken)
    assert sums.freeze().steps.ordinal.tolist() == [*range(min(FIRST, taken)), *behind]
    assert sums.freeze().step_count == taken


# Work laid against steps


def work(sums: LoopSums, *spans: tuple[int, int]) -> tuple[int, int]:
    start, end = np.array(spans, np.int64).reshape(-1, 2).T
    sums.add_input_work(start, end)
    in_steps, in_waits = sums.freeze().input_over_time.total().tolist()
    return in_steps, in_waits


def test_work_counts_in_steps_and_in_their_waits():
    sums = loop_sums()
    sums.add_steps(steps(0, 3))
    add_waits(sums, (0, 4), (10, 13), (20, 20))
    sums.settle()
    assert work(sums, (2, 12)) == (10, 2 + 2)
    assert work(sums, (25, 99)) == (10 + 5, 4)
    assert work(sums, (40, 50)) == (15, 4)


def test_work_outside_of_steps_does_not_count_even_in_a_wait():
    sums = loop_sums()
    sums.add_steps(np.concatenate([steps(0, 1), steps(1, 1, start=10)]))
    add_waits(sums, (8, 22))
    sums.settle()
    assert work(sums, (5, 25)) == (5 + 5, 2 + 2)


def moments(sums: LoopSums, *rows: tuple[int, int, int]) -> list[int]:
    """The channels of `MOMENT_CHANNELS` after some moments: begin, end and CPU time of each."""
    sums.add_moments(*np.array(rows, np.int64).reshape(-1, 3).T)
    found: list[int] = sums.freeze().moments_over_time.total().tolist()  # type: ignore[union-attr]
    return found


def test_a_moment_counts_where_it_lies_in_a_wait_or_in_the_rest_of_a_step():
    sums = loop_sums()
    sums.add_steps(steps(0, 3, length=100))
    add_waits(sums, (0, 40), (100, 140), (200, 200))
    sums.settle()
    in_wait, computing = (110, 120, 15), (150, 170, 30)
    at_the_border, outside = (135, 145, 99), (400, 410, 99)
    where_the_epoch_begins = (10, 20, 1), (50, 70, 1)
    found = moments(sums, *where_the_epoch_begins, in_wait, computing, at_the_border, outside)
    assert found == [10, 15, 20, 30]


def test_moments_of_a_loop_without_waits_that_are_known_do_not_count():
    sums = loop_sums(waits_by=None)
    sums.add_steps(steps(0, 3, length=100))
    sums.settle()
    assert moments(sums, (10, 20, 15)) == [0, 0, 0, 0]


def test_of_a_step_known_by_its_gap_the_wait_comes_first():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 2))
    add_gaps(sums, {0: 4, 1: 10})
    sums.settle()
    assert work(sums, (0, 20)) == (20, 6)


def test_work_in_steps_whose_wait_is_unknown_does_not_count():
    sums = loop_sums(WaitSource.GAP_TIMES)
    sums.add_steps(steps(0, 2))
    add_gaps(sums, {1: 10})
    sums.settle()
    assert work(sums, (0, 20)) == (10, 0)


INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), max_size=12).map(
    lambda made: sorted((start, start + length) for start, length in made)
)


@given(INTERVALS, INTERVALS, st.lists(st.integers(1, 9), max_size=10))
def test_overlap_is_what_counting_nanosecond_by_nanosecond_gives(
    waited: list[tuple[int, int]], worked: list[tuple[int, int]], lengths: list[int]
):
    ends = np.cumsum(lengths, dtype=np.int64)
    sums = loop_sums()
    rows = steps(0, len(lengths))
    rows[:, 2], rows[:, 3] = ends - lengths, ends
    sums.add_steps(rows)
    add_waits(sums, *waited)
    sums.settle()
    inside = {ns for start, end in waited for ns in range(start, end)}
    assert waits(sums) == [
        len(inside & set(range(end - length, end)))
        for end, length in zip(ends.tolist(), lengths, strict=True)
    ]
    in_steps = [ns for start, end in worked for ns in range(start, end) if ns < sum(lengths)]
    assert work(sums, *worked) == (len(in_steps), sum(ns in inside for ns in in_steps))


@given(INTERVALS, st.tuples(st.integers(0, 80), st.integers(0, 30)))
def test_time_inside_intervals_counts_each_nanosecond_once(
    intervals: list[tuple[int, int]], stretch: tuple[int, int]
):
    start, length = stretch
    inside = {ns for begin, end in intervals for ns in range(begin, end)}
    found = time_inside(
        np.array(intervals, np.int64).reshape(-1, 2), np.array([start]), np.array([start + length])
    )
    assert found.tolist() == [len(inside & set(range(start, start + length)))]


# Going on from a checkpoint


def resumed(sums: LoopSums) -> LoopSums:
    """Through JSON and numbers, as a checkpoint has them."""
    encoder = Encoder()
    document = json.loads(json.dumps(encoder.encode(sums)))
    return Decoder(encoder.numbers()).decode(LoopSums, document)


def assert_same(one: Loop, other: Loop) -> None:
    np.testing.assert_equal(dataclasses.asdict(one), dataclasses.asdict(other))


@pytest.mark.parametrize(
    "waits_by", [WaitSource.ITERATOR, WaitSource.GENERATOR, WaitSource.GAP_TIMES, None]
)
@given(
    counts=st.lists(st.integers(1, 2_500), min_size=2, max_size=5),
    cut=st.integers(0, 4),
    late=st.integers(0, 300),
)
def test_a_loop_goes_on_as_if_nothing_had_been(
    waits_by: WaitSource | None, counts: list[int], cut: int, late: int
):
    whole = loop_sums(waits_by, warmup=3)
    broken = loop_sums(waits_by, warmup=3)
    taken = 0
    for number, count in enumerate(counts):
        for sums in (whole, broken):
            sums.add_steps(steps(taken, count, epoch=number))
            begin = np.arange(taken, taken + count) * 10
            sums.add_waits(begin, begin + 3)
            until = max(taken + count - late, 0)
            sums.add_gaps(np.arange(taken, until), np.full(max(until - taken, 0), 4))
            sums.settle((taken + count) * 10 - late)
            span = np.array([taken * 10 + 1])
            sums.add_input_work(span, span + 12)
        taken += count
        if number == cut:
            broken = resumed(broken)
    whole.settle()
    broken.settle()
    assert_same(whole.freeze(), broken.freeze())


def test_memory_does_not_grow_with_steps():
    def add_all() -> LoopSums:
        sums = loop_sums()
        for first in range(0, 400_000, 10_000):
            sums.add_steps(steps(first, 10_000))
            begin = np.arange(first, first + 10_000) * 10
            sums.add_waits(begin, begin + 1)
            sums.settle()
        return sums

    sums, held_bytes = made_with_bytes(add_all)
    held, gaps, waited = sums.held, sums.gaps, sums.own_waits
    assert (len(held), len(gaps), len(waited)) == (0, 0, LINE_AT_MOST)
    assert len(sums.freeze().steps) == FIRST + LAST
    assert held_bytes < 400_000 * 8  # not even a number a step
