"""What a reader must know of processes that train together: ended, late, uneven ones, and their clocks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from pipeprof.analysis.findings.rank_findings import (
    ClocksApart,
    LateStart,
    OtherTraining,
    RankDied,
    RankFinding,
    RankProblem,
    RanksEmpty,
    RanksMissing,
    RanksRunning,
    UnevenShards,
    Unreadable,
)
from pipeprof.analysis.ranks.one_training import LATE_START_S, NumberedRank, times_s

CLOCKS_APART_MS = 100.0
# Shards are uneven from this difference on.
_UNEVEN_FROM = 0.02


def rank_problems(
    ours: Sequence[NumberedRank],
    size: int,
    found: Sequence[RankFinding],
    known: Sequence[RankProblem] = (),
) -> Iterator[RankProblem]:
    """What happened to the ranks of a training.

    Args:
        ours: the ranks.
        size: how many ranks the launcher started.
        found: what was found of each.
        known: what is wrong with the recordings themselves.
    """
    there = {each.number for each in ours}
    missing = sorted(set(range(size)).difference(there, *map(_ranks_of, known)))
    if missing:
        yield RanksMissing(ranks=tuple(missing), size=size)
    for each in ours:
        summary = each.summary
        failed = summary.error is not None or summary.ended_by is not None or summary.exit_code
        if not each.record.running and (not summary.finished or failed):
            yield RankDied(
                rank=each.number,
                step=summary.steps,
                ended_by=summary.ended_by,
                error=summary.error,
            )
    running = tuple(each.number for each in ours if each.record.running)
    if running:
        yield RanksRunning(ranks=running)
    yield from _late_starts(ours)
    yield from _clocks_apart(found)
    yield from _uneven(ours)


def _ranks_of(problem: RankProblem) -> tuple[int, ...]:
    """The ranks whose recordings are left out for this reason."""
    match problem:
        case OtherTraining(ranks=numbers) | RanksEmpty(ranks=numbers):
            return numbers
        case Unreadable(rank=number) if number is not None:
            return (number,)
        case _:
            return ()


def _late_starts(ours: Sequence[NumberedRank]) -> Iterator[LateStart]:
    begins = {each.number: times_s(each.summary) for each in ours}
    first_s = min((span[0] for span in begins.values() if span is not None), default=0.0)
    for number, span in begins.items():
        if span is not None and span[0] - first_s > LATE_START_S:
            yield LateStart(rank=number, late_s=span[0] - first_s)


def _clocks_apart(found: Sequence[RankFinding]) -> Iterator[ClocksApart]:
    by_host: dict[str, list[float]] = defaultdict(list)
    for each in found:
        if each.clock_ahead_ms is not None:
            by_host[each.summary.host].append(each.clock_ahead_ms)
    if len(by_host) < 2:
        return
    for host, ahead in by_host.items():
        if abs(median(ahead)) >= CLOCKS_APART_MS:
            yield ClocksApart(host=host, ahead_ms=median(ahead))


def _uneven(ours: Sequence[NumberedRank]) -> Iterator[UnevenShards]:
    """Steps and samples of the ranks that came to their end."""
    whole = [each for each in ours if each.summary.finished and not each.record.running]
    counts: Mapping[bool, dict[int, int]] = {
        False: {each.number: each.summary.steps for each in whole},
        True: {each.number: each.summary.samples for each in whole if each.summary.samples},
    }
    for of_samples, of_ranks in counts.items():
        if len(of_ranks) < 2:
            continue
        fewest, most = (
            min(of_ranks, key=of_ranks.__getitem__),
            max(of_ranks, key=of_ranks.__getitem__),
        )
        if (
            of_ranks[most] - of_ranks[fewest] >= _UNEVEN_FROM * of_ranks[most]
            and of_ranks[most] - (of_ranks[fewest]) > 1
        ):
            yield UnevenShards(
                fewest=fewest,
                fewest_count=of_ranks[fewest],
                most=most,
                most_count=of_ranks[most],
                of_samples=of_samples,
            )
            return
