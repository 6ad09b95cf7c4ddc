"""Ranks that share a terminal: each writes its state, and the first of them shows all."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.recent import LiveState, Recent
from pipeprof.cli.live import RanksHere
from pipeprof.runs.shared_folder import rank_folder
from pipeprof.surfaces.texts.live_view import live_lines
from tests import builders, ranks

LATELY = Recent(step_ms=12.9, wait_ms=8.4, compute_ms=4.5, cores={})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for number in range(3):
        rank_folder(tmp_path, number).mkdir()
    return tmp_path


def _profiles() -> list[ranks.Profile]:
    """Three ranks on one machine."""
    return [
        ranks.with_info(each, hosts=("one",)) for each in ranks.in_lock_step(ranks.waits(2, 30, 2))
    ]


def test_each_rank_sees_those_on_its_terminal(run: Path):
    here, there = RanksHere("/dev/pts/1"), RanksHere("/dev/pts/2")
    first, second, third = _profiles()
    assert [each.rank for each in here.exchange(first, LATELY, run)] == [0]
    assert [each.rank for each in there.exchange(third, LATELY, run)] == [2]
    assert [each.rank for each in RanksHere("/dev/pts/1").exchange(second, LATELY, run)] == [0, 1]
    here.leave()
    assert [each.rank for each in RanksHere("/dev/pts/1").exchange(second, LATELY, run)] == [1]


def test_a_rank_on_another_machine_is_not_here(run: Path):
    first, second, _ = _profiles()
    RanksHere("").exchange(first, LATELY, run)
    other = ranks.with_info(second, hosts=("two",))
    assert [each.rank for each in RanksHere("").exchange(other, LATELY, run)] == [1]


def test_a_process_that_trains_alone_writes_nothing(run: Path):
    alone = ranks.with_info(_profiles()[0], rank=None)
    assert RanksHere("").exchange(alone, LATELY, run) == ()
    assert not list(run.glob("*/live.json"))


def test_the_ranks_are_a_line_of_the_view_longest_wait_first():
    state = LiveState(
        rank=0, host="one", terminal="", at_unix_ns=0, steps=9, step_ms=31.9, wait_ms=2.1
    )
    states = [state, replace(state, rank=1, wait_ms=30.1), replace(state, rank=2, step_ms=None)]
    lines = live_lines(analyse(builders.profile()), LATELY, 100, states)
    assert lines[3] == (
        " 3 ranks here   1: step 31.9 ms, wait 30.1   0: step 31.9 ms, wait 2.1   2: no step"
    )
