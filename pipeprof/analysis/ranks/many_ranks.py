"""From the summaries of processes that train together to what is found of all of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from pipeprof.analysis.findings.rank_findings import (
    RankFinding,
    RankProblem,
    RanksEmpty,
    RankSpread,
    RunOfRanks,
    RunVerdict,
    Synchrony,
    Unreadable,
    WaitMap,
)
from pipeprof.analysis.findings.rank_summary import RankRecord, RankSummary
from pipeprof.analysis.ranks.one_training import NumberedRank, ranks_of_one_training
from pipeprof.analysis.ranks.rank_differences import host_differences
from pipeprof.analysis.ranks.rank_problems import rank_problems
from pipeprof.analysis.ranks.run_verdict import find_run_verdict, rank_to_show
from pipeprof.analysis.ranks.step_alignment import (
    AlignedBlocks,
    CommonEnds,
    align_blocks,
    align_steps,
    find_common_ends,
)
from pipeprof.analysis.ranks.stragglers import WaitsOfRanks, find_lateness, waits_of_ranks


def analyse_ranks(
    records: Sequence[RankRecord],
    unreadable: Sequence[Unreadable] = (),
    empty: Sequence[int] = (),
) -> RunOfRanks:
    """What is found of processes that train together.

    Args:
        records: their summaries, in the order of their files; at least one.
        unreadable: files that could not be read.
        empty: ranks whose folders have no recordings.
    """
    ours, others = ranks_of_one_training(records)
    problems: list[RankProblem] = [*unreadable, *others]
    if empty:
        problems.append(RanksEmpty(ranks=tuple(empty)))
    summaries = [each.summary for each in ours]
    steps, blocks = align_steps(summaries), align_blocks(summaries)
    ends = find_common_ends(steps)
    waits = waits_of_ranks(steps, blocks, max(each.warmup_steps for each in summaries))
    lateness = find_lateness(waits, summaries)
    verdict = replace(find_run_verdict(ours, ends.synchrony, lateness), steps=len(steps))
    size = max([each.rank.size for each in summaries if each.rank], default=len(ours))
    clocks = _clocks(summaries, ends)
    found = tuple(
        _finding(each, row, waits, lateness.waits, verdict, clocks[row])
        for row, each in enumerate(ours)
    )
    return RunOfRanks(
        ranks=found,
        size=size,
        verdict=verdict,
        shown=rank_to_show(ours, verdict),
        spreads=dict(_spreads(ours)),
        differences=host_differences([(each.number, each.summary) for each in ours]),
        problems=(*problems, *rank_problems(ours, size, found, problems)),
        waits=_wait_map([each.number for each in ours], blocks),
    )


def _finding(
    each: NumberedRank,
    row: int,
    waits: WaitsOfRanks,
    own: WaitsOfRanks,
    verdict: RunVerdict,
    clock_ms: float | None,
) -> RankFinding:
    summary = each.summary
    together = verdict.synchrony is Synchrony.LOCK_STEP
    wait_ms = float(waits.wait_ms[row])
    own_wait = summary.wait_ms.mean if summary.wait_ms else None
    return RankFinding(
        number=each.number,
        summary=summary,
        step_ms=summary.step_ms.mean if summary.step_ms else None,
        wait_ms=wait_ms if together and math.isfinite(wait_ms) else own_wait,
        held_ms=_finite(own.held_ms[row]) if together else None,
        last_ratio=_finite(own.last_ratio[row]) if together else None,
        straggles=any(late.rank == each.number for late in verdict.stragglers),
        clock_ahead_ms=clock_ms,
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _clocks(summaries: Sequence[RankSummary], ends: CommonEnds) -> list[float | None]:
    """How far each rank's clock is ahead, in ms: by common ends, else by the file system's clock."""
    ahead = [_finite(value / 1e6) for value in ends.ahead_ns]
    if any(value is not None for value in ahead):
        return ahead
    by_files = [each.machine.clock_ahead_ns for each in summaries]
    known = [value for value in by_files if value is not None]
    if len(known) < 2:
        return [None] * len(summaries)
    middle = median(known)
    return [None if value is None else (value - middle) / 1e6 for value in by_files]


def _spreads(ours: Sequence[NumberedRank]) -> Iterator[tuple[str, RankSpread]]:
    for name in ("step_ms", "wait_ms", "compute_ms", "callback_ms"):
        values = [
            (spread.mean, each.number)
            for each in ours
            if (spread := getattr(each.summary, name)) is not None
        ]
        if values:
            (least, least_rank), (most, most_rank) = min(values), max(values)
            yield (
                name,
                RankSpread(
                    least=least,
                    least_rank=least_rank,
                    median=median(value for value, _ in values),
                    most=most,
                    most_rank=most_rank,
                ),
            )


def _wait_map(numbers: Sequence[int], blocks: AlignedBlocks) -> WaitMap:
    return WaitMap(ranks=tuple(numbers), first_step=blocks.first_step, wait_ms=blocks.wait_ms)
