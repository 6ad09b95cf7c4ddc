"""Makes `Transformation` values, and marks those that tf.data or Keras wrote as a part of another one."""

from dataclasses import replace

from pipeprof.capture.probes.tfdata.written.dataset_origins import DatasetOrigin
from pipeprof.capture.probes.tfdata.written.mapped_functions import Function
from pipeprof.capture.probes.tfdata.written.transformations import (
    Note,
    PartOf,
    Remark,
    Transformation,
)
from pipeprof.recording.code_owner import is_users_file
from pipeprof.recording.stage import FunctionTrait

_NAMES = {
    "assertcardinality": "assert_cardinality",
    "csv": "CsvDataset",
    "dataservice": "tf.data service",
    "directedinterleave": "choose_from_datasets",
    "fixedlengthrecord": "FixedLengthRecordDataset",
    "flatmap": "flat_map",
    "generator": "from_generator",
    "groupbywindow": "group_by_window",
    "ignoreerrors": "ignore_errors",
    "mapandbatch": "map_and_batch",
    "paddedbatch": "padded_batch",
    "shuffleandrepeat": "shuffle_and_repeat",
    "takewhile": "take_while",
    "tensor": "from_tensors",
    "tensorslice": "from_tensor_slices",
    "textline": "TextLineDataset",
    "tfrecord": "TFRecordDataset",
}
# Families whose work another process does, so that this process's model does not count it.
_REMOTE = frozenset({"dataservice"})
PART_OF_RAGGED_BATCH = PartOf("ragged_batch")
# Families that do nothing but call a function: where that is tf.data's own, so is the transformation.
_FUNCTIONAL = frozenset({"map", "filter", "flatmap", "interleave"})


def make_transformation(
    family: str, path: str, label: str | None, inputs: tuple[Transformation, ...]
) -> Transformation:
    """Makes the transformation of a family, named as it is written in code."""
    by_keras = any(source.remark is Note.BY_KERAS for source in inputs)
    ragged = family == "batch" and any(source.remark == PART_OF_RAGGED_BATCH for source in inputs)
    return Transformation(
        name="ragged_batch" if ragged else _NAMES.get(family, family),
        family=family,
        path=path,
        label=label,
        remark=Note.BY_KERAS if by_keras else None,
        remote=family in _REMOTE,
        inputs=inputs,
    )


def hidden(path: str, remark: Note) -> Transformation:
    """Makes the transformation that stands for whatever Python cannot see."""
    return Transformation(name="dataset", family="", path=path, remark=remark)


def with_function(
    written: Transformation,
    function: Function,
    *,
    python: bool,
    traits: tuple[FunctionTrait, ...],
) -> Transformation:
    """Adds the function of a transformation, whether that is Python code, and what it does."""
    mapped = written.family in _FUNCTIONAL
    return replace(
        written,
        function=function.name,
        location=function.location,
        remark=function.remark if mapped or function.remark is not Note.BY_TF_DATA else None,
        python=python,
        traits=traits,
    )


def with_origin(written: Transformation, origin: DatasetOrigin | None) -> Transformation:
    """Adds where the user made a transformation, if it is the user's and that is known."""
    if origin is None or written.remark in (Note.BY_KERAS, Note.BY_TF_DATA):
        return written
    users_function = written.location is not None and is_users_file(written.location.file)
    return replace(
        written,
        location=written.location if users_function else origin.location,
        made_at=origin.location,
        made_by=origin.library,
    )


def as_sampling(written: Transformation) -> Transformation:
    """``sample_from_datasets``: tf.data writes its first input, which draws the numbers."""
    name = "sample_from_datasets"
    selector = _as_part(written.inputs[0], name, written.path)
    return replace(written, name=name, inputs=(selector, *written.inputs[1:]))


def with_counted_input(written: Transformation) -> Transformation:
    """``snapshot``: tf.data numbers its input, to spread it over files."""
    numbered = written.inputs[0]
    if numbered.family != "zip" or numbered.inputs[0].inputs:
        return written
    counter = _as_part(numbered.inputs[0], written.name, written.path)
    numbered = replace(
        numbered,
        remark=PartOf(written.name),
        part_of=written.path,
        inputs=(counter, *numbered.inputs[1:]),
    )
    return replace(written, inputs=(numbered,))


def _as_part(written: Transformation, name: str, path: str) -> Transformation:
    """Marks a transformation, and all that it takes its elements from, as a part of another one.

    Args:
        written: the transformation.
        name: name of the other one.
        path: place of the other one in the pipeline.
    """
    return replace(
        written,
        remark=PartOf(name),
        part_of=path,
        inputs=tuple(_as_part(source, name, path) for source in written.inputs),
    )


def remarked(written: Transformation, remark: Remark) -> Transformation:
    """Puts a remark on a transformation and on all that it takes its elements from."""
    return replace(
        written,
        remark=remark,
        inputs=tuple(remarked(source, remark) for source in written.inputs),
        inner=remarked(written.inner, remark) if written.inner is not None else None,
    )
