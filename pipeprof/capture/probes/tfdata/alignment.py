"""Says which written transformation each running node of AUTOTUNE's model is.

What runs is not what was written: tf.data fuses, drops and adds transformations, and an interleave
has a sub-tree for every input that it keeps open. Both trees are walked from the output down; what
fits nowhere is shown under its running name. Works on plain values and knows nothing of TensorFlow.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import NamedTuple, Protocol

from pipeprof.capture.probes.tfdata.model_snapshots import opens_inputs
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """One transformation as it was written.

    Attributes:
        name: how one writes it (``map``, ``flat_map``, ``from_generator``).
        family: what running nodes of it are called, see `family_of`; empty when it is hidden from
            Python, so that anything below may run for it.
        path: its place in the pipeline, the same for every iterator of the same dataset.
        label: the name that the user gave it, or None.
        function: qualified name of the user's function, or None.
        location: where that function stands, or None.
        python: whether its work is Python code, which holds the GIL.
        remark: who added it, if not the user, or None.
        noop: whether it changes nothing, so that tf.data drops it.
        part_of: path of the transformation that it only serves, or None.
        remote: whether its elements come from where tf.data counts nothing for us.
        size: how many elements a pass of it has, or None where that is not known.
        buffer_size: elements that it keeps to choose from, or None.
        inputs: what it takes its elements from.
        inner: the dataset that its function makes for each element (interleave), or None.
    """

    name: str
    family: str
    path: str
    label: str | None = None
    function: str | None = None
    location: Location | None = None
    python: bool = False
    remark: str | None = None
    noop: bool = False
    part_of: str | None = None
    remote: bool = False
    size: int | None = None
    buffer_size: int | None = None
    inputs: tuple["Transformation", ...] = ()
    inner: "Transformation | None" = None

    @property
    def shown(self) -> str:
        """The user's name for it, or its function's, or its own."""
        function = self.function.rpartition(".")[2] if self.function else ""
        return self.label or (function if function.isidentifier() else self.name)

    def all(self) -> Iterator["Transformation"]:
        """It and all that it takes its elements from."""
        pending: list[Transformation] = [self]
        while pending:
            one = pending.pop()
            yield one
            pending += one.inputs if one.inner is None else (*one.inputs, one.inner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A dataset as it was written, without any reference to it.

    Attributes:
        output: the last transformation, or None when nothing of it could be seen.
        problem: why something could not be described, in one sentence, or None.
    """

    output: Transformation | None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageIdentity:
    """What a running node is to the user.

    Attributes:
        path: its place in the pipeline: the same in every iterator and epoch, and for all open
            inputs of an interleave, so that nodes with equal paths are added up.
        parent: path of the stage that asks it for data, or None for the root.
        stage: path of the stage that it is shown as: its own, unless it only serves another.
        name: what to call it.
        kind: `StageKind.TF_DATA`, or `StageKind.TF_DATA_PYTHON` when its function is Python.
        function: qualified name of the user's function, or None.
        location: where that function stands, or None.
        running: name of what runs (``MapAndBatch``).
        written: what was written for it (``map → batch``); empty for what nobody wrote.
        remark: what a reader should know of it, or None.
        buffer_size: elements that it was told to keep to choose from, or None.
    """

    path: str
    parent: str | None
    stage: str
    name: str
    kind: StageKind
    function: str | None = None
    location: Location | None = None
    running: str
    written: str = ""
    remark: str | None = None
    buffer_size: int | None = None


class Node(Protocol):
    """A running node: a ``ModelProto.Node`` or `NodeCounters`."""

    @property
    def name(self) -> str:
        """Name of what runs."""

    @property
    def inputs(self) -> Sequence[int]:
        """Ids of the nodes that it asks for data."""


class Model(Protocol):
    """A ``ModelProto`` or a `ModelSnapshot`."""

    @property
    def nodes(self) -> Mapping[int, Node]:
        """Running nodes by id."""

    @property
    def output(self) -> int:
        """Id of the node that hands out batches."""


ROOT_PATH = "root"
# Behind the path of a cache: its passes after the first, which only read what that one has kept.
LATER = " later"
ADDED = "added by tf.data"
UNALIGNED = "could not be aligned"
BEHIND_STRATEGY = "behind tf.distribute"
ANOTHER_DEVICE = "the same, before another device"
FIRST_PASS = "first pass, fills it"
LATER_PASSES = "later passes, read it"

_PREFIXES = re.compile("^(Parallel|Legacy|Finite|Forever|Empty|Memory|File)+(?=[A-Z])")
_SUFFIXES = re.compile(r"(Dataset)?(V\d+)?(/_\d+)?$")
_ALIASES = {
    "fromtensor": "tensor",
    "fromsparsetensorslice": "sparsetensorslice",
    # What tf.distribute puts before each device.
    "perdevicegenerator": "generator",
    "reincarnatedperdevicegenerator": "generator",
}


