"""What a loop's time went to, summed up from intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector.account_sums import (
    KEPT,
    NO_EPOCH,
    AccountSums,
    CallSums,
    StepParts,
)
from pipeprof.capture.collector.epoch_calls import EPOCH_CALLS_KEPT
from pipeprof.capture.collector.sample_rows import OFFSETS_NS, merged_samples, with_offsets
from pipeprof.capture.recorder.facts import HostCallFacts, PlaceFacts
from pipeprof.recording.account import (
    COMPILATION_COLUMNS,
    EPOCH_COLUMNS,
    PART_CODES,
    LoopAccount,
    Part,
    PassContext,
)
from pipeprof.recording.intervals import in_order, time_inside
from pipeprof.recording.series import IntArray
from pipeprof.recording.source_code import Location

CHECKPOINT, RESAMPLE = 0, 1


CALLS = [
    HostCallFacts(part=Part.CALLBACKS, name="ModelCheckpoint.on_train_batch_end"),
    HostCallFacts(part=Part.BETWEEN_EPOCHS, name="Pairs.on_epoch_end"),
]


REASONS = ["shape 1", "shape 2", "shape 3"]


def frozen(sums: AccountSums, until: int = 0) -> LoopAccount:
    return sums.freeze(until, CALLS, [], REASONS)


def call(
    start: int,
    end: int,
    of: int = CHECKPOINT,
    epoch: int = 0,
    part: Part = Part.CALLBACKS,
) -> IntArray:
    return np.array([[start, end, of, epoch, PART_CODES[part]]], np.int64)


def count(
    sums: AccountSums,
    *steps: tuple[int, int, int],
    epoch: int = 0,
    first: int = 0,
    begins: bool = True,
) -> StepParts:
    """Counts steps given as begin, end and wait; the first one begins its epoch where asked."""
    table = np.array(steps, np.int64).reshape(-1, 3)
    ordinals = np.arange(first, first + len(table))
    begin = np.zeros(len(table), bool)
    begin[:1] = begins
    return sums.count_steps(table[:, :2], ordinals, np.full(len(table), epoch), table[:, 2], begin)


def totals(sums: AccountSums) -> dict[str, int]:
    return dict(zip(EPOCH_COLUMNS, frozen(sums).totals[0].tolist(), strict=True))


def epochs(sums: AccountSums, until: int = 0) -> list[dict[str, int]]:
    return [
        dict(zip(EPOCH_COLUMNS, row, strict=True)) for row in frozen(sums, until).epochs.tolist()
    ]


def test_calls_inside_steps_are_distinguished_from_those_between_them():
    sums = AccountSums()
    sums.begin_epoch(0, 0)
    sums.add_calls(
        np.concatenate([call(6, 9), call(20, 25), call(25, 32, RESAMPLE, part=Part.BETWEEN_EPOCHS)])
    )
    parts = count(sums, (0, 10, 4), (10, 20, 1))
    assert parts.callback_ns.tolist() == [3, 0]
    sums.end_epoch(0, 0, 40)
    [epoch] = epochs(sums)
    assert (epoch["start_ns"], epoch["end_ns"], epoch["steps"], epoch["step_ns"]) == (0, 40, 2, 20)
    assert (epoch["wait_ns"], epoch["epoch_start_ns"], epoch["measured_ns"]) == (5, 4, 20)
    assert (epoch["callback_ns"], epoch["outside_callback_ns"], epoch["outside_call_ns"]) == (
        3,
        5,
        7,
    )
    assert sums.calls == {CHECKPOINT: CallSums(2, 8), RESAMPLE: CallSums(1, 7)}


def test_calls_are_known_by_epoch():
    sums = AccountSums()
    sums.add_calls(np.concatenate([call(0, 2, RESAMPLE, NO_EPOCH), call(6, 9), call(12, 13)]))
    sums.add_calls(
        np.concatenate([call(20, 25, epoch=1), call(14, 18), call(15, 16, RESAMPLE, epoch=1)])
    )
    found = frozen(sums)
    by_epoch = {
        epoch: {call.name: (call.calls, call.total_ns) for call in found.calls_in(epoch)}
        for epoch in range(3)
    }
    checkpoint, resample = "ModelCheckpoint.on_train_batch_end", "Pairs.on_epoch_end"
    assert by_epoch == {
        0: {checkpoint: (3, 8)},
        1: {checkpoint: (1, 5), resample: (1, 1)},
        2: {},
    }


def test_calls_are_known_of_the_first_epochs_and_the_last():
    sums, many = AccountSums(), 2 * EPOCH_CALLS_KEPT + 10
    for epoch in range(many):
        sums.add_calls(call(10 * epoch, 10 * epoch + 2, RESAMPLE, epoch=epoch))
    found = frozen(sums)
    kept = [epoch for epoch in range(many) if found.calls_in(epoch)]
    assert kept == [*range(EPOCH_CALLS_KEPT), *range(many - EPOCH_CALLS_KEPT, many)]
    assert found.calls[0].calls == many


def test_a_wait_that_nobody_measured_counts_as_none():
    sums = AccountSums()
    count(sums, (0, 10, -1), (10, 20, 4))
    found = totals(sums)
    assert (found["step_ns"], found["measured_ns"], found["wait_ns"]) == (20, 10, 4)


def test_steps_that_compile_are_kept_one_by_one_and_their_waits_apart():
    sums = AccountSums()
    sums.add_first_ready(0, 70)
    sums.add_compiles(np.array([[2, 90, 60, 0], [4, 50, 0, 0]]))
    sums.add_calls(call(92, 97))
    parts = count(sums, (0, 100, 80), (100, 110, 2))
    assert parts.compiles.tolist() == [True, False]
    [row] = frozen(sums).compilations.tolist()
    assert dict(zip(COMPILATION_COLUMNS, row, strict=True)) == {
        "ordinal": 0, "epoch": 0, "start_ns": 0, "end_ns": 100, "wait_ns": 80, "callback_ns": 5,
        "model_ns": 0, "traced_ns": 60, "ready_ns": 70, "first_of_epoch": 1, "reason": 0,
    }  # fmt: skip
    found = totals(sums)
    assert (found["compile_step_ns"], found["compile_wait_ns"], found["wait_ns"]) == (95, 80, 2)
    assert (found["callback_ns"], found["epoch_start_ns"]) == (5, 0)


def test_a_loop_has_the_reasons_of_its_own_compilations():
    sums = AccountSums()
    sums.add_compiles(np.array([[2, 9, 0, -1], [12, 19, 0, 2], [22, 29, 0, 0], [32, 39, 0, 2]]))
    count(sums, *((n, n + 10, 0) for n in (0, 10, 20, 30)))
    found = frozen(sums)
    assert found.reasons == ("shape 1", "shape 3")
    assert found.compilations[:, COMPILATION_COLUMNS.index("reason")].tolist() == [-1, 1, 0, 1]
    assert frozen(AccountSums()).reasons == ()


def test_the_work_of_a_hand_written_loops_model_is_what_is_left_beside_its_waits():
    sums = AccountSums()
    sums.add_models(np.array([3, 12]), np.array([9, 30]))
    assert count(sums, (0, 10, 2), (10, 20, 4)).model_ns.tolist() == [6, 6]
    assert totals(sums)["model_ns"] == 12


def test_passes_add_up_by_what_they_ran_inside():
    sums = AccountSums()
    sums.begin_pass(5, PassContext.TOP)
    sums.end_pass(5, 20, PassContext.TOP)
    sums.begin_pass(30, PassContext.IN_CALLBACK)
    sums.end_pass(30, 34, PassContext.IN_CALLBACK)
    found = frozen(sums, 100)
    assert (found.pass_count, found.pass_ns) == (2, (15, 0, 0, 4))
    assert (found.start_ns, found.end_ns) == (5, 34)
    assert found.passes.tolist() == [[5, 20, 0], [30, 34, 3]]


def test_what_is_open_when_the_recording_ends_ends_there():
    sums = AccountSums()
    sums.begin_pass(5, PassContext.TOP)
    sums.begin_epoch(3, 6)
    found = frozen(sums, 50)
    assert (found.pass_count, found.pass_ns[0], found.end_ns) == (1, 45, 50)
    assert epochs(sums, 50)[0]["end_ns"] == 50


def test_validation_belongs_to_the_epoch_it_ran_in():
    sums = AccountSums()
    sums.begin_epoch(0, 0)
    sums.add_validation(7)
    sums.end_epoch(0, 0, 10)
    sums.add_validation(2)
    assert [epoch["validation_ns"] for epoch in epochs(sums)] == [7]
    assert totals(sums)["validation_ns"] == 9


def test_samples_add_up_by_place_state_and_part():
    once = np.array([[0, 0, 8, 2, 4], [0, 1, 8, 1, 1]])
    assert merged_samples(once, once[:1]).tolist() == [[0, 0, 8, 4, 8], [0, 1, 8, 1, 1]]


def test_the_first_epochs_and_the_last_are_kept_and_all_add_up():
    sums, many = AccountSums(), 2 * KEPT + 10
    for epoch in range(many):
        count(sums, (10 * epoch, 10 * epoch + 8, 1), epoch=epoch, first=epoch)
        sums.add_calls(call(10 * epoch + 8, 10 * epoch + 10, epoch=epoch))
    kept = [epoch["epoch"] for epoch in epochs(sums)]
    assert kept == [*range(KEPT), *range(many - KEPT, many)]
    found = totals(sums)
    assert (found["steps"], found["outside_callback_ns"]) == (many, 2 * many)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    calls=st.lists(st.integers(0, 600), max_size=20, unique=True),
    drains=st.integers(1, 4),
)
def test_callbacks_add_up_to_what_they_took_however_the_steps_lie(
    lengths: list[int], calls: list[int], drains: int
):
    sums = AccountSums()
    ends = np.cumsum(lengths)
    times = sorted(calls)
    spans = list(zip(times[::2], times[1::2], strict=False))
    for start, end in spans:
        sums.add_calls(call(start, end, epoch=NO_EPOCH))
    steps = [(int(e - n), int(e), 0) for e, n in zip(ends, lengths, strict=True)]
    size = -(-len(steps) // drains)
    for at in range(0, len(steps), size):
        count(sums, *steps[at : at + size], first=at, begins=at == 0)
    found = totals(sums)
    inside = sum(max(min(end, int(ends[-1])) - start, 0) for start, end in spans)
    assert found["callback_ns"] == inside
    assert found["outside_callback_ns"] == sum(end - start for start, end in spans) - inside


def test_what_the_input_does_on_the_training_thread_counts_outside_of_steps():
    sums = AccountSums()
    sums.begin_epoch(0, 0)
    sums.add_input(np.array([[0, 4], [12, 15]]))
    count(sums, (10, 20, 3))
    assert totals(sums)["outside_input_ns"] == 4
    assert epochs(sums)[0]["outside_input_ns"] == 4


def sampled(sums: AccountSums, place: int, since: int, count: int) -> None:
    rows = np.array([[place, 0, 0, count, count]], np.int64)
    sums.add_step_samples(rows, np.array([since], np.int64))


def test_samples_in_steps_count_for_the_time_as_far_from_a_steps_begin():
    """Two functions take 10 and 30 ms of each step; chance met the short one far too often."""
    ms = 1_000_000
    sums = AccountSums()
    steps = np.array([[at * 50 * ms, (at + 1) * 50 * ms] for at in range(10)], np.int64)
    sums.add_models(steps[:, 1] - 10 * ms, steps[:, 1])
    sums.count_steps(
        steps,
        np.arange(10),
        np.zeros(10, np.int64),
        np.full(10, -1),
        np.zeros(10, bool),
        by_hand=True,
    )
    assert sums.offset_ns.sum() == 400 * ms
    for since in range(1, 40):
        sampled(sums, int(since >= 10), since * ms, 8 if since < 10 else 1)
    places = [PlaceFacts(function=name, location=Location("a.py", 1)) for name in ("short", "long")]
    found = {each.function: each for each in sums.freeze(0, CALLS, places, REASONS).samples}
    share = found["short"].samples / (found["short"].samples + found["long"].samples)
    assert abs(share - 0.25) < 0.03
    assert {each.part for each in found.values()} == {Part.OWN_CODE}


PLACES = [PlaceFacts(function=name, location=Location("a.py", 1)) for name in ("short", "long")]


@pytest.mark.parametrize(("weight", "taken"), [(1, 100), (2, 50)])
def test_samples_have_the_error_that_chance_gives_them(weight: int, taken: int):
    """Of so many samples that stand for 100, a fifth met one place: a binomial's standard error."""
    own = PART_CODES[Part.OWN_CODE]
    sums = AccountSums()
    for place, count in ((0, taken // 5), (1, taken - taken // 5)):
        samples = count * weight
        sums.add_samples(np.array([[place, 0, own, samples, samples * weight]], np.int64))
    short, long = sums.freeze(0, CALLS, PLACES, REASONS).samples
    assert (short.samples, long.samples) == (20, 80)
    assert short.error == pytest.approx(100 * (0.2 * 0.8 / taken) ** 0.5, rel=0.05)
    assert long.error == pytest.approx(short.error, rel=0.1)


def test_a_place_that_few_samples_met_is_not_known_well_either():
    own = PART_CODES[Part.OWN_CODE]
    sums = AccountSums()
    for place, count in ((0, 1), (1, 60)):
        sums.add_samples(np.array([[place, 0, own, count, count]], np.int64))
    seldom, _ = sums.freeze(0, CALLS, PLACES, REASONS).samples
    assert seldom.error is not None
    assert seldom.error > 1.2 * (61 * (1 / 61) * (60 / 61)) ** 0.5


@given(
    lengths=st.lists(st.integers(1, 10**8), min_size=1, max_size=8),
    clocked=st.lists(st.integers(0, 3 * 10**8), max_size=8, unique=True),
)
def test_all_the_time_that_no_clock_knows_has_its_distance_from_a_steps_begin(
    lengths: list[int], clocked: list[int]
):
    ends = np.cumsum(lengths)
    starts = ends - lengths
    times = sorted(clocked)
    known = in_order(
        np.array(list(zip(times[::2], times[1::2], strict=False)), np.int64).reshape(-1, 2)
    )
    found = with_offsets(np.zeros(len(OFFSETS_NS), np.int64), starts, ends, known)
    assert (found >= 0).all()
    assert found.sum() == (ends - starts - time_inside(known, starts, ends)).sum()
    for at, after_ns in enumerate(OFFSETS_NS.tolist()):
        if found[at]:
            assert max(lengths) > after_ns


def test_samples_of_steps_that_were_not_counted_yet_count_alike():
    sums = AccountSums()
    sampled(sums, 0, 5, 3)
    sampled(sums, 0, 5_000_000, 2)
    places = [PlaceFacts(function="act", location=Location("a.py", 1))]
    [found] = sums.freeze(0, CALLS, places, REASONS).samples
    assert found.samples == 5
