"""Why epochs begin with a wait: planted beginnings of tf.data pipelines, and their opposites."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.account_findings import FrameworkWork
from pipeprof.analysis.findings.input_findings import EpochStart, StartCause
from pipeprof.analysis.measures.epoch_starts import epoch_starts, framework_starts
from pipeprof.recording.account import Part
from pipeprof.recording.loop import Input, InputKind, Loop, LoopKind, WaitSource
from pipeprof.recording.series import IntArray
from pipeprof.recording.stage import Stage, StageKind
from pipeprof.report.one_run.epoch_start_text import describe_starts
from tests.builders import DECODE, MS, cut_short, loop, profile, stage

EPOCHS, STEPS, BATCH = 3, 20, 32


def fit(
    first_ms: Sequence[int] = (700, 500, 500),
    wait_ms: int = 1,
    waits_by: WaitSource = WaitSource.GAP_TIMES,
) -> Loop:
    """Three epochs of 20 steps whose first steps wait long."""
    waits = [
        (first_ms[step // STEPS] if step % STEPS == 0 else wait_ms) * MS
        for step in range(EPOCHS * STEPS)
    ]
    return loop(
        steps=EPOCHS * STEPS, wait_ns=waits, compute_ns=9 * MS, epochs=EPOCHS, waits_by=waits_by
    )


def tf_stage(
    name: str,
    during: Loop,
    *,
    calls: int,
    work_ms: float,
    held: int = 0,
    per_step: int = BATCH,
    cost_us: int = 0,
    parent: int | None = None,
    parallelism: int | None = None,
    epochs: Sequence[int] = range(EPOCHS),
) -> Stage:
    """A stage that had done so much when each epoch's first batch had come, and the usual later."""
    begins = during.steps.start_ns[::STEPS].tolist()
    ends = during.steps.end_ns[::STEPS].tolist()
    starts = [(begins[e] + 1, ends[e], calls, round(work_ms * MS), held) for e in epochs]
    later = per_step * (STEPS - 1) * len(epochs)
    whole_us = later * cost_us + len(epochs) * work_ms * 1000
    return stage(
        name,
        StageKind.TF_DATA,
        cost_ns=round(whole_us * 1000 / during.step_count),
        calls=later + calls * len(epochs),
        cpu_ratio=None,
        during=during,
        location=DECODE if name == "decode" else None,
        parent=parent,
        lanes={},
        parallelism=parallelism,
        starts=starts,
    )


def starts_of(during: Loop, *stages: Stage) -> tuple[EpochStart, ...]:
    return epoch_starts(profile(loops=(during,), stages=stages), during)


def causes(starts: Sequence[EpochStart]) -> list[tuple[StartCause | None, str | None, int | None]]:
    return [(s.cause, s.stage.name if s.stage else None, s.elements) for s in starts]


def filled(during: Loop, epochs: Sequence[int] = range(EPOCHS)) -> tuple[Stage, ...]:
    return (
        tf_stage("batch", during, calls=1, work_ms=1, per_step=1, cost_us=1000),
        tf_stage("shuffle", during, calls=BATCH, work_ms=2, held=999, cost_us=5, parent=0),
        tf_stage(
            "decode",
            during,
            calls=999 + BATCH,
            work_ms=490,
            cost_us=475,
            parent=1,
            epochs=epochs,
        ),
    )


def test_a_shuffle_that_fills_is_why_each_epoch_begins_late() -> None:
    during = fit()
    starts = starts_of(during, *filled(during))
    assert causes(starts) == [(StartCause.FILL, "shuffle", 1000)] * EPOCHS
    assert starts[1].wait_ms == 500
    assert starts[1].usual_ms == 1
    assert starts[1].work_ms == pytest.approx(490 * 1000 / 1031)
    assert describe_starts(starts) == (
        "each epoch begins with 500 ms of waiting: shuffle fills with 1,000 elements"
    )