def family_of(name: str) -> str:
    """What all variants of a transformation have in common.

    Works for names of running nodes (``ParallelMapV2``, ``FiniteTake``), of graph operations
    (``ParallelMapDatasetV2``) and of dataset classes (``_ParallelMapDataset``).
    """
    bare = _PREFIXES.sub("", _SUFFIXES.sub("", name.lstrip("_"))).lower()
    return _ALIASES.get(bare, bare)


def align(
    pipeline: Pipeline, model: Model, known: Mapping[int, StageIdentity] | None = None
) -> Mapping[int, StageIdentity]:
    """Joins running nodes with written transformations.

    Args:
        pipeline: what was written.
        model: what runs.
        known: the answer for an earlier reading of the same iterator. It settles which of several
            alike inputs is still there after others have ended, and makes the call nearly free
            when nothing changed.

    Returns:
        The identity of every node that can be reached from the output, by id.
    """
    known = known or {}
    if known and all(node_id in known for node_id in model.nodes):
        return {node_id: known[node_id] for node_id in model.nodes}
    root = model.nodes[model.output]
    identities = {
        model.output: StageIdentity(
            path=ROOT_PATH,
            parent=None,
            stage=ROOT_PATH,
            name=root.name,
            kind=StageKind.TF_DATA,
            running=root.name,
        )
    }
    matcher = _Matcher(model, known)
    for child in root.inputs:
        try:
            plan = matcher.match(child, pipeline.output)
        except RecursionError:  # hundreds of transformations of which few fit
            plan = matcher.match(child, None)
        for match in plan.steps(model.output):
            identities[match.node_id] = _identify(match, model, identities[match.asked_by])
    return identities


# What it costs to hold two trees for one. Only the order matters: something that tf.data is known
# to do is cheap, something unexplained dear, giving up on a node dearest.
_DROPPED = 4
_ADDED = 1
_UNEXPECTED = 12
_GIVEN_UP = 10

# Running nodes that do the work of two written ones, the outer first.
_FUSIONS = {"mapandbatch": ("batch", "map"), "shuffleandrepeat": ("repeat", "shuffle")}


@dataclass(frozen=True, slots=True)
class _Match:
    """One running node, the written transformations that it runs, and who asks it for data.

    ``written`` has the one whose name it carries first. Empty: nobody wrote it. ``serves`` is the
    path of the transformation that it is a part of.
    """

    node_id: int
    asked_by: int
    written: tuple[Transformation, ...] = ()
    remark: str | None = None
    serves: str | None = None


class _Own(NamedTuple):
    """A running node of a plan: the fields of `_Match`."""

    node_id: int
    written: tuple[Transformation, ...] = ()
    remark: str | None = None
    serves: str | None = None


@dataclass(slots=True)
class _Plan:
    """One way to hold a running sub-tree for a written one."""

    cost: int = 0
    own: list[_Own] = field(default_factory=list)
    branches: list["_Plan"] = field(default_factory=list)

    def steps(self, asked_by: int) -> Iterable[_Match]:
        """All its matches, each after the one that asks it for data."""
        for own in self.own:
            yield _Match(own.node_id, asked_by, own.written, own.remark, own.serves)
            asked_by = own.node_id
        for branch in self.branches:
            yield from branch.steps(asked_by)

    def add(self, branch: "_Plan") -> None:
        """Hangs a sub-tree below the last node of its own."""
        self.branches.append(branch)
        self.cost += branch.cost


