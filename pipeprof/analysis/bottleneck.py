"""Which stage holds a loop up, and what a change of its cost or parallelism would give.

Both rest on one model: stages that share a place take turns there, so a place needs the sum of
their costs over its parallelism for each step. What runs ahead of the loop runs beside it, and the
slowest place sets the pace; what runs in the loop's own wait comes on top.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeprof.analysis.costs import Use
from pipeprof.analysis.placement import Key
from pipeprof.recording.stage import StageKind


def find_bottleneck(uses: Iterable[Use]) -> Use | None:
    """The dearest stage of the place that needs the longest per step, or None without work.

    Of a place with one stage that is the stage with the least capacity: parallelism over cost. The
    restart of a worker pool is left out: it stands between epochs, not on the way of a batch.
    """
    places = _by_place(uses)
    slowest = max(
        places.values(),
        key=lambda sharing: (_needed_ms(sharing), max(use.order for use in sharing)),
        default=None,
    )
    if slowest is None:
        return None
    return max(slowest, key=lambda use: (use.cost_ms, use.order))


def predict_step_ms(uses: Iterable[Use], ideal_ms: float, cpu_ms: float) -> float:
    """The step time of these stages: max(compute, slowest place, CPU work over cores).

    Args:
        uses: the stages as they would be.
        ideal_ms: step time with input for free; no prediction is better than that.
        cpu_ms: CPU work of a step, input and training together, over the processors.
    """
    places = _by_place(uses).values()
    beside = [_needed_ms(sharing) for sharing in places if sharing[0].place.ahead]
    within = [_needed_ms(sharing) for sharing in places if not sharing[0].place.ahead]
    return max(ideal_ms, cpu_ms, *beside, 0.0) + sum(within)


def sharing_with(chosen: Use, uses: Iterable[Use]) -> tuple[Use, ...]:
    """The stages that take turns with one, itself included."""
    return tuple(
        use for sharing in _by_place(uses).values() for use in sharing if chosen in sharing
    )


def needed_ms(chosen: Use, uses: Iterable[Use]) -> float:
    """What the place of a stage needs for one step, with all stages that take turns there."""
    sharing = sharing_with(chosen, uses)
    return _needed_ms(sharing) if sharing else 0.0


def beneath(chosen: Use, uses: Iterable[Use]) -> frozenset[int]:
    """Indices of the stages that a stage asks for data, directly or through others."""
    parents = {use.index: use.stage.parent for use in uses}
    return frozenset(index for index in parents if chosen.index in _askers(index, parents))


def _askers(index: int, parents: dict[int, int | None]) -> frozenset[int]:
    seen: set[int] = set()
    asker = parents.get(index)
    while asker is not None and asker not in seen:
        seen.add(asker)
        asker = parents.get(asker)
    return frozenset(seen)


def _by_place(uses: Iterable[Use]) -> dict[Key, list[Use]]:
    places: dict[Key, list[Use]] = defaultdict(list)
    for use in uses:
        if use.cost_ms > 0 and use.stage.kind is not StageKind.EPOCH_START:
            places[use.place.key].append(use)
    return places


def _needed_ms(sharing: Sequence[Use]) -> float:
    """What a place needs for one step."""
    return sum(use.cost_ms for use in sharing) / max(use.place.parallelism for use in sharing)
