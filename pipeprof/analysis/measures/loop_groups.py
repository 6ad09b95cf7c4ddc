"""Which loops of a run are shown together: several models of one line, and what costs little."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeprof.analysis.findings.findings import Grouping, LoopFinding, LoopGroup

# Loops that cost less than this of the main loop's time are folded, of each kind together.
_FOLDED_BELOW = 0.05


def group_loops(loops: Sequence[LoopFinding], main: LoopFinding | None) -> tuple[LoopGroup, ...]:
    """All loops in groups, the group of the main loop first, then those that cost most."""
    if main is None:
        return ()
    by_line: dict[object, list[LoopFinding]] = defaultdict(list)
    for found in loops:
        by_line[_line_of(found)].append(found)
    groups, small = [], defaultdict(list)
    for alike in by_line.values():
        if len(alike) > 1:
            groups.append(_group(Grouping.MODELS, alike))
            continue
        [found] = alike
        cheap = found.account.wall_ns < _FOLDED_BELOW * main.account.wall_ns
        if cheap and found is not main:
            small[found.loop.kind].append(found)
        else:
            groups.append(_group(Grouping.ALONE, alike))
    groups.extend(
        _group(Grouping.FOLDED if _count(alike) > 1 else Grouping.ALONE, alike)
        for alike in small.values()
    )
    return tuple(sorted(groups, key=lambda group: (not _has(group, main), -group.wall_s)))


def _has(group: LoopGroup, main: LoopFinding) -> bool:
    return any(found is main for found in group.loops)


def _line_of(found: LoopFinding) -> object:
    """What loops over several models have in common; a loop of no such kind has it for itself."""
    loop = found.loop
    if loop.location is None or loop.model is None or loop.parent is not None:
        return found.index
    return loop.kind, str(loop.location)


def _group(grouping: Grouping, loops: Iterable[LoopFinding]) -> LoopGroup:
    ordered = sorted(loops, key=lambda found: (-found.account.wall_ns, found.index))
    places = {found.loop.location for found in ordered}
    return LoopGroup(
        grouping=grouping,
        kind=ordered[0].loop.kind,
        location=places.pop() if len(places) == 1 else None,
        loops=tuple(ordered),
        passes=_count(ordered),
        wall_s=sum(found.account.wall_ns for found in ordered) / 1e9,
    )


def _count(loops: Iterable[LoopFinding]) -> int:
    return sum(max(found.loop.account.pass_count, 1) for found in loops)