class _Matcher:
    """Finds the cheapest way to hold one tree for the other."""

    def __init__(self, model: Model, known: Mapping[int, StageIdentity]) -> None:
        self._nodes = model.nodes
        self._known = known
        self._plans: dict[tuple[int, str], _Plan] = {}

    def match(self, node_id: int, written: Transformation | None) -> _Plan:
        key = (node_id, written.path if written is not None else "")
        if key not in self._plans:
            self._plans[key] = self._match(node_id, written)
        return self._plans[key]

    def _match(self, node_id: int, written: Transformation | None) -> _Plan:
        plan = _Plan()
        while True:
            if written is None or not written.family:
                if written is None:
                    plan.add(self._give_up(node_id, _GIVEN_UP, UNALIGNED))
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
        """The next pair of a plain chain, which needs no choice and so no recursion."""
        inputs = self._nodes[node_id].inputs
        plain = len(inputs) == len(written.inputs) == 1 and written.inner is None
        if not plain or opens_inputs(self._nodes[node_id].name) or self._part(node_id) is not None:
            return None
        return inputs[0], written.inputs[0]

    def _cheapest(
        self, node_id: int, written: Transformation, together: tuple[Transformation, ...]
    ) -> _Plan:
        node = self._nodes[node_id]
        best = self._give_up(node_id, _GIVEN_UP, UNALIGNED)
        if together:
            paired = _Plan(1, [_Own(node_id, together)])
            best = _cheaper(best, self._branch(paired, node_id, together[-1]))
        added = family_of(node.name) == "prefetch"
        serves = written.path if self._unpacks(node, written) else None
        own_cost = _ADDED if added or serves else _UNEXPECTED
        if len(node.inputs) == 1 and own_cost < best.cost:
            remark = _part_of(written) if serves else ADDED if added else UNALIGNED
            between = _Plan(own_cost, [_Own(node_id, (), remark, serves)])
            between.add(self.match(node.inputs[0], written))
            best = _cheaper(best, between)
        own_cost = 0 if written.noop else _DROPPED
        if len(written.inputs) == 1 and own_cost < best.cost:
            dropped = _Plan(own_cost)
            dropped.add(self.match(node_id, written.inputs[0]))
            best = _cheaper(best, dropped)
        return best

    def _branch(self, plan: _Plan, node_id: int, written: Transformation) -> _Plan:
        """Adds the sub-trees below a node that is known to be ``written``."""
        part = self._part(node_id)
        if part is not None:
            if self._nodes[part].name.endswith("Reader"):  # of what an earlier pass has written
                plan.add(self._give_up(part, 0, _part_of(written), written.path))
            else:
                own = _Own(part, (), _part_of(written), written.path)
                plan.add(self._branch(_Plan(0, [own]), part, written))
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

    def _unpacks(self, node: Node, written: Transformation) -> bool:
        """Whether a map only unpacks what came from elsewhere."""
        below = self._nodes[node.inputs[0]].name if len(node.inputs) == 1 else ""
        same = family_of(below) == written.family
        return written.remote and family_of(node.name) == "map" and same

    def _branch_opened(self, plan: _Plan, node_id: int, written: Transformation) -> None:
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
        """Which input each child is; inputs that have ended are no longer there."""
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
        self, node_id: int, cost: int, remark: str | None, serves: str | None = None
    ) -> _Plan:
        plan = _Plan(cost, [_Own(node_id, (), remark, serves)])
        for child in self._nodes[node_id].inputs:
            plan.add(self._give_up(child, cost, remark, serves))
        return plan


def _part_of(written: Transformation) -> str:
    return f"part of {written.name}"


def _cheaper(first: _Plan, second: _Plan) -> _Plan:
    return second if second.cost < first.cost else first


def _run_by(node: Node, written: Transformation) -> tuple[Transformation, ...]:
    """What of ``written``, from the output down, this node may be; empty if it is another."""
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


def _identify(match: _Match, model: Model, asked_by: StageIdentity) -> StageIdentity:
    running = model.nodes[match.node_id].name
    if not match.written:
        path = f"{asked_by.path}>{running.partition('/')[0]}"
        within = match.serves is not None and asked_by.path.startswith(match.serves)
        return StageIdentity(
            path=path,
            parent=asked_by.path,
            stage=asked_by.stage if within else match.serves or path,
            name=running,
            kind=StageKind.TF_DATA,
            running=running,
            remark=match.remark,
        )
    # The innermost has the work and the function, unless it only serves the one around it.
    working = match.written[0 if match.written[-1].remark else -1]
    others = [part.name for part in match.written if part is not working and not part.remark]
    later = _only_reads(model, match.node_id)
    remarks = [
        working.remark,
        *(f"runs fused with {name}" for name in others),
        LATER_PASSES if later else FIRST_PASS if family_of(running) == "cache" else None,
    ]
    path = f"{match.written[0].path}{LATER if later else ''}"
    return StageIdentity(
        path=path,
        parent=asked_by.path,
        stage=match.written[0].part_of or path,
        name=working.shown,
        kind=_kind(working),
        function=working.function,
        location=working.location,
        running=running,
        written=" → ".join(part.name for part in reversed(match.written)),
        remark="; ".join(remark for remark in remarks if remark) or None,
        buffer_size=working.buffer_size,
    )


def _kind(working: Transformation) -> StageKind:
    if working.remote:
        return StageKind.TF_DATA_REMOTE
    return StageKind.TF_DATA_PYTHON if working.python else StageKind.TF_DATA


def _only_reads(model: Model, node_id: int) -> bool:
    """Whether it is a cache that is full: it asks nobody any more."""
    node = model.nodes[node_id]
    if family_of(node.name) != "cache" or len(node.inputs) != 1:
        return False
    inside = model.nodes[node.inputs[0]]
    return inside.name.startswith(node.name) and not inside.inputs
