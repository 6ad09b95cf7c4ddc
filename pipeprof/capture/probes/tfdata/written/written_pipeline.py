"""Describes a tf.data dataset as it was written: which transformations, on which lines.

A dataset links to its inputs through private parts; a dataset made inside a function (that of an
interleave) is known only as operations of that function's graph. Both are read, nothing is run.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from pipeprof.capture.probes.tfdata.written.composed_transformations import (
    PART_OF_RAGGED_BATCH,
    as_sampling,
    hidden,
    make_transformation,
    remarked,
    with_counted_input,
    with_function,
    with_origin,
)
from pipeprof.capture.probes.tfdata.written.dataset_internals import (
    PASSING,
    TRANSPARENT,
    dataset_label,
    is_dataset,
    is_noop,
    operation_behind,
    positive_number,
    unwrapped,
)
from pipeprof.capture.probes.tfdata.written.dataset_origins import origin_of, origin_of_operation
from pipeprof.capture.probes.tfdata.written.function_traits import traits_of_graphs
from pipeprof.capture.probes.tfdata.written.mapped_functions import (
    Function,
    called_functions,
    describe_function,
    describe_generator,
    describe_traced,
    function_graph,
    runs_python,
)
from pipeprof.capture.probes.tfdata.written.transformations import (
    Note,
    PartOf,
    Pipeline,
    Transformation,
    family_of,
)

# Families whose function makes a dataset for each element.
_OPENING = frozenset({"flatmap", "interleave", "groupbywindow"})
# A dataset used twice is described twice, so a few lines can write a tree of any size.
_MOST_TRANSFORMATIONS = 2000


def describe_pipeline(dataset: Any) -> Pipeline:
    """Describes a dataset.

    Runs none of its functions, takes no element, and keeps no reference to it. Never raises: what
    cannot be seen is left out, and `Pipeline.problem` has the reason.
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
        return remarked(output, Note.BY_KERAS) if self._arrays else output

    def dataset(self, dataset: Any, path: str) -> Transformation:
        """Describes a Python dataset object."""
        dataset = unwrapped(dataset)
        self._left -= 1
        family = family_of(type(dataset).__name__)
        if family == "variant" or self._left < 0:
            return hidden(path, Note.HIDDEN)
        if type(dataset).__name__.endswith("PerDeviceGenerator"):
            first = dataset._name.endswith("_0")
            return Transformation(
                name="distributed pipeline",
                family=family,
                path=path,
                remark=Note.BEHIND_STRATEGY if first else Note.ANOTHER_DEVICE,
                remote=True,
            )
        if family == "densetoragged":
            return self._ragged(dataset, path)
        inputs = tuple(
            self._input(source, f"{path}.{number}", sized=family == "concatenate")
            for number, source in enumerate(dataset._inputs())
        )
        written = make_transformation(family, path, getattr(dataset, "_name", None), inputs)
        if family == "directedinterleave" and inputs[0].remark is Note.BY_TF_DATA:
            return with_origin(as_sampling(written), origin_of(dataset))
        if family == "shuffle":
            written = replace(written, buffer_size=positive_number(dataset._buffer_size))
        if family == "snapshot":
            written = with_counted_input(written)
        functions = dataset._functions()
        graphs = [function.function.graph for function in functions]
        if graphs:
            function = describe_function(functions[0]._func)
            written = self._with_functions(written, function, graphs)
            if written.remark is Note.BY_TF_DATA and inputs and inputs[0].family == "snapshot":
                remark = PartOf(inputs[0].name)  # takes the numbers away again
                written = replace(written, remark=remark, part_of=inputs[0].path)
        written = with_origin(written, origin_of(dataset))
        return replace(written, noop=is_noop(family, dataset, graphs))

    def _input(self, dataset: Any, path: str, *, sized: bool) -> Transformation:
        written = self.dataset(dataset, path)
        return replace(written, size=positive_number(dataset.cardinality())) if sized else written

    def _ragged(self, dataset: Any, path: str) -> Transformation:
        """Half of a ``ragged_batch``: the map that it puts before the batch."""
        written = self.dataset(dataset._mapped_dataset, path)
        return replace(written, remark=PART_OF_RAGGED_BATCH)

    def _with_functions(
        self, written: Transformation, function: Function, graphs: Sequence[Any]
    ) -> Transformation:
        self._arrays = self._arrays or function.in_array_adapter
        python = any(runs_python(graph) for graph in graphs)
        traits = traits_of_graphs(graphs)
        written = with_function(written, function, python=python, traits=traits)
        if written.family in _OPENING:
            for graph in graphs:
                if graph.outputs and graph.outputs[0].dtype == tf.variant:
                    return self._opening(written, graph)
        return written

    def _opening(self, written: Transformation, graph: Any) -> Transformation:
        """Adds the dataset that the transformation's function makes."""
        inner = self.graph(graph.outputs[0], f"{written.path}/", graph)
        if written.remark is Note.BY_TF_DATA and not inner.inputs:  # a source made as a flat_map
            by_keras = inner.remark in (Note.BY_KERAS, Note.WRAPPED_BY_KERAS)
            remark = Note.BY_KERAS if by_keras else PartOf(inner.name)
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
        while operation.type in PASSING:
            operation = operation.inputs[0].op
        if operation.type.endswith("PartitionedCall"):
            called = function_graph(graph, called_functions(operation)["f"])
            return self.graph(called.outputs[tensor.value_index], path, called)
        family = family_of(operation.type)
        if operation.type == "Placeholder" or self._left < 0:
            return hidden(path, Note.MADE_OUTSIDE)
        if family in TRANSPARENT:
            return self.graph(operation.inputs[0], path, graph)
        sources = [source for source in operation.inputs if is_dataset(source)]
        inputs = tuple(
            self.graph(source, f"{path}.{number}", graph) for number, source in enumerate(sources)
        )
        written = make_transformation(family, path, dataset_label(operation), inputs)
        if family == "tensorslice" and operation_behind(operation.inputs[0]) == "MatchingFiles":
            return with_origin(replace(written, name="list_files"), origin_of_operation(operation))
        names = called_functions(operation)
        if family == "generator":
            written = _generator(written, function_graph(graph, names["next_func"]))
            return with_origin(written, origin_of_operation(operation))
        graphs = [function_graph(graph, name) for name in names.values()]
        graphs = [called for called in graphs if called is not None]
        if graphs:
            written = self._with_functions(written, describe_traced(graphs[0]), graphs)
        return with_origin(written, origin_of_operation(operation))


def _generator(written: Transformation, next_graph: Any) -> Transformation:
    function = describe_generator(next_graph)
    return with_function(
        written,
        function,
        python=runs_python(next_graph),
        traits=traits_of_graphs([next_graph]),
    )
