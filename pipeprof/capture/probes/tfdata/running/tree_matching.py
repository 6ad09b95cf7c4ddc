"""Finds which written transformation each running node runs: the match of two trees that costs least.

What runs is not what was written: tf.data fuses, drops and adds transformations, and an interleave
has a sub-tree for every input that it keeps open. Works on plain values and knows nothing of
TensorFlow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from itertools import combinations, islice
from typing import NamedTuple

from pipeprof.capture.probes.tfdata.running.model_snapshots import opens_inputs
from pipeprof.capture.probes.tfdata.running.stage_identity import Model, RunningNode, StageIdentity
from pipeprof.capture.probes.tfdata.written.transformations import (
    Note,
    PartOf,
    Remark,
    Transformation,
    family_of,
)
from pipeprof.recording.light_dataclasses import dataclass

# What it costs to hold two trees for one. Only the order matters: something that tf.data is known
# to do is cheap, something unexplained dear, giving up on a node dearest.
_DROPPED = 4
_ADDED = 1
_UNEXPECTED = 12
_GIVEN_UP = 10

# What tf.data adds by itself; where several devices share a batch, it divides that between them.
_ADDED_FAMILIES = frozenset({"prefetch", "rebatch"})

# Running nodes that do the work of two written ones, the outer first.
_FUSIONS = {"mapandbatch": ("batch", "map"), "shuffleandrepeat": ("repeat", "shuffle")}


@dataclass(frozen=True, slots=True)
class Match:
    """One running node with the written transformations that it runs.

    Attributes:
        node_id: the node.
        asked_by: the node that asks it for data.
        written: the transformations, first the one whose name it has; empty if nobody wrote it.
        remark: what a reader should know about it, or None.
        serves: path of the transformation that it is a part of, or None.
    """

    node_id: int
    asked_by: int
    written: tuple[Transformation, ...] = ()
    remark: Remark | None = None
    serves: str | None = None


class _Own(NamedTuple):
    """A running node of a plan: the fields of `Match`."""

    node_id: int
    written: tuple[Transformation, ...] = ()
    remark: Remark | None = None
    serves: str | None = None


@dataclass(slots=True)
class Plan:
    """One way to match a running sub-tree with a written one."""

    cost: int = 0
    own: list[_Own] = field(default_factory=list)
    branches: list["Plan"] = field(default_factory=list)

    def steps(self, asked_by: int) -> Iterable[Match]:
        """All its matches, each after the one that asks it for data."""
        for own in self.own:
            yield Match(own.node_id, asked_by, own.written, own.remark, own.serves)
            asked_by = own.node_id
        for branch in self.branches:
            yield from branch.steps(asked_by)

    def add(self, branch: "Plan") -> None:
        """Hangs a sub-tree below the last node of its own."""
        self.branches.append(branch)
        self.cost += branch.cost


class TreeMatcher:
    """Finds the match of two trees that costs least."""

    def __init__(self, model: Model, known: Mapping[int, StageIdentity]) -> None:
        self._nodes = model.nodes
        self._known = known
        self._plans: dict[tuple[int, str], Plan] = {}

    def match(self, node_id: int, written: Transformation | None) -> Plan:
        """The cheapest plan for a node and all below it; None is written for what fits nothing."""
        key = (node_id, written.path if written is not None else "")
        if key not in self._plans:
            self._plans[key] = self._match(node_id, written)
        return self._plans[key]

    def _match(self, node_id: int, written: Transformation | None) -> Plan:
        plan = Plan()
        while True:
            if written is None or not written.family:
                if written is None:
                    plan.add(self._give_up(node_id, _GIVEN_UP, Note.UNALIGNED))
                else:
                    plan.add(self._give_up(node_id, 0, written.remark, written.part_of))
                return plan
            together = _run_by(self._nodes[node_id], written)
            if not together or any(part.noop for part in together):
                plan.add(self._cheapest(node_id, written, together))
                return plan
            plan.own.append(_Own(node_id, together))
            following = self._following(node_id, together[-1])
            if following is None:
                return self._branch(plan, node_id, together[-1])
            node_id, written = following

    def _following(
        self, node_id: int, written: Transformation
    ) -> tuple[int, Transformation] | None:
        """The next pair of a chain of single inputs, which needs no choice and so no recursion."""
        inputs = self._nodes[node_id].inputs
        plain = len(inputs) == len(written.inputs) == 1 and written.inner is None
        if not plain or opens_inputs(self._nodes[node_id].name) or self._part(node_id) is not None:
            return None
        return inputs[0], written.inputs[0]

    def _cheapest(
        self, node_id: int, written: Transformation, together: tuple[Transformation, ...]
    ) -> Plan:
        node = self._nodes[node_id]
        best = self._give_up(node_id, _GIVEN_UP, Note.UNALIGNED)
        if together:
            paired = Plan(1, [_Own(node_id, together)])
            best = _cheaper(best, self._branch(paired, node_id, together[-1]))
        added = family_of(node.name) in _ADDED_FAMILIES
        serves = written.path if self._unpacks(node, written) else None
        own_cost = _ADDED if added or serves else _UNEXPECTED
        if len(node.inputs) == 1 and own_cost < best.cost:
            remark = (
                PartOf(written.name) if serves else Note.BY_TF_DATA if added else Note.UNALIGNED
            )
            between = Plan(own_cost, [_Own(node_id, (), remark, serves)])
            between.add(self.match(node.inputs[0], written))
            best = _cheaper(best, between)
        own_cost = 0 if written.noop else _DROPPED
        if len(written.inputs) == 1 and own_cost < best.cost:
            dropped = Plan(own_cost)
            dropped.add(self.match(node_id, written.inputs[0]))
            best = _cheaper(best, dropped)
        return best

    def _branch(self, plan: Plan, node_id: int, written: Transformation) -> Plan:
        """Adds the sub-trees below a node that is known to be ``written``."""
        part = self._part(node_id)
        if part is not None:
            if self._nodes[part].name.endswith("Reader"):  # of what an earlier pass has written
                plan.add(self._give_up(part, 0, PartOf(written.name), written.path))
            else:
                own = _Own(part, (), PartOf(written.name), written.path)
                plan.add(self._branch(Plan(0, [own]), part, written))
        elif opens_inputs(self._nodes[node_id].name):
            self._branch_opened(plan, node_id, written)
        else:
            for child, expected in self._pairs(self._nodes[node_id].inputs, written.inputs):
                plan.add(self.match(child, expected))
        return plan

    def _part(self, node_id: int) -> int | None:
        """The second node of a stage that runs as two (``MemoryCache`` and ``MemoryCacheImpl``)."""
        node = self._nodes[node_id]
        if len(node.inputs) == 1 and family_of(node.name) in ("cache", "snapshot"):
            child = self._nodes[node.inputs[0]].name
            return node.inputs[0] if child.startswith(node.name) else None
        return None

    def _unpacks(self, node: RunningNode, written: Transformation) -> bool:
        """Whether a map only unpacks what came from elsewhere."""
        below = self._nodes[node.inputs[0]].name if len(node.inputs) == 1 else ""
        same = family_of(below) == written.family
        return written.remote and family_of(node.name) == "map" and same

    def _branch_opened(self, plan: Plan, node_id: int, written: Transformation) -> None:
        children = list(self._nodes[node_id].inputs)
        lasting = written.inputs[0] if written.inputs else None
        if children and self._is_lasting(children[0], node_id, written):
            plan.add(self.match(children.pop(0), lasting))
        for child in children:
            plan.add(self.match(child, written.inner))

    def _is_lasting(self, child: int, node_id: int, written: Transformation) -> bool:
        """Whether this is what an interleave takes its inputs from, and not one of those."""
        if child in self._known:
            known = self._known[child].path
            return written.inner is None or not known.startswith(written.inner.path)
        return child == node_id + 1

    def _pairs(
        self, children: Sequence[int], inputs: tuple[Transformation, ...]
    ) -> Iterable[tuple[int, Transformation | None]]:
        """Pairs each child with the input that it runs; inputs that have ended have no child any more."""
        if len(children) < len(inputs):
            paths = [self._known[child].path for child in children if child in self._known]
            by_path = {written.path: written for written in inputs}
            if len(paths) == len(children) and all(path in by_path for path in paths):
                return [(child, by_path[path]) for child, path in zip(children, paths, strict=True)]
            choices = islice(combinations(inputs, len(children)), 100)
            inputs = min(choices, key=lambda chosen: self._cost(children, chosen))
        rest = [None] * (len(children) - len(inputs))
        return list(zip(children, (*inputs, *rest), strict=True))

    def _cost(self, children: Sequence[int], inputs: tuple[Transformation, ...]) -> int:
        pairs = zip(children, inputs, strict=True)
        return sum(self.match(child, written).cost for child, written in pairs)

    def _give_up(
        self, node_id: int, cost: int, remark: Remark | None, serves: str | None = None
    ) -> Plan:
        plan = Plan(cost, [_Own(node_id, (), remark, serves)])
        for child in self._nodes[node_id].inputs:
            plan.add(self._give_up(child, cost, remark, serves))
        return plan


def _cheaper(first: Plan, second: Plan) -> Plan:
    return second if second.cost < first.cost else first


def _run_by(node: RunningNode, written: Transformation) -> tuple[Transformation, ...]:
    """The parts of ``written``, from the output down, that this node may run; empty if it runs another."""
    family = family_of(node.name)
    if family == written.family:
        return (written,)
    if family not in _FUSIONS:
        return ()
    outer, inner = _FUSIONS[family]
    if written.family != outer or len(written.inputs) != 1:
        return ()
    below = written.inputs[0]
    while below.noop and below.inputs:
        below = below.inputs[0]
    return (written, below) if below.family == inner else ()
