"""Copies of one stage: tf.data runs a transformation once for each branch that it stands in.

Branches that `sample_from_datasets`, `zip` or an interleave take from may begin with one dataset, or be
made by one function of the user's. To its reader, what stands at the same lines on the way to the training
is one stage.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeprof.analysis.placement import Key, Place
from pipeprof.recording.stage import Stage, StageKind

_OF_TF_DATA = (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON, StageKind.TF_DATA_REMOTE)

# What makes two stages copies of each other: this, and that those that ask them are.
_Likeness = tuple[object, ...]


class Copies:
    """Which stages are copies of each other.

    Args:
        stages: all stages of the run.
        chosen: indices of those to look at.

    Attributes:
        groups: indices of the copies of each stage, by the first of them; a stage without copies is alone.
    """

    def __init__(self, stages: Sequence[Stage], chosen: Iterable[int]) -> None:
        self._stages = stages
        known: dict[int, _Likeness] = {}
        groups: dict[_Likeness, list[int]] = defaultdict(list)
        for index in sorted(chosen):
            groups[_likeness(index, stages, known)].append(index)
        self.groups: Mapping[int, tuple[int, ...]] = {
            alike[0]: tuple(alike) for alike in groups.values()
        }
        self._first = {index: first for first, alike in self.groups.items() for index in alike}

    def stage(self, first: int) -> Stage:
        """A stage as the first of its copies; what asks it is the first of its copies, too."""
        stage = self._stages[first]
        parent = stage.parent
        return stage if parent is None else replace(stage, parent=self._first.get(parent, parent))

    def places(self, places: Mapping[int, Place]) -> Mapping[int, Place]:
        """The places of all copies together, by the index of the first.

        Copies with places of their own work side by side; those that share a place take turns there.
        """
        alike: dict[Key, dict[Key, float]] = defaultdict(dict)
        for place in places.values():
            alike[self._key(place.key)][place.key] = place.parallelism
        return {
            first: replace(
                places[first],
                key=self._key(places[first].key),
                parallelism=sum(alike[self._key(places[first].key)].values()),
            )
            for first in self.groups
        }

    def _key(self, key: Key) -> Key:
        of, numbers = key
        if of not in ("calls", "behind"):  # the numbers are not those of stages
            return key
        return of, tuple(self._first.get(number, number) for number in numbers)


def _likeness(index: int, stages: Sequence[Stage], known: dict[int, _Likeness]) -> _Likeness:
    """What the copies of a stage have in common with it; a stage that can have none is like itself only."""
    stack = [index]
    while stack:
        at = stack[-1]
        stage = stages[at]
        parent = stage.parent
        if at in known:
            stack.pop()
        elif stage.kind not in _OF_TF_DATA or parent is None or stage.made_at is None:
            known[at] = (at,)
        elif parent in known:
            known[at] = (
                known[parent],
                stage.name,
                stage.kind,
                stage.function,
                stage.location,
                stage.made_at,
                stage.made_by,
                stage.runs_as,
            )
        elif parent in stack:  # a circle: a file may have anything
            known[at] = (at,)
        else:
            stack.append(parent)
    return known[index]