def test_a_shuffle_whose_whole_input_has_ended_is_named_without_its_work() -> None:
    during = fit()
    batch, shuffle, _ = filled(during)
    starts = starts_of(during, batch, shuffle)
    assert causes(starts) == [(StartCause.FILL, "shuffle", 999 + BATCH)] * EPOCHS
    assert starts[1].work_ms is None


def test_a_shuffle_that_filled_fast_once_is_no_cause_of_long_waits_elsewhere() -> None:
    during = fit(first_ms=(500, 500, 4))
    batch, shuffle, _ = filled(during)
    first, second, _ = starts_of(during, batch, shuffle)
    assert (first.cause, first.stage) == (StartCause.TRAINING, None)
    assert (second.cause, second.stage, second.elements) == (None, None, None)


def test_one_epoch_that_begins_far_later_than_the_others_is_reported() -> None:
    during = fit(first_ms=(500, 2000, 4))
    starts = starts_of(during, *filled(during)[:1])
    assert describe_starts(starts) == (
        "each epoch begins with 4.0 ms of waiting: TensorFlow itself starts the epoch; "
        "epoch 2 with 2.0 s"
    )


def test_a_shuffle_that_fills_at_once_is_no_cause_of_a_long_wait() -> None:
    during = fit()
    batch, shuffle, _ = filled(during)
    quick = tf_stage("decode", during, calls=999 + BATCH, work_ms=2, cost_us=2, parent=1)
    starts = starts_of(during, batch, shuffle, quick)
    assert causes(starts)[1:] == [(StartCause.FRAMEWORK, None, None)] * 2
    own = framework_starts(profile(loops=(during,)), during, starts)
    assert own.ratios[FrameworkWork.EPOCH_START] > 0.9


def test_nothing_is_explained_where_the_first_batch_comes_like_the_others() -> None:
    during = fit(first_ms=(40, 30, 30), wait_ms=29)
    starts = starts_of(during, *filled(during))
    assert causes(starts) == [(None, None, None)] * EPOCHS
    assert describe_starts(starts) == "each epoch begins with 30.0 ms of waiting"


def test_a_cache_that_is_written_makes_the_first_epoch_begin_late_only() -> None:
    during = fit(first_ms=(600, 20, 20))
    batch, shuffle, _ = filled(during)
    cache = tf_stage("cache", during, calls=999 + BATCH, work_ms=1, held=1031, parent=1)
    decode = tf_stage(
        "decode", during, calls=999 + BATCH, work_ms=490, cost_us=475, parent=2, epochs=(0,)
    )
    starts = starts_of(during, batch, shuffle, cache, decode)
    assert causes(starts)[0] == (StartCause.CACHE_WRITE, "cache", 1000)
    assert all(start.cause is not StartCause.CACHE_WRITE for start in starts[1:])
    assert str(describe_starts(starts)).endswith(
        "the first with 600 ms: cache is written, 1,000 elements before the first batch"
    )


def test_elements_that_are_skipped_are_why() -> None:
    during = fit()
    skip = tf_stage("skip", during, calls=BATCH, work_ms=0)
    decode = tf_stage("decode", during, calls=1000 + BATCH, work_ms=490, cost_us=475, parent=0)
    assert causes(starts_of(during, skip, decode))[1] == (StartCause.SKIP, "skip", 1000)


@pytest.mark.parametrize(
    ("inputs", "cause"), [(0, StartCause.OPENING), (1, StartCause.FIRST_CALLS)]
)
def test_a_stage_whose_first_elements_are_dear_is_why(inputs: int, cause: StartCause) -> None:
    during = fit()
    slow = tf_stage("decode", during, calls=BATCH, work_ms=480, cost_us=10)
    below = tf_stage("range", during, calls=BATCH, work_ms=0, parent=0)
    starts = starts_of(during, slow, *[below] * inputs)
    assert [s.cause for s in starts] == [cause] * EPOCHS
    assert starts[1].work_ms == pytest.approx(480, rel=0.01)
    # With two calls at once they last half as long: too short for such a wait.
    twice = tf_stage("decode", during, calls=BATCH, work_ms=380, cost_us=10, parallelism=2)
    assert starts_of(during, twice, *[below] * inputs)[1].cause is None
    twice = tf_stage("decode", during, calls=BATCH, work_ms=190, cost_us=10, parallelism=2)
    start = starts_of(during, twice, *[below] * inputs)[1]
    assert (start.cause, start.work_ms) == (StartCause.FRAMEWORK, pytest.approx(309, abs=1))
    # Python is not read as closely: what it does at first may well be the user's.
    python = tf_stage("from_generator", during, calls=BATCH, work_ms=0)
    assert starts_of(during, twice, python)[1].cause is None


