"""Copies of one stage: tf.data runs a transformation once for each branch that it stands in.

The branches of `sample_from_datasets`, `zip` or an interleave may begin with one dataset, or may be made by
one function of the user's. For a reader, transformations that the same lines made are one stage.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeprof.analysis.measures.placement import Key, StagePlace
from pipeprof.recording.stage import Stage, StageKind

_OF_TF_DATA = (
    StageKind.TF_DATA,
    StageKind.TF_DATA_PYTHON,
    StageKind.TF_DATA_REMOTE,
    StageKind.TF_DATA_WORKER,
)

# Two stages are copies of each other if these values are equal, and those of the stages that ask them too.
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
        likenesses = _Likenesses(stages)
        groups: dict[_Likeness, list[int]] = defaultdict(list)
        for index in sorted(chosen):
            groups[likenesses.of(index)].append(index)
        self.groups: Mapping[int, tuple[int, ...]] = {
            alike[0]: tuple(alike) for alike in groups.values()
        }
        self._first = {index: first for first, alike in self.groups.items() for index in alike}

    def stage(self, first: int) -> Stage:
        """A stage as the first of its copies; what asks it is the first of its copies, too."""
        stage = self._stages[first]
        parent = stage.parent
        return stage if parent is None else replace(stage, parent=self._first.get(parent, parent))

    def places(self, places: Mapping[int, StagePlace]) -> Mapping[int, StagePlace]:
        """The places of all copies together, by the index of the first.

        Copies with places of their own work side by side; those that share a place take turns there.
        """
        found = {}
        for first, alike in self.groups.items():
            own = {places[index].key: places[index].parallelism for index in alike}
            key = self._key(places[first].key)
            found[first] = replace(places[first], key=key, parallelism=math.fsum(own.values()))
        return found

    def _key(self, key: Key) -> Key:
        of, numbers = key
        if not of.is_pool_of_stage:  # the numbers are not those of stages
            return key
        return of, tuple(self._first.get(number, number) for number in numbers)


class _Likenesses:
    """What the copies of a stage have in common with it; a stage that can have none is like itself only.

    The line that put it into the pipeline is known of a dataset that was made while the profile was on.
    Without one, the functions that it takes from distinguish a stage that has no function from others; a
    source has none, and is like others only where it is all that its asker takes from.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._asked = Counter(stage.parent for stage in stages)
        self._functions: dict[int, set[_Likeness]] = defaultdict(set)
        for stage in stages:
            if stage.function is not None:
                self._note_function(stage)

    def _note_function(self, stage: Stage) -> None:
        asker, seen = stage.parent, set[int]()
        while asker is not None and asker not in seen:
            seen.add(asker)
            self._functions[asker].add((stage.function, stage.location))
            asker = self._stages[asker].parent

    def of(self, index: int) -> _Likeness:
        """The likeness of a stage: equal for its copies."""
        path = [index]
        while (parent := self._stages[path[-1]].parent) is not None:
            if parent in path:  # a circle: a file may have anything
                return (index,)
            path.append(parent)
        likeness: _Likeness = ()
        for at in reversed(path):
            likeness = (likeness, *self._own(at)) if self._may_have_copies(at) else (at,)
        return likeness

    def _may_have_copies(self, index: int) -> bool:
        stage = self._stages[index]
        known = stage.made_at is not None or stage.function is not None or self._functions[index]
        may = stage.kind in _OF_TF_DATA and stage.parent is not None
        return may and (bool(known) or self._asked[stage.parent] == 1)

    def _own(self, index: int) -> _Likeness:
        stage = self._stages[index]
        return (
            stage.name,
            stage.kind,
            stage.function,
            stage.location,
            stage.made_at,
            stage.made_by,
            stage.runs_as,
            frozenset(self._functions[index]),
        )
