"""In what the machines of ranks differ, and the versions of their software."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from pipeprof.analysis.findings.rank_findings import HostAspect, HostDifference
from pipeprof.analysis.findings.rank_summary import RankSummary

Value = str | float | None

# Machines of one kind differ by some pages of memory.
_GB = 1e9

_ASPECTS: tuple[tuple[HostAspect, Callable[[RankSummary], Value]], ...] = (
    (HostAspect.CORES, lambda summary: float(summary.processors.cores)),
    (HostAspect.LIMIT, lambda summary: summary.processors.limit),
    (HostAspect.MEMORY, lambda summary: _gigabytes(summary.machine.memory_bytes)),
    (HostAspect.SYSTEM, lambda summary: summary.machine.system),
)


def host_differences(ranks: Sequence[tuple[int, RankSummary]]) -> tuple[HostDifference, ...]:
    """Each aspect in which some ranks differ from most.

    Args:
        ranks: numbers and summaries of the ranks.
    """
    found = []
    for aspect, read in _ASPECTS:
        difference = _difference(aspect, "", [(number, read(each)) for number, each in ranks])
        if difference is not None:
            found.append(difference)
    for package in _packages(ranks):
        values: list[tuple[int, Value]] = [
            (number, each.versions.get(package)) for number, each in ranks
        ]
        difference = _difference(HostAspect.VERSION, package, values)
        if difference is not None:
            found.append(difference)
    return tuple(found)


def _packages(ranks: Sequence[tuple[int, RankSummary]]) -> Iterator[str]:
    yield from dict.fromkeys(name for _, each in ranks for name in each.versions)


def _difference(
    aspect: HostAspect, name: str, values: Sequence[tuple[int, Value]]
) -> HostDifference | None:
    if aspect is not HostAspect.LIMIT:  # no limit is something; other values are only not known
        values = [(number, value) for number, value in values if value is not None]
    if not values:
        return None
    usual = Counter(value for _, value in values).most_common(1)[0][0]
    others: dict[Value, list[int]] = defaultdict(list)
    for number, value in values:
        if value != usual:
            others[value].append(number)
    if not others:
        return None
    return HostDifference(
        aspect=aspect,
        name=name,
        usual=usual,
        values=tuple((value, tuple(ranks)) for value, ranks in others.items()),
    )


def _gigabytes(count: int | None) -> float | None:
    return None if count is None else float(round(count / _GB))