def test_arrays_have_nothing_to_wait_for_where_epochs_begin() -> None:
    arrays = Input(kind=InputKind.ARRAYS, name="ndarray")
    fed = loop(steps=20, epochs=2, wait_ns=[500 * MS, *[0] * 9] * 2, fed_by=arrays)
    found = analyse(profile(loops=(fed,)))
    assert found.main is not None
    assert found.main.account.ns(Part.WAIT, Part.EPOCH_START) == 0
    assert found.main.account.ns(Part.BETWEEN_EPOCHS) == 1000 * MS
    assert found.main.diagnosis.host[0].name is FrameworkWork.EPOCH_START
    assert [each.account.ns(Part.BETWEEN_EPOCHS) for each in found.main.epochs] == [500 * MS] * 2


def test_what_the_very_first_step_waits_may_be_the_training_that_starts() -> None:
    during = fit(first_ms=(900, 1, 1))
    [first, *later] = starts_of(during)
    assert first.cause is StartCause.TRAINING
    assert [start.cause for start in later] == [None, None]
    # Not where each fetch was timed by itself.
    timed = fit(first_ms=(900, 1, 1), waits_by=WaitSource.ITERATOR)
    assert starts_of(timed)[0].cause is None


def test_what_ended_before_the_first_batch_is_taken_to_have_gone_on_at_its_pace() -> None:
    during = fit()
    batch, shuffle, decode = filled(during)
    early = decode.starts.copy()
    early[:, 1] -= 100 * MS  # read while a third of the elements had been made
    early[:, 2], early[:, 3] = 344, 163 * MS
    starts = starts_of(during, batch, shuffle, replace(decode, starts=early))
    assert causes(starts) == [(StartCause.FILL, "shuffle", 999 + BATCH)] * EPOCHS
    assert starts[1].work_ms == pytest.approx(163 * 1031 / 344)


def ended(during: Loop, lasted_ms: int, lane: int = 0, before_ms: int = 0) -> IntArray:
    """Ends of iterators, each beginning with an epoch's first step or so long before it."""
    begins = during.steps.start_ns[STEPS::STEPS] - before_ms * MS
    return np.column_stack([begins, begins + lasted_ms * MS, np.full(len(begins), lane)])


def test_the_iterator_of_the_epoch_before_is_destroyed_first() -> None:
    taken = replace(fit(), lane=0)
    found = epoch_starts(profile(loops=(taken,), iterator_ends=ended(taken, 450)), taken)
    assert [(start.cause, start.ended_ms) for start in found[1:]] == [
        (StartCause.ITERATOR_END, 450.0)
    ] * 2
    assert found[0].cause is not StartCause.ITERATOR_END
    assert describe_starts(found) == (
        "each epoch begins with 500 ms of waiting: the iterator of the epoch before takes 450 ms to end"
    )


def input_ratio(taken: Loop, ends: IntArray, *stages: Stage) -> float:
    """The part of all waits at later epoch starts that is not TensorFlow's own."""
    recorded = profile(loops=(taken,), stages=stages, iterator_ends=ends)
    found = epoch_starts(recorded, taken)
    starts = framework_starts(recorded, taken, found)
    second, third = (1.0 - starts.of(epoch)[FrameworkWork.ITERATOR_END] for epoch in (1, 2))
    assert (
        second == third == pytest.approx(1.0 - starts.ratios[FrameworkWork.ITERATOR_END], abs=0.01)
    )
    return second


