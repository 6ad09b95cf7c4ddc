"""A summary is small, has exact steps of a short loop, and blocks of a long one."""

from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.rank_summary import (
    FIRST_STEPS,
    LAST_STEPS,
    MOST_BLOCKS,
    is_sound,
)
from pipeprof.analysis.ranks.summarising import block_steps, step_series, summarise
from tests import builders, ranks
from tests.builders import MS


@pytest.mark.parametrize(
    ("steps", "width"), [(0, 1), (1, 1), (256, 1), (257, 2), (100_000, 512), (2**30, 2**22)]
)
def test_blocks_grow_with_the_loop(steps: int, width: int):
    assert block_steps(steps) == width


def test_the_steps_of_a_short_loop_are_exact():
    loop = builders.loop(steps=50, wait_ns=[n * MS for n in range(1, 51)], compute_ns=5 * MS)
    series = step_series(loop, 7)
    assert series.steps[:, 0].tolist() == list(range(50))
    assert series.steps[:, 1].tolist() == (loop.steps.end_ns + 7).tolist()
    assert series.block_steps == 1
    assert series.blocks[:, 0].tolist() == [1] * 50
    assert series.blocks[:, 4].tolist() == [n * MS for n in range(1, 51)]


def test_a_long_loop_keeps_its_first_and_last_steps_and_blocks_of_all():
    waits = [(10 if step < 4000 else 30) * MS for step in range(8000)]
    whole = builders.loop(steps=8000, wait_ns=waits, compute_ns=5 * MS)
    series = step_series(builders.cut_short(whole, 2048, 2048), 0)
    assert len(series.steps) == FIRST_STEPS + LAST_STEPS
    assert series.steps[-1, 0] == 7999
    assert len(series.blocks) <= MOST_BLOCKS
    assert series.blocks[:, 0].sum() == 8000
    mean_ms = series.blocks[:, 4] / series.blocks[:, 2] / MS
    assert mean_ms[10] == pytest.approx(10, rel=0.1)
    assert mean_ms[-10] == pytest.approx(30, rel=0.1)


def test_callbacks_of_a_short_loop_are_in_its_blocks():
    loop = builders.loop(steps=50, callback_ns=2 * MS)
    assert step_series(loop, 0).blocks[:, 5].sum() == pytest.approx(100 * MS, rel=0.05)


def test_a_summary_says_what_its_rank_is_and_had():
    (profile, _) = ranks.in_lock_step(ranks.waits(2, 30))
    summary = summarise(analyse(ranks.with_stage(profile, 5, calls=3)))
    assert summary.rank == ranks.rank_of(0, 2)
    assert (summary.host, summary.steps, summary.finished) == ("host-0", 100, True)
    assert [stage.name for stage in summary.stages] == ["load_crop"]
    assert summary.facts.script == "train.py"
    assert sum(summary.account_ns.values()) == pytest.approx(
        profile.run.end_ns - profile.run.start_ns, rel=0.01
    )


def test_a_process_that_did_not_train_has_a_summary_too():
    summary = summarise(analyse(builders.profile(loops=())))
    assert (summary.steps, summary.series, summary.step_ms) == (0, None, None)
    assert is_sound(summary)


@pytest.mark.parametrize("width", [0, -1, 3, 2**60])
def test_blocks_that_cannot_be_are_not_sound(width: int):
    (profile, _) = ranks.in_lock_step(ranks.waits(2, 30))
    summary = summarise(analyse(profile))
    assert is_sound(summary)
    assert summary.series is not None
    assert not is_sound(replace(summary, series=replace(summary.series, block_steps=width)))


def test_steps_out_of_order_are_not_sound():
    (profile, _) = ranks.in_lock_step(ranks.waits(2, 30))
    summary = summarise(analyse(profile))
    assert summary.series is not None
    mixed = np.flip(summary.series.steps, axis=0)
    assert not is_sound(replace(summary, series=replace(summary.series, steps=mixed)))
