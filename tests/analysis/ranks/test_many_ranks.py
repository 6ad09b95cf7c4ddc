"""The verdict on processes that train together, each planted with its opposite."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.rank_findings import (
    ClocksApart,
    HostAspect,
    LateStart,
    OtherFact,
    OtherTraining,
    RankDied,
    RanksMissing,
    RanksRunning,
    RankTwice,
    StragglerCause,
    Synchrony,
    UnevenShards,
    Unnumbered,
)
from pipeprof.analysis.findings.rank_summary import RankRecord
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.ranks.many_ranks import analyse_ranks
from pipeprof.analysis.ranks.summarising import summarise
from tests import ranks
from tests.builders import SECOND, those


def test_the_rank_whose_input_is_slow_makes_the_others_wait():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(2, 2, 2, 30, 2, 2, 2, 2)))
    verdict = found.verdict
    assert verdict.synchrony is Synchrony.LOCK_STEP
    assert verdict.bound is Bound.INPUT
    assert [late.rank for late in verdict.stragglers] == [3]
    assert verdict.others_wait_ms == pytest.approx(28, abs=2)
    assert verdict.step_ms == pytest.approx(40, abs=2)
    assert verdict.without_ms == pytest.approx(12, abs=2)
    assert verdict.stragglers[0].last_ratio > 0.99
    assert found.shown == 3
    # By itself each of the others looks bound by computing.
    assert found.ranks[0].summary.bound is not Bound.INPUT
    assert found.ranks[0].held_ms == pytest.approx(28, abs=2)
    assert found.ranks[3].held_ms == pytest.approx(0, abs=1)


def test_no_rank_is_blamed_where_all_inputs_are_alike():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(20, 20, 20, 20, jitter=0.02)))
    assert found.verdict.synchrony is Synchrony.LOCK_STEP
    assert found.verdict.bound is Bound.INPUT
    assert not found.verdict.stragglers
    assert not found.verdict.in_turn_ms


def test_where_no_rank_waits_for_data_the_run_is_bound_by_computing():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(0.1, 0.1, 0.1, 0.1)))
    assert found.verdict.bound is Bound.COMPUTE
    assert not found.verdict.stragglers


def test_of_two_ranks_the_slow_one_is_named():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(25, 1)))
    assert [late.rank for late in found.verdict.stragglers] == [0]


def test_what_others_wait_inside_their_own_code_is_no_bound_of_the_run():
    records = [
        RankRecord(summary=summarise(analyse(each)))
        for each in ranks.in_lock_step(ranks.waits(2, 2, 30))
    ]
    others = [replace(each, summary=replace(each.summary, host_ratio=0.9)) for each in records[:2]]
    assert analyse_ranks([*others, records[2]]).verdict.bound is Bound.INPUT
    # Where none is late, one that is busy with its own code bounds all.
    alike = [
        RankRecord(summary=replace(summarise(analyse(each)), host_ratio=0.9))
        for each in ranks.in_lock_step(ranks.waits(2, 2, 2))
    ]
    assert analyse_ranks(alike).verdict.bound is Bound.HOST


def test_two_slow_ranks_are_both_named_worst_first():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(2, 25, 2, 2, 30, 2)))
    assert [late.rank for late in found.verdict.stragglers] == [4, 1]
    assert found.verdict.without_ms == pytest.approx(12.3, abs=1.5)


def test_a_rank_that_is_much_less_late_than_the_worst_is_not_named():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(2, 5, 2, 2, 40, 2)))
    assert [late.rank for late in found.verdict.stragglers] == [4]


def test_where_most_ranks_are_slow_none_of_them_is_a_straggler():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(30, 30, 30, 2, jitter=0.02)))
    assert not found.verdict.stragglers
    assert found.verdict.bound is Bound.INPUT


def test_ranks_that_are_slow_in_turn_make_all_wait():
    steps = np.arange(100)
    in_turn = np.full((4, 100), 1.0)
    in_turn[steps % 4, steps] = 40.0
    found = ranks.of_profiles(ranks.in_lock_step(in_turn))
    assert not found.verdict.stragglers
    assert found.verdict.in_turn_ms == pytest.approx(40 - (40 + 3) / 4, abs=2)
    assert found.verdict.bound is Bound.INPUT


def test_ranks_at_their_own_pace_are_not_said_to_wait_for_each_other():
    found = ranks.of_profiles(ranks.at_own_pace(ranks.waits(2, 2, 30, 2)))
    assert found.verdict.synchrony is Synchrony.FREE
    assert found.verdict.slowest == 2
    assert found.verdict.others_wait_ms == 0
    assert found.ranks[0].held_ms is None
    assert found.shown == 2


def test_of_ranks_at_one_pace_none_is_the_slowest():
    found = ranks.of_profiles(ranks.at_own_pace(ranks.waits(5, 5, 5, 5)))
    assert found.verdict.slowest is None
    assert not found.verdict.stragglers


def test_where_all_wait_as_they_ask_for_a_batch_the_rank_whose_input_works_is_named():
    profiles = ranks.in_lock_step(ranks.waits(12, 12, 12, 12, jitter=0.02))
    profiles = [ranks.with_stage(each, 1) for each in profiles]
    profiles[2] = ranks.with_stage(profiles[2], 15)
    found = ranks.of_profiles(profiles)
    assert found.verdict.waits_shared
    assert [late.rank for late in found.verdict.stragglers] == [2]
    assert found.verdict.others_wait_ms == pytest.approx(11, abs=1)
    assert found.ranks[0].held_ms == pytest.approx(11, abs=1)
    assert found.ranks[0].wait_ms == pytest.approx(12, abs=1)


def test_where_all_inputs_work_alike_no_rank_is_named():
    profiles = [
        ranks.with_stage(each, 14)
        for each in ranks.in_lock_step(ranks.waits(12, 12, 12, 12, jitter=0.02))
    ]
    assert not ranks.of_profiles(profiles).verdict.stragglers


def test_where_no_input_explains_the_waits_no_rank_is_named():
    profiles = ranks.in_lock_step(ranks.waits(12, 12, 12, 12, jitter=0.02))
    profiles = [ranks.with_stage(each, 0.5) for each in profiles]
    profiles[2] = ranks.with_stage(profiles[2], 5)
    assert not ranks.of_profiles(profiles).verdict.stragglers


def test_clocks_that_are_apart_change_nothing_and_are_named():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30, 2))
    profiles[1] = ranks.with_clock(profiles[1], 7.5)
    found = ranks.of_profiles(profiles)
    assert [late.rank for late in found.verdict.stragglers] == [2]
    (apart,) = those(ClocksApart, found.problems)
    assert apart.host == "host-1"
    assert apart.ahead_ms == pytest.approx(7500, abs=1)
    assert not those(ClocksApart, ranks.of_profiles(ranks.in_lock_step(ranks.waits(2, 2))).problems)


def test_a_rank_that_died_leaves_what_it_had():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30, 2))
    profiles[1] = ranks.cut_off(profiles[1], 40)
    found = ranks.of_profiles(profiles)
    assert those(RankDied, found.problems) == [RankDied(rank=1, step=40, ended_by=None, error=None)]
    assert [late.rank for late in found.verdict.stragglers] == [2]
    assert found.ranks[1].summary.steps == 40


def test_a_rank_that_is_still_recorded_did_not_die():
    profiles = ranks.in_lock_step(ranks.waits(2, 2))
    profiles[1] = ranks.cut_off(profiles[1], 40)
    found = ranks.of_profiles(profiles, running={1: True})
    assert not those(RankDied, found.problems)
    assert those(RanksRunning, found.problems) == [RanksRunning(ranks=(1,))]


def test_ranks_without_a_recording_are_named():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30, 2))
    found = ranks.of_profiles([profiles[0], profiles[2]])
    assert those(RanksMissing, found.problems) == [RanksMissing(ranks=(1, 3), size=4)]
    assert [late.rank for late in found.verdict.stragglers] == [2]
    assert not those(RanksMissing, ranks.of_profiles(profiles).problems)


def test_of_one_rank_twice_the_longer_recording_is_used():
    profiles = ranks.in_lock_step(ranks.waits(2, 30))
    found = ranks.of_profiles([ranks.cut_off(profiles[1], 30), *profiles])
    assert those(RankTwice, found.problems) == [RankTwice(rank=1, recordings=2)]
    assert found.ranks[1].summary.steps == 100


@pytest.mark.parametrize(
    ("changes", "fact"),
    [({"argv": ("/other/eval.py",)}, OtherFact.CODE)],
)
def test_a_recording_of_other_code_is_left_out(changes: dict[str, object], fact: OtherFact):
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30))
    profiles[0] = ranks.with_info(profiles[0], **changes)
    found = ranks.of_profiles(profiles)
    (other,) = those(OtherTraining, found.problems)
    assert (other.ranks, other.fact) == ((0,), fact)
    assert not those(RanksMissing, found.problems)
    assert [each.number for each in found.ranks] == [1, 2]


def test_the_folder_and_the_arguments_of_a_script_are_no_other_code():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30))
    profiles[0] = ranks.with_info(profiles[0], argv=("/mnt/b/train.py", "--rank", "0"))
    assert not those(OtherTraining, ranks.of_profiles(profiles).problems)


def test_other_data_are_another_training():
    profiles = [
        replace(each, deliveries=(ranks.builders.signature((32, 100)),))
        for each in ranks.in_lock_step(ranks.waits(2, 2, 30))
    ]
    assert not those(OtherTraining, ranks.of_profiles(profiles).problems)
    profiles[2] = replace(profiles[2], deliveries=(ranks.builders.signature((32, 7)),))
    (other,) = those(OtherTraining, ranks.of_profiles(profiles).problems)
    assert (other.ranks, other.fact) == ((2,), OtherFact.DATA)


def test_a_recording_from_after_the_others_is_another_training():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30))
    later = _begun_later(profiles[1], 4_000)
    (other,) = those(OtherTraining, ranks.of_profiles([profiles[0], later, profiles[2]]).problems)
    assert (other.ranks, other.fact) == ((1,), OtherFact.TIME)
    # A clock that is ahead by as much moves nothing.
    ahead = ranks.with_clock(profiles[1], 4_000)
    found = ranks.of_profiles([profiles[0], ahead, profiles[2]])
    assert not those(OtherTraining, found.problems)


def test_a_rank_that_began_late_is_named():
    profiles = [
        ranks.with_info(each, end_ns=each.run.end_ns + 5_000 * SECOND)
        for each in ranks.at_own_pace(ranks.waits(2, 2))
    ]
    assert not those(LateStart, ranks.of_profiles(profiles).problems)
    late = _begun_later(profiles[1], 3_600)
    (problem,) = those(LateStart, ranks.of_profiles([profiles[0], late]).problems)
    assert (problem.rank, round(problem.late_s)) == (1, 3_600)


def _begun_later(profile: ranks.Profile, late_s: float) -> ranks.Profile:
    moved = ranks.with_clock(profile, late_s)
    assert moved.run.machine is not None
    return ranks.with_info(moved, machine=replace(moved.run.machine, clock_ahead_ns=0))


def test_processes_without_ranks_are_numbered():
    profiles = [ranks.with_info(each, rank=None) for each in ranks.in_lock_step(ranks.waits(2, 30))]
    found = ranks.of_profiles(profiles)
    assert those(Unnumbered, found.problems) == [Unnumbered(count=2)]
    assert [late.rank for late in found.verdict.stragglers] == [1]


def test_ranks_with_more_steps_have_uneven_shards():
    profiles = ranks.at_own_pace(ranks.waits(2, 2))
    short = ranks.cut_off(profiles[0], 60)
    finished = ranks.with_info(short, complete=True)
    (uneven,) = those(UnevenShards, ranks.of_profiles([finished, profiles[1]]).problems)
    assert (uneven.fewest, uneven.fewest_count, uneven.most, uneven.most_count) == (0, 60, 1, 100)
    # One that died has fewer steps for another reason.
    assert not those(UnevenShards, ranks.of_profiles([short, profiles[1]]).problems)


def test_machines_that_differ_are_compared_with_most():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 2))
    assert not ranks.of_profiles(profiles).differences
    profiles[1] = ranks.with_cores(profiles[1], 1)
    profiles[2] = ranks.with_info(profiles[2], versions={"tensorflow": "2.20.0"})
    found = {(each.aspect, each.name): each for each in ranks.of_profiles(profiles).differences}
    assert found[HostAspect.CORES, ""].values == ((1.0, (1,)),)
    assert found[HostAspect.VERSION, "tensorflow"].usual == "2.21.0"


def _with_stages(costs_ms: list[float], **arguments: object) -> list[ranks.Profile]:
    """Ranks whose load_crop takes so long; all that is not given is alike."""
    profiles = ranks.in_lock_step(ranks.waits(*(max(cost - 10, 0.5) for cost in costs_ms)))
    return [
        ranks.with_stage(each, cost, **arguments)  # type: ignore[arg-type]
        for each, cost in zip(profiles, costs_ms, strict=True)
    ]


def _cause(profiles: list[ranks.Profile]) -> StragglerCause:
    (late,) = ranks.of_profiles(profiles).verdict.stragglers
    assert late.rank == 2
    assert late.stage is not None
    assert late.stage.name == "load_crop"
    return late.cause


def test_a_stage_that_waits_longer_for_the_same_work_has_slow_storage():
    profiles = _with_stages([12, 12, 41, 12])
    profiles[2] = ranks.with_stage(profiles[2], 41, cpu_ratio=0.1 * 12 / 41)
    found = ranks.of_profiles(profiles).verdict.stragglers[0]
    assert _cause(profiles) is StragglerCause.SLOW_STORAGE
    assert found.usual_stage is not None
    assert found.usual_stage.cost_ms == pytest.approx(12, abs=0.5)


def test_a_stage_with_more_elements_has_more_data():
    profiles = _with_stages([12, 12, 41, 12], calls=4)
    profiles[2] = ranks.with_stage(profiles[2], 41, calls=14)
    assert _cause(profiles) is StragglerCause.MORE_DATA


def test_a_stage_that_computes_longer_has_more_work():
    profiles = _with_stages([12, 12, 41, 12], cpu_ratio=1.0)
    assert _cause(profiles) is StragglerCause.MORE_CPU_WORK


def test_a_stage_that_computes_on_fewer_cores_waits_for_them():
    profiles = [ranks.with_cores(each, 8) for each in _with_stages([12, 12, 41, 12], cpu_ratio=0.9)]
    slow = ranks.with_stage(profiles[2], 41, cpu_ratio=0.9 * 12 / 41)
    profiles[2] = ranks.with_cores(slow, 2)
    assert _cause(profiles) is StragglerCause.FEWER_CORES


def test_what_cannot_be_compared_has_no_cause():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30, 2))
    (late,) = ranks.of_profiles(profiles).verdict.stragglers
    assert late.cause is StragglerCause.UNKNOWN


@given(order=st.permutations(range(6)), slow=st.integers(0, 5))
def test_the_verdict_does_not_depend_on_the_order_of_files(order: list[int], slow: int):
    means = [2.0] * 6
    means[slow] = 30.0
    records = _records(tuple(means))
    found = analyse_ranks([records[place] for place in order])
    assert [late.rank for late in found.verdict.stragglers] == [slow]
    assert found.verdict == analyse_ranks(records).verdict
    assert [each.number for each in found.ranks] == list(range(6))


@cache
def _records(means: tuple[float, ...]) -> tuple[RankRecord, ...]:
    return tuple(
        RankRecord(summary=summarise(analyse(each)))
        for each in ranks.in_lock_step(ranks.waits(*means))
    )
