"""Estimates the work of nodes that vanished from a model between two readings.

The number of elements that a vanished node gave is known: the node that took them is still there and
counts elements and bytes. The work of the vanished node is not known. It is estimated from the cost of
counted elements of its stage, in any iterator of the dataset. This module works on plain values.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    NodeCounters,
    NodeWork,
    opens_inputs,
)
from pipeprof.capture.probes.tfdata.running.stage_history import NOTHING, StageHistories
from pipeprof.capture.probes.tfdata.running.stage_identity import LATER

# What counts as buffered in them are not elements on their way.
_KEEPING = ("MemoryCache", "FileCache")
_REPEATING = ("ForeverRepeat", "FiniteRepeat", "ShuffleAndRepeat")


class PartSize(NamedTuple):
    """A part of a concatenation.

    Attributes:
        elements: how many elements it has.
        share: their share of all of its elements.
        parts: paths of all parts, in their order.
    """

    elements: int
    share: float
    parts: tuple[str, ...]


class LostWork:
    """Estimates the work that was lost behind one iterator.

    Args:
        seen: what is known of its stages from all iterators of the dataset.
        sizes: of what is concatenated, by the paths of the parts, where that is known.
    """

    def __init__(self, seen: StageHistories, sizes: Mapping[str, PartSize]) -> None:
        self._seen = seen
        self._sizes = sizes
        self._done: defaultdict[str, NodeWork] = defaultdict(lambda: NOTHING)
        self._nodes: Mapping[str, list[NodeCounters]] = {}

    def count(self, work: Mapping[str, NodeWork]) -> None:
        """Adds what was counted of the stages."""
        for path, done in work.items():
            self._done[path] = self._done[path].plus(done)

    def add_to(
        self,
        work: dict[str, NodeWork],
        root: str,
        before: Mapping[str, list[NodeCounters]],
        nodes: Mapping[str, list[NodeCounters]],
    ) -> None:
        """Adds the estimates to what was counted, by the paths of stages.

        Args:
            work: what was counted.
            root: path of the root.
            before: nodes of the reading before, by path.
            nodes: nodes of this reading, by path.
        """
        self._nodes = nodes
        gone, held = {}, {}
        for path, earlier in before.items():
            here = {one.node_id for one in self._nodes.get(path, ())}
            ended = [one for one in earlier if one.node_id not in here]
            if ended:
                gone[path] = sum(one.num_elements for one in ended)
                held[path] = self._held_by(path, ended)
        pending = [root]
        while pending:
            path = pending.pop()
            for inputs, ratio in self._seen.groups(path):
                pending += inputs
                if all(self._is_whole(path, below, gone) for below in inputs):
                    continue
                lost = self._lost(path, inputs, ratio)
                if lost >= 1:
                    for below, elements in self._shares(inputs, lost, gone).items():
                        estimate = self._estimate(below, elements, inputs, held.get(below, 0))
                        self._done[below] = self._done[below].plus(estimate)
                        if below in inputs:
                            work[below] = work.get(below, NOTHING).plus(estimate)

    def _estimate(self, path: str, elements: float, seen: list[str], held: int) -> NodeWork:
        if path in seen:
            return self._seen.estimate(path, elements, held)
        size = self._seen[seen[0]].element_bytes  # of the part beside it, which was seen
        return NodeWork(round(elements), 0, round(elements * size), 0)

    def _parts(self, inputs: list[str]) -> Sequence[str]:
        """The inputs, with those parts of a concatenation that were never seen."""
        return self._sizes[inputs[0]].parts if inputs and inputs[0] in self._sizes else inputs

    def _lost(self, path: str, inputs: list[str], ratio: float) -> float:
        """How many elements a stage took from some inputs, without those that were counted there."""
        if inputs == self._seen[path].inputs:
            # Bytes also count an incomplete batch and what was skipped or filtered out.
            sizes = {self._seen[below].element_bytes for below in inputs} - {0.0}
            if len(sizes) == 1:
                given = sum(self._done[below].bytes_produced for below in self._parts(inputs))
                return (self._done[path].bytes_consumed - given) / sizes.pop()
        taken = (self._done[path].elements + self._on_their_way(path)) * ratio
        return taken - sum(self._done[below].elements for below in self._parts(inputs))

    def _is_whole(self, path: str, below: str, gone: Mapping[str, int]) -> bool:
        """Whether nothing can have vanished between two stages: both still run, and no input was opened."""
        passing = (*_REPEATING, "Concatenate")
        name = self._seen[path].name
        return (
            below in self._nodes
            and not {path, below} & gone.keys()
            and (self._seen[below].lasting or not (opens_inputs(name) or name.startswith(passing)))
        )

    def _on_their_way(self, path: str) -> int:
        """Elements that a stage has taken and not yet given."""
        return self._held_by(path, self._nodes.get(path, ()))

    def _held_by(self, path: str, nodes: Sequence[NodeCounters]) -> int:
        """Elements that lie in nodes of a stage, on their way to the next one."""
        if self._seen[path].name.startswith(_KEEPING):
            return 0
        return sum(node.buffered_elements for node in nodes)

    def _shares(
        self, inputs: list[str], lost: float, gone: Mapping[str, int]
    ) -> Mapping[str, float]:
        """Which of the inputs gave the elements that are missing."""
        if inputs and all(path in self._sizes for path in inputs):
            return self._shares_of_passes(self._parts(inputs), lost, gone)
        able = [path for path in inputs if self._may_have_run(path)]
        shares = {}
        for path in able:
            # All that a cache holds was written in its first pass, and nothing was after that.
            held = self._held(f"{path}{LATER}")
            if held is not None:
                shares[path] = min(max(held - self._done[path].elements, 0.0), lost)
                lost -= shares[path]
        able = [path for path in able if path not in shares]
        here = [path for path in able if path in self._nodes]
        # What reads an earlier pass's elements now has done so since that pass.
        chosen = [path for path in here if self._reads_again(path)]
        chosen = chosen or [path for path in able if path in gone] or here or able
        weights = [float(self._seen[path].work.elements) for path in chosen]
        total = sum(weights)
        if total:
            for path, weight in zip(chosen, weights, strict=True):
                shares[path] = shares.get(path, 0.0) + lost * weight / total
        return shares

    def _shares_of_passes(
        self, inputs: Sequence[str], lost: float, gone: Mapping[str, int]
    ) -> Mapping[str, float]:
        """Shares lost elements among concatenated inputs: the rest of one pass, and then whole passes."""
        shares = {}
        for path in sorted(inputs, key=lambda path: path not in gone):
            # What had ended goes on where it was; the others follow it, and then all in turn.
            left = self._sizes[path].elements - gone.get(path, 0)
            shares[path] = min(max(left, 0.0), lost)
            lost -= shares[path]
        return {path: known + lost * self._sizes[path].share for path, known in shares.items()}

    def _may_have_run(self, path: str) -> bool:
        """Whether a stage may have run: a cache is filled in one pass only, maybe by another iterator."""
        return not self._seen[path].name.startswith(_KEEPING) or (
            path.endswith(LATER) or self._done[path].elements > 0
        )

    def _reads_again(self, path: str) -> bool:
        return path.endswith(LATER) or self._seen[path].name.endswith("Reader")

    def _held(self, later: str) -> int | None:
        """What a cache holds that is read from, or None where that is not known."""
        if later not in self._nodes:
            return None
        nodes = [node for below in self._seen[later].inputs for node in self._nodes.get(below, ())]
        return max((n.buffered_elements for n in nodes if n.name.startswith("Memory")), default=0)
