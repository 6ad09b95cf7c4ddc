"""Describes a tf.data dataset as it was written: which transformations, on which lines.

A dataset links to its inputs through private parts; a dataset made inside a function (that of an
interleave) is known only as operations of that function's graph. Both are read, nothing is run.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import dataset_metadata_pb2

from pipeprof.capture.probes.tfdata.mapped_functions import (
    BY_KERAS,
    BY_TF_DATA,
    WRAPPED_BY_KERAS,
    Function,
    called_functions,
    describe_function,
    describe_generator,
    describe_traced,
    function_graph,
    runs_python,
)
from pipeprof.capture.probes.tfdata.transformations import (
    ANOTHER_DEVICE,
    BEHIND_STRATEGY,
    Pipeline,
    Transformation,
    family_of,
)

# Datasets that only wrap another: they have no node when they run.
_TRANSPARENT = frozenset(
    {"options", "restructured", "finalize", "maxintraopparallelism", "privatethreadpool"}
)
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
# Whose work is done where this process's model does not count it.
_REMOTE = frozenset({"dataservice"})
PART_OF_RAGGED_BATCH = "part of ragged_batch"
# What makes a dataset for each element, and operations that hand a dataset on.
_OPENING = frozenset({"flatmap", "interleave", "groupbywindow"})
# What is nothing but its function: where that is tf.data's own, so is the transformation.
_FUNCTIONAL = frozenset({"map", "filter", "flatmap", "interleave"})
_PASSING = frozenset({"Identity", "WrapDatasetVariant", "UnwrapDatasetVariant"})
# A dataset used twice is described twice, so a few lines can write a tree of any size.
_MOST_TRANSFORMATIONS = 2000


def describe_pipeline(dataset: Any) -> Pipeline:
    """Describes a dataset.

    Runs none of its functions, takes no element, and keeps no reference to it. Never raises: what
    cannot be seen is left out, and `Pipeline.problem` says why.
    """
    try:
        return Pipeline(output=_Reader().pipeline(dataset))
    except Exception as error:  # private parts of TensorFlow: any of them may be gone
        return Pipeline(
            output=None,
            problem=f"The tf.data pipeline could not be described ({type(error).__name__}: {error}).",
        )


class _Reader:
    """Reads one dataset; counts what it has read."""

    def __init__(self) -> None:
        self._left = _MOST_TRANSFORMATIONS
        self._arrays = False

    def pipeline(self, dataset: Any) -> Transformation:
        """Describes a dataset from its output down."""
        output = self.dataset(dataset, "0")
        return _remarked(output, BY_KERAS) if self._arrays else output

    def dataset(self, dataset: Any, path: str) -> Transformation:
        """Describes a Python dataset object."""
        dataset = _unwrapped(dataset)
        self._left -= 1
        family = family_of(type(dataset).__name__)
        if family == "variant" or self._left < 0:
            return _hidden(path, "made where Python cannot see it")
        if type(dataset).__name__.endswith("PerDeviceGenerator"):
            first = dataset._name.endswith("_0")
            return Transformation(
                name="distributed pipeline",
                family=family,
                path=path,
                remark=BEHIND_STRATEGY if first else ANOTHER_DEVICE,
                remote=True,
            )
        if family == "densetoragged":
            return self._ragged(dataset, path)
        inputs = tuple(
            self._input(source, f"{path}.{number}", sized=family == "concatenate")
            for number, source in enumerate(dataset._inputs())
        )
        written = _transformation(family, path, getattr(dataset, "_name", None), inputs)
        if family == "directedinterleave" and inputs[0].remark == BY_TF_DATA:
            return _sampling(written)
        if family == "shuffle":
            written = replace(written, buffer_size=_positive(dataset._buffer_size))
        if family == "snapshot":
            written = _with_counted_input(written)
        functions = dataset._functions()
        graphs = [function.function.graph for function in functions]
        if graphs:
            function = describe_function(functions[0]._func)
            written = self._with_functions(written, function, graphs)
            if written.remark == BY_TF_DATA and inputs and inputs[0].family == "snapshot":
                remark = f"part of {inputs[0].name}"  # takes the numbers away again
                written = replace(written, remark=remark, part_of=inputs[0].path)
        return replace(written, noop=_is_noop(family, dataset, graphs))

    def _input(self, dataset: Any, path: str, *, sized: bool) -> Transformation:
        written = self.dataset(dataset, path)
        return replace(written, size=_positive(dataset.cardinality())) if sized else written

    def _ragged(self, dataset: Any, path: str) -> Transformation:
        """Half of a ``ragged_batch``: the map that it puts before the batch."""
        written = self.dataset(dataset._mapped_dataset, path)
        return replace(written, remark=PART_OF_RAGGED_BATCH)

    def _with_functions(
        self, written: Transformation, function: Function, graphs: Sequence[Any]
    ) -> Transformation:
        self._arrays = self._arrays or function.in_array_adapter
        python = any(runs_python(graph) for graph in graphs)
        written = _with_function(written, function, python)
        if written.family in _OPENING:
            for graph in graphs:
                if graph.outputs and graph.outputs[0].dtype == tf.variant:
                    return self._opening(written, graph)
        return written

    def _opening(self, written: Transformation, graph: Any) -> Transformation:
        """Adds the dataset that the transformation's function makes."""
        inner = self.graph(graph.outputs[0], f"{written.path}/", graph)
        if written.remark == BY_TF_DATA and not inner.inputs:  # a source made as a flat_map
            by_keras = inner.remark in (BY_KERAS, WRAPPED_BY_KERAS)
            remark = BY_KERAS if by_keras else f"part of {inner.name}"
            inputs = tuple(
                source if source.inputs else replace(source, remark=remark, part_of=inner.path)
                for source in written.inputs
            )
            written = replace(written, remark=remark, part_of=inner.path, inputs=inputs)
        return replace(written, inner=inner)

    def graph(self, tensor: Any, path: str, graph: Any) -> Transformation:
        """Describes a dataset known by the tensor that a function returns."""
        self._left -= 1
        operation = tensor.op
        while operation.type in _PASSING:
            operation = operation.inputs[0].op
        if operation.type.endswith("PartitionedCall"):
            called = function_graph(graph, called_functions(operation)["f"])
            return self.graph(called.outputs[tensor.value_index], path, called)
        family = family_of(operation.type)
        if operation.type == "Placeholder" or self._left < 0:
            return _hidden(path, "made outside its function")
        if family in _TRANSPARENT:
            return self.graph(operation.inputs[0], path, graph)
        sources = [source for source in operation.inputs if _is_dataset(source)]
        inputs = tuple(
            self.graph(source, f"{path}.{number}", graph) for number, source in enumerate(sources)
        )
        written = _transformation(family, path, _label(operation), inputs)
        if family == "tensorslice" and _source(operation.inputs[0]) == "MatchingFiles":
            return replace(written, name="list_files")
        names = called_functions(operation)
        if family == "generator":
            return _generator(written, function_graph(graph, names["next_func"]))
        graphs = [function_graph(graph, name) for name in names.values()]
        graphs = [called for called in graphs if called is not None]
        if graphs:
            written = self._with_functions(written, describe_traced(graphs[0]), graphs)
        return written