def test_the_end_of_an_iterator_is_tensorflows_own_work() -> None:
    taken = replace(fit((1, 500, 500)), lane=0)
    ends = ended(taken, 450)
    assert input_ratio(taken, ends) == pytest.approx(0.1)
    found = analyse(profile(loops=(taken,), iterator_ends=ends)).main
    assert found is not None
    own = [row.ns for row in found.account.rows if row.name is FrameworkWork.ITERATOR_END]
    assert own == [900 * MS]
    assert found.account.ns(Part.EPOCH_START) == 101 * MS
    assert found.epochs[0].account.ns(Part.BETWEEN_EPOCHS) == 0


def test_not_the_part_in_which_a_generator_is_closed_or_a_call_returns() -> None:
    taken = replace(fit((1, 500, 500)), lane=0)
    ends = ended(taken, 450)
    closes = np.concatenate([ends, ended(taken, 400, lane=1)])
    assert input_ratio(taken, closes) == pytest.approx(0.9)
    slow = tf_stage("decode", taken, calls=1, work_ms=300, per_step=1, cost_us=300_000)
    assert input_ratio(taken, ends, slow) == pytest.approx(0.7, abs=0.01)
    # Calls that a cache saves do not have to return.
    cached = tf_stage("cache", taken, calls=1, work_ms=0, per_step=1)
    only_first = tf_stage(
        "decode", taken, calls=1, work_ms=300, per_step=1, cost_us=300_000, parent=0, epochs=(0,)
    )
    found = epoch_starts(
        profile(loops=(taken,), stages=(cached, only_first), iterator_ends=ends), taken
    )
    assert [round(start.framework_ms) for start in found[1:]] == [150, 450]


@pytest.mark.parametrize("kind", [LoopKind.CUSTOM, LoopKind.FIT])
def test_between_steps_it_is_what_passes_between_epochs(kind: LoopKind) -> None:
    taken = loop(kind, steps=40, wait_ns=MS, epochs=2, pause_ns=500 * MS, lane=0)
    begin = int(taken.steps.end_ns[19]) + MS
    ends = np.array([(begin, begin + 450 * MS, 0), (begin, begin + 150 * MS, 1)])
    for rows, own_ms in ((ends[:1], 450), (ends, 300)):
        found = analyse(profile(loops=(taken,), iterator_ends=rows)).main
        assert found is not None
        between = [row for row in found.account.rows if row.part is Part.BETWEEN_EPOCHS]
        own = [row.ns for row in between if row.name is FrameworkWork.ITERATOR_END]
        assert own == [own_ms * MS]
        assert sum(row.ns for row in between) == 500 * MS
    inside = np.array([(begin - 5 * MS, begin + MS, 0)])
    found = analyse(profile(loops=(taken,), iterator_ends=inside)).main
    assert found is not None
    assert FrameworkWork.ITERATOR_END not in {row.name for row in found.account.rows}


@pytest.mark.parametrize(
    ("lane", "returned_ms", "own_ms"), [(0, 310, []), (0, -1, [300]), (1, 310, [300])]
)
def test_it_is_of_the_innermost_call_that_runs(
    lane: int, returned_ms: int, own_ms: list[int]
) -> None:
    """A validation's own iterator ends before it returns; after that, it is the training's that ends."""
    taken = loop(steps=40, wait_ns=MS, epochs=2, pause_ns=500 * MS, lane=0)
    begin = int(taken.steps.end_ns[19]) + 100 * MS
    ends = np.array([(begin, begin + 300 * MS, 0)])
    evaluates = loop(LoopKind.EVALUATE, steps=4, wait_ns=MS, start_ns=begin - 50 * MS, parent=0)
    called = np.array([(begin - 50 * MS, begin + returned_ms * MS, 0)])
    beside = replace(evaluates, lane=lane, account=replace(evaluates.account, passes=called))
    found = analyse(profile(loops=(taken, beside), iterator_ends=ends)).main
    assert found is not None
    rows = [row for row in found.account.rows if row.name is FrameworkWork.ITERATOR_END]
    assert [row.ns for row in rows] == [each * MS for each in own_ms]


