"""What the stages of a running pipeline did between two readings, vanished nodes included.

When a pass over the data, or an input of an interleave, ends, its nodes vanish from the model with
all they did since the reading before. How many elements those were is known: the node above, which
is still there, tells how many elements and bytes it took. Their work is not; what the same stage's
elements cost where they were seen, in any iterator of the dataset, is the estimate for it. Works on
plain values.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipeprof.capture.probes.tfdata.model_snapshots import (
    ModelSnapshot,
    NodeCounters,
    NodeWork,
    differences,
    lasting_input,
    opens_inputs,
)
from pipeprof.capture.probes.tfdata.stage_identity import LATER, StageIdentity
from pipeprof.capture.probes.tfdata.transformations import family_of

NOTHING = NodeWork(0, 0, 0, 0)

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


@dataclass(slots=True)
class _Seen:
    """What is known of one stage, from all iterators.

    Attributes:
        name: name of what runs.
        ratio: elements that it takes from each input for one that it gives; 0 where that varies.
        lasting: whether an interleave takes its inputs from it.
        inputs: paths of the stages that it asks for data.
        work: what was counted of it.
        going_on: the part of that which was done by nodes that had been there before, so that what
            it costs to begin is not in it.
        element_bytes: bytes of each of its elements; 0 where they vary or nothing was counted.
    """

    name: str
    ratio: float
    lasting: bool = False
    inputs: list[str] = field(default_factory=list)
    work: NodeWork = NOTHING
    going_on: NodeWork = NOTHING
    element_bytes: float = 0.0


class SeenStages:
    """What was seen of the stages of one dataset, in all of its iterators."""

    def __init__(self) -> None:
        self._stages: dict[str, _Seen] = {}

    def __getitem__(self, path: str) -> _Seen:
        return self._stages[path]

    def learn_structure(
        self, snapshot: ModelSnapshot, identities: Mapping[int, StageIdentity]
    ) -> None:
        """Notes who asks whom for data."""
        for node_id, identity in identities.items():
            node = snapshot.nodes[node_id]
            stage = self._stages.get(identity.path)
            if stage is None:
                stage = self._stages[identity.path] = _Seen(node.name, node.ratio)
            above = self._stages.get(identity.parent or "")
            if above is not None and identity.path not in above.inputs:
                above.inputs.append(identity.path)
        for node_id in identities:
            lasting = lasting_input(snapshot.nodes[node_id])
            if lasting is not None and opens_inputs(snapshot.nodes[node_id].name):
                self._stages[identities[lasting].path].lasting = True

    def learn_work(self, work: Mapping[str, NodeWork]) -> None:
        """Notes what was counted."""
        for path, done in work.items():
            stage = self._stages[path]
            each = done.bytes_produced / done.elements if done.elements else stage.element_bytes
            first = not stage.work.elements
            stage.element_bytes = each if first or each == stage.element_bytes else 0.0
            stage.work = stage.work.plus(done)

    def learn_going_on(self, work: Mapping[str, NodeWork]) -> None:
        """Notes what was counted of nodes that had been there before."""
        for path, done in work.items():
            self._stages[path].going_on = self._stages[path].going_on.plus(done)

    def estimate(self, path: str, elements: float) -> NodeWork:
        """What so many elements of a stage are likely to have cost."""
        stage = self._stages[path]
        seen = stage.going_on if stage.going_on.elements else stage.work
        scale = elements / seen.elements if seen.elements else 0.0
        return NodeWork(round(elements), *(round(scale * count) for count in seen[1:]))

    def groups(self, path: str) -> Iterator[tuple[list[str], float]]:
        """Inputs of a stage that together give it so many elements for one of its own."""
        stage = self._stages[path]
        if opens_inputs(stage.name):
            lasting = [below for below in stage.inputs if self._stages[below].lasting]
            yield [below for below in stage.inputs if below not in lasting], 1.0
            yield lasting, self._learned_ratio(path, lasting)
        elif family_of(stage.name) == "zip":
            for below in stage.inputs:
                yield [below], 1.0
        elif family_of(stage.name) == "directedinterleave":
            yield stage.inputs[:1], 1.0  # says which of the others is next
            yield stage.inputs[1:], 1.0
        else:
            yield stage.inputs, stage.ratio or self._learned_ratio(path, stage.inputs)

    def _learned_ratio(self, path: str, inputs: list[str]) -> float:
        given = self._stages[path].work.elements
        taken = sum(self._stages[below].work.elements for below in inputs)
        return taken / given if given else 0.0


class WorkTally:
    """Tells reading by reading what the stages behind one iterator did.

    Args:
        seen: what is known of them from all iterators of the dataset.
        sizes: of what is concatenated, by the paths of the parts, where that is known.
    """

    def __init__(self, seen: SeenStages, sizes: Mapping[str, PartSize]) -> None:
        self._seen = seen
        self._sizes = sizes
        self._done: defaultdict[str, NodeWork] = defaultdict(lambda: NOTHING)
        self._before: ModelSnapshot | None = None
        self._nodes: Mapping[str, list[NodeCounters]] = {}
        self._paths: dict[int, str] = {}
        self._unlearned: dict[str, NodeWork] = {}

    def count(
        self,
        snapshot: ModelSnapshot,
        identities: Mapping[int, StageIdentity],
        python_ns: int = 0,
    ) -> dict[str, NodeWork]:
        """What was done since the reading before, by the paths of stages.

        Args:
            snapshot: the reading.
            identities: what its nodes are.
            python_ns: time in generators since then, which is counted elsewhere.
        """
        before = self._before
        self._before = snapshot
        if before is not None and before.nodes.keys() == snapshot.nodes.keys():
            work = self._differences(before, snapshot)
            if python_ns:
                self._without_python(work, python_ns)
            for path, done in work.items():
                known = self._unlearned.get(path)
                self._unlearned[path] = done if known is None else known.plus(done)
            return work
        self._learn(self._unlearned)
        self._seen.learn_going_on(self._unlearned)
        self._unlearned = {}
        ended = self._nodes_of(before) if before is not None else {}
        self._seen.learn_structure(snapshot, identities)
        self._paths = {node_id: identity.path for node_id, identity in identities.items()}
        work = self._differences(before, snapshot)
        if python_ns:
            self._without_python(work, python_ns)
        self._learn(work)
        if before is not None:
            there = [node_id for node_id in before.nodes if node_id in snapshot.nodes]
            nodes = {node_id: snapshot.nodes[node_id] for node_id in there}
            going_on = self._differences(before, replace(snapshot, nodes=nodes))
            if python_ns:
                self._without_python(going_on, python_ns)
            self._seen.learn_going_on(going_on)
        self._nodes = self._nodes_of(snapshot)
        self._add_lost(work, self._paths[snapshot.output], ended)
        return work

    def _differences(
        self, before: ModelSnapshot | None, snapshot: ModelSnapshot
    ) -> dict[str, NodeWork]:
        work: dict[str, NodeWork] = {}
        paths = self._paths
        for node_id, done in differences(before, snapshot).items():
            path = paths.get(node_id)
            if path is not None:
                known = work.get(path)
                work[path] = done if known is None else known.plus(done)
        return work

    def _learn(self, work: Mapping[str, NodeWork]) -> None:
        self._seen.learn_work(work)
        for path, done in work.items():
            self._done[path] = self._done[path].plus(done)

    def _nodes_of(self, snapshot: ModelSnapshot) -> dict[str, list[NodeCounters]]:
        nodes: dict[str, list[NodeCounters]] = defaultdict(list)
        for node_id, path in self._paths.items():
            nodes[path].append(snapshot.nodes[node_id])
        return dict(nodes)

    def _without_python(self, work: dict[str, NodeWork], python_ns: int) -> None:
        """Takes the time inside Python generators, which have stages of their own, off their nodes."""
        generators = [path for path in work if self._seen[path].name.startswith("Generator")]
        total = sum(work[path].processing_time_ns for path in generators)
        left = max(total - python_ns, 0) / total if total else 0.0
        for path in generators:
            own_ns = round(work[path].processing_time_ns * left)
            work[path] = work[path]._replace(processing_time_ns=own_ns)

    def _add_lost(
        self, work: dict[str, NodeWork], root: str, before: Mapping[str, list[NodeCounters]]
    ) -> None:
        gone = {}
        for path, nodes in before.items():
            here = {one.node_id for one in self._nodes.get(path, ())}
            ended = [one.num_elements for one in nodes if one.node_id not in here]
            if ended:
                gone[path] = sum(ended)
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
                        estimate = self._estimate(below, elements, inputs)
                        self._done[below] = self._done[below].plus(estimate)
                        if below in inputs:
                            work[below] = work.get(below, NOTHING).plus(estimate)

    def _estimate(self, path: str, elements: float, seen: list[str]) -> NodeWork:
        if path in seen:
            return self._seen.estimate(path, elements)
        size = self._seen[seen[0]].element_bytes  # of the part beside it, which was seen
        return NodeWork(round(elements), 0, round(elements * size), 0)

    def _parts(self, inputs: list[str]) -> Sequence[str]:
        """The inputs, and beside those that are concatenated also parts that were never seen."""
        return self._sizes[inputs[0]].parts if inputs and inputs[0] in self._sizes else inputs

    def _lost(self, path: str, inputs: list[str], ratio: float) -> float:
        """How many elements a stage took from some inputs beyond what they are known to have given."""
        if inputs == self._seen[path].inputs:
            # Bytes tell also of an incomplete batch and of what was skipped or filtered out.
            sizes = {self._seen[below].element_bytes for below in inputs} - {0.0}
            if len(sizes) == 1:
                given = sum(self._done[below].bytes_produced for below in self._parts(inputs))
                return (self._done[path].bytes_consumed - given) / sizes.pop()
        taken = (self._done[path].elements + self._on_their_way(path)) * ratio
        return taken - sum(self._done[below].elements for below in self._parts(inputs))

    def _is_whole(self, path: str, below: str, gone: Mapping[str, int]) -> bool:
        """Whether nothing can have vanished between two stages: both ran on, and it opens none."""
        passing = (*_REPEATING, "Concatenate")
        name = self._seen[path].name
        return (
            below in self._nodes
            and not {path, below} & gone.keys()
            and (self._seen[below].lasting or not (opens_inputs(name) or name.startswith(passing)))
        )

    def _on_their_way(self, path: str) -> int:
        """Elements that a stage has taken and not yet given."""
        if self._seen[path].name.startswith(_KEEPING):
            return 0
        return sum(node.buffered_elements for node in self._nodes.get(path, ()))

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
        """The same for what is concatenated: the rest of one pass, and then whole passes."""
        shares = {}
        for path in sorted(inputs, key=lambda path: path not in gone):
            # What had ended goes on where it was; the others follow it, and then all in turn.
            left = self._sizes[path].elements - gone.get(path, 0)
            shares[path] = min(max(left, 0.0), lost)
            lost -= shares[path]
        return {path: known + lost * self._sizes[path].share for path, known in shares.items()}

    def _may_have_run(self, path: str) -> bool:
        """A cache is filled in one pass only: where that was not seen here, it was another's."""
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
