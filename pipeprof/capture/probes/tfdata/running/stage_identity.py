"""What a running node of AUTOTUNE's model is to the user. Plain values; knows no TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import FunctionTrait, OperatorFamily, StageKind, StageOwner

ROOT_PATH = "root"
# Behind the path of a cache: its passes after the first, which only read what that one has kept.
LATER = " later"


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
        location: where that function stands; without a function of the user's, as `made_at`.
        made_at: the user's line that put it into the pipeline, or None where that is not known.
        made_by: name of the function of a library that the line called for it, or None.
        running: name of what runs (``MapAndBatch``).
        written: what was written for it (``map → batch``); empty for what nobody wrote.
        fused: whether several transformations were written for it.
        owner: who wrote it or added it.
        traits: of the functions that run there.
        remark: what a reader should know of it, or None.
        buffer_size: elements that it was configured to keep to choose from, or None.
    """

    path: str
    parent: str | None
    stage: str
    name: str
    kind: StageKind
    function: str | None = None
    location: Location | None = None
    made_at: Location | None = None
    made_by: str | None = None
    running: str
    written: str = ""
    fused: bool = False
    owner: StageOwner = StageOwner.USER
    traits: tuple[FunctionTrait, ...] = ()
    remark: str | None = None
    buffer_size: int | None = None


# What the name of a running node holds, by what it does; the first that fits counts.
_FAMILIES = (
    ("generator", OperatorFamily.GENERATOR),
    ("shuffle", OperatorFamily.SHUFFLE),
    ("cache", OperatorFamily.CACHE),
    ("filter", OperatorFamily.FILTER),
    ("skip", OperatorFamily.SKIP),
    ("prefetch", OperatorFamily.PREFETCH),
    ("interleave", OperatorFamily.INTERLEAVE),
    ("mapandbatch", OperatorFamily.MAP_AND_BATCH),
    ("flatmap", OperatorFamily.FLAT_MAP),
    ("map", OperatorFamily.MAP),
    ("batch", OperatorFamily.BATCH),
    ("window", OperatorFamily.WINDOW),
    ("tfrecord", OperatorFamily.READ),
    ("textline", OperatorFamily.READ),
    ("fixedlengthrecord", OperatorFamily.READ),
    ("csv", OperatorFamily.READ),
)


def operator_family(running: str) -> OperatorFamily:
    """What a running node does, by the name that TensorFlow has for it (``ParallelMapV2``)."""
    name = running.lower()
    return next((family for part, family in _FAMILIES if part in name), OperatorFamily.OTHER)


def is_parallel(running: str) -> bool:
    """Whether a running node has threads of its own, by the name that TensorFlow has for it."""
    return "parallel" in running.lower()


class RunningNode(Protocol):
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
    def nodes(self) -> Mapping[int, RunningNode]:
        """Running nodes by id."""

    @property
    def output(self) -> int:
        """Id of the node that hands out batches."""
