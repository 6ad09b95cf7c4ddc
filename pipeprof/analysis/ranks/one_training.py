"""Which recordings are of one training, and which rank each has among the others."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median_low

from pipeprof.analysis.findings.rank_findings import (
    OtherFact,
    OtherTraining,
    RankProblem,
    RankTwice,
    Unnumbered,
)
from pipeprof.analysis.findings.rank_summary import RankRecord, RankSummary
from pipeprof.recording.light_dataclasses import dataclass

# A rank that begins this much later than the first one is named. Where processes start one after another
# it takes some seconds.
LATE_START_S = 60.0


@dataclass(frozen=True, slots=True)
class NumberedRank:
    """A record with the rank that it has among the others."""

    number: int
    record: RankRecord

    @property
    def summary(self) -> RankSummary:
        """What the process found."""
        return self.record.summary


def ranks_of_one_training(
    records: Sequence[RankRecord],
) -> tuple[list[NumberedRank], list[RankProblem]]:
    """The ranks of the training that most of the recordings belong to, and what is wrong with the rest."""
    ours, others = _of_one_training(_numbered(records))
    ours, twice = _once(ours)
    unnumbered: list[RankProblem] = []
    if len(ours) > 1 and all(each.summary.rank is None for each in ours):
        unnumbered.append(Unnumbered(count=len(ours)))
    return ours, [*others, *twice, *unnumbered]


def _numbered(records: Sequence[RankRecord]) -> list[NumberedRank]:
    taken = {each.summary.rank.number for each in records if each.summary.rank}
    free = (number for number in range(len(records) * 2 + 1) if number not in taken)
    found = [
        NumberedRank(each.summary.rank.number if each.summary.rank else next(free), each)
        for each in records
    ]
    return sorted(found, key=lambda each: each.number)


def _of_one_training(found: list[NumberedRank]) -> tuple[list[NumberedRank], list[RankProblem]]:
    """Those of the training that most belong to, and what shows that the rest belongs to another."""
    problems: list[RankProblem] = []
    for fact, read in _FACTS:
        values = {each.number: read(each.summary) for each in found}
        known: dict[str, list[NumberedRank]] = defaultdict(list)
        for each in found:
            value = read(each.summary)
            if value is not None:
                known[value].append(each)
        if len(known) < 2:
            continue
        usual = max(known, key=lambda value: (len(known[value]), _most_steps(known[value])))
        for value, those in known.items():
            if value != usual:
                ranks = tuple(each.number for each in those)
                problems.append(OtherTraining(ranks=ranks, fact=fact, value=value, usual=usual))
        found = [each for each in found if values[each.number] in (usual, None)]
    return _of_one_time(found, problems)


def _most_steps(found: Iterable[NumberedRank]) -> int:
    return max(each.summary.steps for each in found)


_FACTS: tuple[tuple[OtherFact, Callable[[RankSummary], str | None]], ...] = (
    (OtherFact.JOB, lambda summary: _job(summary)),
    (OtherFact.CODE, lambda summary: summary.facts.script),
    (OtherFact.CODE, lambda summary: summary.facts.loop),
    (OtherFact.MODEL, lambda summary: summary.facts.model),
    (OtherFact.DATA, lambda summary: summary.facts.data),
)


def _job(summary: RankSummary) -> str | None:
    return summary.rank.group if summary.rank is not None and summary.rank.job_known else None


def _of_one_time(
    found: list[NumberedRank], problems: list[RankProblem]
) -> tuple[list[NumberedRank], list[RankProblem]]:
    """Without recordings that began after most had ended, by the clock of their common file system."""
    times = {each.number: times_s(each.summary) for each in found}
    known = [span for span in times.values() if span is not None]
    if len(known) < 2:
        return found, problems
    middle_s = median_low([end for _, end in known])
    for each in found:
        span = times[each.number]
        if span is not None and span[0] > middle_s + LATE_START_S:
            late_s = f"{span[0] - middle_s:.0f}"
            problems.append(
                OtherTraining(ranks=(each.number,), fact=OtherFact.TIME, value=late_s, usual="")
            )
            found = [other for other in found if other is not each]
    return found, problems


def times_s(summary: RankSummary) -> tuple[float, float] | None:
    """Begin and end by the clock of the file system, in seconds since 1970."""
    ahead_ns = summary.machine.clock_ahead_ns
    if ahead_ns is None:
        return None
    return (summary.start_unix_ns - ahead_ns) / 1e9, (summary.end_unix_ns - ahead_ns) / 1e9


def _once(found: list[NumberedRank]) -> tuple[list[NumberedRank], list[RankProblem]]:
    """One recording of each rank, that with the most steps."""
    by_number: dict[int, list[NumberedRank]] = defaultdict(list)
    for each in found:
        by_number[each.number].append(each)
    problems: list[RankProblem] = [
        RankTwice(rank=number, recordings=len(those))
        for number, those in by_number.items()
        if len(those) > 1
    ]
    return [
        max(those, key=lambda each: each.summary.steps) for those in by_number.values()
    ], problems