def _transformation(
    family: str, path: str, label: str | None, inputs: tuple[Transformation, ...]
) -> Transformation:
    by_keras = any(source.remark == BY_KERAS for source in inputs)
    ragged = family == "batch" and any(source.remark == PART_OF_RAGGED_BATCH for source in inputs)
    return Transformation(
        name="ragged_batch" if ragged else _NAMES.get(family, family),
        family=family,
        path=path,
        label=label,
        remark=BY_KERAS if by_keras else None,
        remote=family in _REMOTE,
        inputs=inputs,
    )


def _hidden(path: str, remark: str) -> Transformation:
    return Transformation(name="dataset", family="", path=path, remark=remark)


def _unwrapped(dataset: Any) -> Any:
    """The dataset whose transformation runs."""
    while True:
        if hasattr(dataset, "_impl"):  # readers of files
            dataset = dataset._impl
        elif type(dataset).__name__ == "DatasetV1Adapter":
            dataset = dataset._dataset
        elif family_of(type(dataset).__name__) in _TRANSPARENT:
            dataset = dataset._inputs()[0]
        else:
            return dataset


def _with_function(written: Transformation, function: Function, python: bool) -> Transformation:
    mapped = written.family in _FUNCTIONAL
    return replace(
        written,
        function=function.name,
        location=function.location,
        remark=function.remark if mapped or function.remark != BY_TF_DATA else None,
        python=python,
    )


