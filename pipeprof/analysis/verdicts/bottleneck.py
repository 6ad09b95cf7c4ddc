"""Which stage holds a loop up.

Stages that share a place take turns there, so a place needs the sum of their costs over its parallelism
for each step. What runs ahead of the loop runs beside it, and the slowest place sets the pace; what runs in
the loop's own wait comes on top.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.placement import Key
from pipeprof.recording.stage import StageKind


def find_bottleneck(costs: Iterable[StageCost]) -> StageCost | None:
    """The dearest stage of the place that needs the longest per step, or None without work.

    Of a place with one stage that is the stage with the least capacity: parallelism over cost. The
    restart of a worker pool is left out: it stands between epochs, not on the way of a batch.
    """
    places = _by_place(costs)
    slowest = max(
        places.values(),
        key=lambda sharing: (_needed_ms(sharing), max(cost.order for cost in sharing)),
        default=None,
    )
    if slowest is None:
        return None
    return max(slowest, key=lambda cost: (cost.cost_ms, cost.order))


def dearest_on_cpu(costs: Iterable[StageCost], *, python: bool) -> StageCost | None:
    """The stage that uses the most CPU time, of those whose CPU time is known; None without any.

    Args:
        costs: the stages.
        python: whether only Python code counts.
    """
    computing = [
        (cost.cost_ms * (1.0 if cost.cpu_ratio is None else cost.cpu_ratio), cost.order, cost)
        for cost in costs
        if cost.stage.kind is not StageKind.EPOCH_START and (cost.stage.kind.python or not python)
    ]
    return max(computing, key=lambda each: each[:2])[2] if computing else None


def sharing_with(chosen: StageCost, costs: Iterable[StageCost]) -> tuple[StageCost, ...]:
    """The stages that take turns with one, itself included."""
    return tuple(
        cost for sharing in _by_place(costs).values() for cost in sharing if chosen in sharing
    )


def needed_ms(chosen: StageCost, costs: Iterable[StageCost]) -> float:
    """What the place of a stage needs for one step, with all stages that take turns there."""
    sharing = sharing_with(chosen, costs)
    return _needed_ms(sharing) if sharing else 0.0


def beneath(chosen: StageCost, costs: Iterable[StageCost]) -> frozenset[int]:
    """Indices of the stages that a stage asks for data, directly or through others."""
    parents = {cost.index: cost.stage.parent for cost in costs}
    return frozenset(index for index in parents if chosen.index in _askers(index, parents))


def _askers(index: int, parents: dict[int, int | None]) -> frozenset[int]:
    seen: set[int] = set()
    asker = parents.get(index)
    while asker is not None and asker not in seen:
        seen.add(asker)
        asker = parents.get(asker)
    return frozenset(seen)


def _by_place(costs: Iterable[StageCost]) -> dict[Key, list[StageCost]]:
    places: dict[Key, list[StageCost]] = defaultdict(list)
    for cost in costs:
        if cost.cost_ms > 0 and cost.stage.kind is not StageKind.EPOCH_START:
            places[cost.place.key].append(cost)
    return places


def _needed_ms(sharing: Sequence[StageCost]) -> float:
    """Milliseconds that a place needs for one step; equal to the last digit for any order of the stages."""
    return math.fsum(cost.cost_ms for cost in sharing) / max(
        cost.place.parallelism for cost in sharing
    )
