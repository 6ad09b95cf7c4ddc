"""Ranks in words: names of many ranks, verdicts, and one sentence for each problem."""

import pytest

from pipeprof.analysis.findings.rank_findings import (
    ClocksApart,
    LateStart,
    OtherFact,
    OtherTraining,
    RankDied,
    RankProblem,
    RanksEmpty,
    RanksMissing,
    RanksRunning,
    RankTwice,
    UnevenShards,
    Unnumbered,
    Unreadable,
)
from pipeprof.report.many_hosts.ranks_text import (
    MOST_ROWS,
    chosen_ranks,
    host_lines,
    name_ranks,
    problem_sentence,
    reasons_of_run,
    run_verdict,
)
from tests import ranks


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ([3], "rank 3"),
        ([1, 0], "ranks 0 to 1"),
        ([7, 0, 1, 2, 3], "ranks 0 to 3 and 7"),
        ([1, 5, 9], "ranks 1, 5 and 9"),
        (list(range(0, 40, 2)), "ranks 0, 2, 4, 6, 8, 10 and 14 more"),
    ],
)
def test_many_ranks_are_named_in_few_words(numbers: list[int], named: str):
    assert name_ranks(numbers) == named


def _slow_disk() -> list[ranks.Profile]:
    profiles = ranks.in_lock_step(ranks.waits(*[2] * 3, 31, *[2] * 4))
    costs = [12] * 3 + [41] + [12] * 4
    return [
        ranks.with_stage(each, cost, cpu_ratio=1.2 / cost)
        for each, cost in zip(profiles, costs, strict=True)
    ]


def test_the_verdict_names_the_rank_and_what_the_others_wait():
    found = ranks.of_profiles(_slow_disk())
    first, *_ = run_verdict(found)
    assert first == (
        "by rank 3: its load_crop (train.py:41) takes 41.0 ms where others take 12.0; "
        f"the other 7 ranks wait {found.verdict.others_wait_ms:.1f} ms a step for it"
    )
    cause, together = reasons_of_run(found)
    assert cause == (
        "Rank 3 (host-3) waits there longer for files, network or sleep: its CPU time is 1.2 ms a "
        "step, that of the others 1.2 ms. A slow disk or a slow path to the data does that."
    )
    assert together.startswith("All steps end together")


def test_where_no_rank_is_slow_none_is_named():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(20, 20, 20, jitter=0.02)))
    assert run_verdict(found)[0].startswith("no rank makes the others wait")
    assert reasons_of_run(found) == []


def test_of_one_rank_alone_nothing_is_said_about_the_others():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(2, 30))[:1])
    assert run_verdict(found) == [
        "of one rank alone it cannot be seen whether the others wait for it"
    ]


def test_ranks_at_their_own_pace_have_a_slowest():
    first, *rest = run_verdict(ranks.of_profiles(ranks.at_own_pace(ranks.waits(2, 2, 30, 2))))
    assert first.startswith("rank 2 is the slowest: ")
    assert any("each goes at its own pace" in line for line in rest)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (RanksMissing(ranks=(1, 2), size=4), "no recording of ranks 1 to 2 of 4"),
        (RankTwice(rank=1, recordings=2), "2 recordings of rank 1"),
        (RankDied(rank=1, step=40, ended_by="SIGTERM", error=None), "after 40 steps by SIGTERM"),
        (RankDied(rank=1, step=1, ended_by=None, error="Bad: x"), "after 1 step: Bad: x"),
        (RanksRunning(ranks=(1,)), "Rank 1 is still being recorded"),
        (
            OtherTraining(ranks=(1,), fact=OtherFact.MODEL, value="a 1", usual="a 2"),
            "Rank 1 trained with other model (a 1, not a 2)",
        ),
        (
            OtherTraining(ranks=(0, 1), fact=OtherFact.TIME, value="90", usual=""),
            "Ranks 0 to 1 began 90 s after the others had ended",
        ),
        (
            OtherTraining(ranks=(1,), fact=OtherFact.JOB, value="a", usual="b"),
            "Rank 1 ran in another job",
        ),
        (LateStart(rank=1, late_s=3600.0), "Rank 1 began 3600 s after the first one."),
        (ClocksApart(host="b", ahead_ms=-250.0), "The clock of b is 250 ms behind the others"),
        (RanksEmpty(ranks=(1, 4)), "The folders of ranks 1 and 4 are empty"),
        (Unreadable(name="x", reason="expected y."), "x cannot be read: expected y."),
        (Unnumbered(count=2), "No launcher gave these 2 processes ranks"),
        (
            UnevenShards(fewest=0, fewest_count=60, most=1, most_count=100, of_samples=False),
            "rank 1 had 100 steps, rank 0 60.",
        ),
    ],
)
def test_each_problem_is_a_sentence(problem: RankProblem, text: str):
    assert text in problem_sentence(problem)


def test_of_many_ranks_those_are_shown_that_stand_for_all():
    found = ranks.of_profiles(ranks.in_lock_step(ranks.waits(*[2] * 20, 30, *[2] * 20)))
    rows = chosen_ranks(found)
    assert len(rows) <= MOST_ROWS
    assert [remark for remark, each in rows if each.number == 20] == ["straggler"]
    few = ranks.of_profiles(ranks.in_lock_step(ranks.waits(2, 2, 30)))
    assert [each.number for _, each in chosen_ranks(few)] == [0, 1, 2]


def test_machines_that_differ_are_a_line():
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 2))
    profiles[1] = ranks.with_cores(profiles[1], 1)
    assert host_lines(ranks.of_profiles(profiles)) == ["cores: 2, but rank 1: 1"]