def _generator(written: Transformation, next_graph: Any) -> Transformation:
    function = describe_generator(next_graph)
    return _with_function(written, function, runs_python(next_graph))


def _sampling(written: Transformation) -> Transformation:
    """``sample_from_datasets``: tf.data writes its first input, which draws the numbers."""
    name = "sample_from_datasets"
    selector = _part(written.inputs[0], name, written.path)
    return replace(written, name=name, inputs=(selector, *written.inputs[1:]))


def _with_counted_input(written: Transformation) -> Transformation:
    """``snapshot``: tf.data numbers its input, to spread it over files."""
    numbered = written.inputs[0]
    if numbered.family != "zip" or numbered.inputs[0].inputs:
        return written
    counter = _part(numbered.inputs[0], written.name, written.path)
    numbered = replace(
        numbered,
        remark=f"part of {written.name}",
        part_of=written.path,
        inputs=(counter, *numbered.inputs[1:]),
    )
    return replace(written, inputs=(numbered,))


def _part(written: Transformation, name: str, path: str) -> Transformation:
    """The same, with all that it takes its elements from, as a part of another."""
    return replace(
        written,
        remark=f"part of {name}",
        part_of=path,
        inputs=tuple(_part(source, name, path) for source in written.inputs),
    )


def _remarked(written: Transformation, remark: str) -> Transformation:
    """The same, with a remark on all of it."""
    return replace(
        written,
        remark=remark,
        inputs=tuple(_remarked(source, remark) for source in written.inputs),
        inner=_remarked(written.inner, remark) if written.inner is not None else None,
    )


def _positive(number: Any) -> int | None:
    """A tensor of one number as such, or None where it stands for something unknown or endless."""
    value = tf.get_static_value(number)
    return int(value) if value is not None and value > 0 else None


def _is_noop(family: str, dataset: Any, graphs: Sequence[Any]) -> bool:
    """Whether tf.data drops it: its ``noop_elimination`` knows just these."""
    match family:
        case "take":
            return bool(dataset._count == -1)
        case "skip":
            return bool(dataset._count == 0)
        case "repeat":
            return bool(dataset._count == 1)
        case "shard":
            return bool(dataset._num_shards == 1)
        case "map":
            return _returns_its_inputs(graphs[0])
    return False


def _returns_its_inputs(graph: Any) -> bool:
    returned = []
    for tensor in graph.outputs:
        while tensor.op.type == "Identity":
            tensor = tensor.op.inputs[0]
        returned.append(tensor.name)
    return returned == [tensor.name for tensor in graph.inputs]


def _is_dataset(tensor: Any) -> bool:
    operation = tensor.op
    while operation.type in _PASSING:
        operation = operation.inputs[0].op
    made = "Dataset" in operation.type or operation.type.endswith("PartitionedCall")
    return tensor.dtype == tf.variant and (made or operation.type == "Placeholder")


def _source(tensor: Any) -> str:
    """What kind of operation a tensor comes from."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return str(tensor.op.type)


def _label(operation: Any) -> str | None:
    metadata = operation.node_def.attr["metadata"].s
    return dataset_metadata_pb2.Metadata.FromString(metadata).name.decode() or None
