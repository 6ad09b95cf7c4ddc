"""The transformations of a tf.data pipeline as they were written. Plain values; knows no TensorFlow."""

import re
from collections.abc import Iterator
from enum import Enum

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location, own_name
from pipeprof.recording.stage import FunctionTrait


class Note(Enum):
    """What a reader should know of a transformation, or of a running node; the values are the words."""

    BY_KERAS = "added by Keras"
    BY_TF_DATA = "added by tf.data"
    WRAPPED_BY_KERAS = "wrapped by Keras"
    BEHIND_STRATEGY = "behind tf.distribute"
    ANOTHER_DEVICE = "a copy, before another device"
    FOR_SERVICE = "added by the tf.data service"
    HIDDEN = "made where Python cannot see it"
    MADE_OUTSIDE = "made outside its function"
    UNALIGNED = "could not be aligned"


@dataclass(frozen=True, slots=True)
class PartOf:
    """It only serves the transformation of this name."""

    name: str


Remark = Note | PartOf


def remark_text(remark: Remark) -> str:
    """A remark in words."""
    match remark:
        case Note():
            return remark.value
        case PartOf():
            return f"part of {remark.name}"


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
        location: where that function stands; without a function of the user's, as `made_at`.
        made_at: the user's line that put it into the pipeline, or None where that is not known.
        made_by: name of the function of a library that the line called for it, or None.
        python: whether its work is Python code, which holds the GIL.
        traits: of its function.
        remark: who added it, if not the user, or what else is to be known of it; or None.
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
    made_at: Location | None = None
    made_by: str | None = None
    python: bool = False
    traits: tuple[FunctionTrait, ...] = ()
    remark: Remark | None = None
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
        return self.label or own_name(self.function) or self.name

    def all(self) -> Iterator["Transformation"]:
        """This transformation and all those that it takes its elements from, directly or not."""
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