@pytest.mark.parametrize(("lane", "own"), [(0, []), (1, [300 * MS])])
def test_between_hand_written_loops_it_is_of_the_one_that_stepped_last(
    lane: int, own: list[int]
) -> None:
    taken = loop(LoopKind.CUSTOM, steps=40, wait_ns=MS, epochs=2, pause_ns=500 * MS, lane=0)
    begin = int(taken.steps.end_ns[19]) + 100 * MS
    ends = np.array([(begin, begin + 300 * MS, 0)])
    tests = loop(LoopKind.CUSTOM, steps=4, wait_ns=MS, start_ns=begin - 50 * MS)
    beside = replace(tests, lane=lane)
    found = analyse(profile(loops=(taken, beside), iterator_ends=ends)).main
    assert found is not None
    rows = [row for row in found.account.rows if row.name is FrameworkWork.ITERATOR_END]
    assert [row.ns for row in rows] == own


def test_among_steps_that_were_not_kept_nobody_knows_where_it_was() -> None:
    taken = loop(steps=40, wait_ns=MS, epochs=2, pause_ns=500 * MS, lane=0)
    begin = int(taken.steps.end_ns[19]) + 100 * MS
    ends = np.array([(begin, begin + 300 * MS, 0)])
    kept = cut_short(taken, 15, 15)
    found = analyse(profile(loops=(kept,), iterator_ends=ends)).main
    assert found is not None
    assert FrameworkWork.ITERATOR_END not in {row.name for row in found.account.rows}


def test_after_the_last_step_it_is_what_passes_at_the_end() -> None:
    taken = loop(steps=40, wait_ns=MS, epochs=2, lane=0)
    last = taken.end_ns
    account = replace(
        taken.account,
        pass_count=1,
        start_ns=taken.start_ns,
        end_ns=last + 4000 * MS,
        pass_ns=(last + 4000 * MS - taken.start_ns, 0, 0, 0),
    )
    ends = np.array([(last + MS, last + 3901 * MS, 0)])
    found = analyse(profile(loops=(replace(taken, account=account),), iterator_ends=ends)).main
    assert found is not None
    at_end = {row.name: row.ns for row in found.account.rows if row.part is Part.SHUTDOWN}
    assert at_end == {FrameworkWork.ITERATOR_END: 3900 * MS, None: 100 * MS}


def test_an_iterator_that_ended_in_another_thread_held_up_nobody() -> None:
    taken = replace(fit(), lane=0)
    found = epoch_starts(profile(loops=(taken,), iterator_ends=ended(taken, 450, lane=1)), taken)
    assert {start.ended_ms for start in found} == {0.0}
    assert all(start.cause is not StartCause.ITERATOR_END for start in found)


def test_what_an_iterator_took_to_end_before_the_wait_does_not_explain_it() -> None:
    taken = replace(fit(), lane=0)
    recorded = profile(loops=(taken,), iterator_ends=ended(taken, 150, before_ms=100))
    found = epoch_starts(recorded, taken)
    assert [start.ended_ms for start in found[1:]] == [50.0, 50.0]
    assert all(start.cause is not StartCause.ITERATOR_END for start in found)


def test_a_stage_that_took_longer_than_the_iterators_end_is_the_cause() -> None:
    taken = replace(fit(), lane=0)
    opens = tf_stage("read", taken, calls=1, work_ms=300.0)
    recorded = profile(loops=(taken,), stages=(opens,), iterator_ends=ended(taken, 210))
    causes = {start.cause for start in epoch_starts(recorded, taken)[1:]}
    assert len(causes) == 1
    assert causes <= {StartCause.OPENING, StartCause.FIRST_CALLS}
