"""Which stages of a loop ask which for data."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeprof.analysis.measures.costs import StageCost
from pipeprof.recording.stage import OperatorFamily, StageKind, StageOwner

# Between an element and the next one these keep what was given to them.
_PASSING = (OperatorFamily.PREFETCH,)


def inputs_of(chosen: StageCost, costs: Iterable[StageCost]) -> list[StageCost]:
    """The stages that one asks for data."""
    return [cost for cost in costs if cost.stage.parent == chosen.index]


def askers_of(chosen: StageCost, costs: Sequence[StageCost]) -> Iterator[StageCost]:
    """The stages that ask one for data, directly or through others: the nearest first."""
    by_index = {cost.index: cost for cost in costs}
    seen = {chosen.index}
    above = by_index.get(-1 if chosen.stage.parent is None else chosen.stage.parent)
    while above is not None and above.index not in seen:
        seen.add(above.index)
        yield above
        above = by_index.get(-1 if above.stage.parent is None else above.stage.parent)


def chain_below(
    chosen: StageCost, costs: Sequence[StageCost], goes_on: Callable[[StageCost], bool]
) -> Iterator[StageCost]:
    """The stages below one, the nearest first, while each has one input and ``goes_on`` agrees."""
    below = inputs_of(chosen, costs)
    seen = {chosen.index}
    while len(below) == 1 and below[0].index not in seen and goes_on(below[0]):
        seen.add(below[0].index)
        yield below[0]
        below = inputs_of(below[0], costs)


def passes_on(cost: StageCost) -> bool:
    """Whether a stage gives just what it takes, in that order."""
    return cost.stage.family in _PASSING


def users_map(cost: StageCost) -> bool:
    """Whether a stage is a ``map`` of tf.data that the user wrote: one element for each."""
    return cost.stage.family is OperatorFamily.MAP and by_user(cost)


def by_user(cost: StageCost) -> bool:
    """Whether a stage of tf.data is the user's own."""
    of_tf_data = cost.stage.kind in (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON)
    return of_tf_data and cost.stage.owner is StageOwner.USER
