"""A tf.data pipeline that is tuned: what it consists of, and the pipelines that edits make of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipeprof.clock import now_ns
from pipeprof.errors import TuningRefused
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.pipeline_edits import (
    AddCache,
    AddPrefetch,
    Edit,
    MoveBatchFirst,
    PrivateThreads,
    TurnAutotuneOn,
)
from pipeprof.tuning.dataset_graph import dataset_from, graph_of, variant_from
from pipeprof.tuning.graph_edits import (
    FLAT_MAP,
    MAPS,
    SHUFFLES,
    GraphNode,
    bound_below,
    copy_spec,
    edit_graph,
    edit_order,
    nodes_of,
    types_of,
    without_shuffles,
)

# Operations by which a function gives other results each time: they draw, shuffle, or keep something.
_RANDOM = (
    "Assign",
    "Random",
    "Shuffle",
    "Multinomial",
    "StatefulStandard",
    "StatefulUniform",
    "StatefulTruncated",
    "Rng",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstElements:
    """The first elements that a transformation gives.

    Attributes:
        elements: how many there are in a pass, or None where that is not known.
        element_bytes: bytes of one, on average; None where they cannot be counted.
        repeats: whether two passes gave equal elements.
    """

    elements: int | None
    element_bytes: float | None
    repeats: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The Python code of a transformation.

    Attributes:
        function: name of the user's function.
        file: its file.
        line: its first line.
    """

    function: str
    file: str
    line: int


class TfDataInput:
    """A dataset and its graph.

    Args:
        dataset: a ``tf.data.Dataset``.

    Raises:
        TuningRefused: TensorFlow cannot serialise it.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._graph = graph_of(dataset)
        self._unshuffled = without_shuffles(self._graph)
        self._python = {
            _text(wrapper.function.name): (one, wrapper)
            for one in _all_datasets(dataset)
            if (wrapper := getattr(one, "_map_func", None)) is not None
        }
        self.nodes = nodes_of(self._graph)

    @property
    def autotunes(self) -> bool:
        """Whether tf.data tunes what is set to AUTOTUNE."""
        return self._dataset.options().autotune.enabled is not False

    @property
    def shuffles(self) -> bool:
        """Whether a transformation shuffles."""
        return any(node.op in SHUFFLES for node in self.nodes)

    def written(self, node: GraphNode) -> Written | None:
        """The Python function of a transformation, or None where there is none to be seen."""
        function = self._python_function(node)
        code = getattr(function, "__code__", None)
        if code is None or self.opens_generator(node):
            return None
        name = getattr(function, "__qualname__", code.co_name)
        return Written(function=name, file=code.co_filename, line=code.co_firstlineno)

    def opens_generator(self, node: GraphNode) -> bool:
        """Whether it is the ``flat_map`` with which ``from_generator`` opens its one generator."""
        code = getattr(self._python_function(node), "__code__", None)
        return node.op == FLAT_MAP and code is not None and _is_tensorflows(code.co_filename)

    def _python_function(self, node: GraphNode) -> Any:
        """The Python function of a transformation, or None where there is none to be seen."""
        found = self._python.get(node.function or "")
        return getattr(found[1], "_func", None) if found else None

    def is_random(self, node: GraphNode) -> bool:
        """Whether the function of a transformation draws random numbers, as far as its operations show."""
        pending, seen = [node.function], set()
        functions = {function.signature.name: function for function in self._graph.library.function}
        while pending:
            name = pending.pop()
            if name is None or name in seen or name not in functions:
                continue
            seen.add(name)
            for inner in functions[name].node_def:
                if any(word in inner.op for word in _RANDOM) and not inner.op.startswith(
                    "Stateless"
                ):
                    return True
                pending += [value.func.name for value in inner.attr.values() if value.func.name]
                pending += [
                    listed.name for value in inner.attr.values() for listed in value.list.func
                ]
        return False

    def below(self, node: GraphNode) -> Iterator[GraphNode]:
        """A transformation and all those that it takes its elements from."""
        by_name = {one.name: one for one in self.nodes}
        pending = [node.name]
        while pending:
            one = by_name[pending.pop()]
            yield one
            pending += one.inputs

    def batch_size(self, node: GraphNode) -> int | None:
        """How many elements a batch has, or None for other transformations."""
        return bound_below(self._graph, node.name)

    def probe(self, node: GraphNode, most: int, within_ns: int) -> FirstElements:
        """Takes the first elements of a transformation, twice and without any shuffling.

        Where elements cannot be taken, or not be looked at, nothing is known of them.
        """
        part = self._part(node)
        cardinality = int(part.cardinality())
        elements = cardinality if cardinality >= 0 else None
        try:
            passes = [list(_first_of(part, most, within_ns)) for _ in range(2)]
            sizes = [sum(map(_bytes_of, leaves)) for leaves in passes[0]]
            common = min(map(len, passes))
            repeats = common > 0 and all(
                _equal(*pair) for pair in zip(*(taken[:common] for taken in passes), strict=True)
            )
        except (
            Exception
        ):  # whatever a function of the user's raises; what stands above may ignore that
            return FirstElements(elements=elements, element_bytes=None, repeats=False)
        return FirstElements(
            elements=elements,
            element_bytes=sum(sizes) / len(sizes) if sizes else None,
            repeats=repeats,
        )

    def edited(
        self,
        edits: Sequence[Edit],
        trial_elements: int | None = None,
        *,
        unshuffled: bool = False,
    ) -> Any:
        """The dataset with changes.

        Args:
            edits: the changes, in any order.
            trial_elements: of a cached transformation only so many elements are taken, so that a
                short trial comes to the passes that read the cache.
            unshuffled: whether nothing shuffles, so that elements can be compared one by one.

        Raises:
            TuningRefused: the pipeline does not take them.
        """
        graph, above = self._graph, []
        batched: tuple[MoveBatchFirst, ...] = ()
        for edit in sorted(edits, key=edit_order):
            match edit:
                case AddPrefetch() | TurnAutotuneOn() | PrivateThreads():
                    above.append(edit)
                case MoveBatchFirst():
                    batched = (*batched, edit)
                case AddCache() if trial_elements is not None:
                    graph = edit_graph(graph, edit, trial_elements)
                case _:
                    graph = edit_graph(graph, edit)
        for edit in batched:
            graph = self._batched_first(graph, edit)
        if unshuffled:
            graph = without_shuffles(graph)
        same = not edits and not unshuffled
        dataset = self._dataset if same else dataset_from(graph, self._dataset)
        for edit in above:
            dataset = _above(dataset, edit)
        return dataset

    def _part(self, node: GraphNode) -> Any:
        """The pipeline up to a transformation, unshuffled, as a dataset of flat elements."""
        if node.op in SHUFFLES:
            node = next(one for one in self.nodes if one.name == node.inputs[0])
            return self._part(node)
        own = next(one for one in self._graph.node if one.name == node.name)
        spec = tuple(
            tf.TensorSpec(shape, tf.as_dtype(dtype))
            for shape, dtype in zip(
                (tf.TensorShape(shape) for shape in own.attr["output_shapes"].list.shape),
                types_of(own).list.type,
                strict=True,
            )
        )
        variant, holder = variant_from(self._unshuffled, node.name)
        part = tf.data.experimental.from_variant(variant, spec)
        part.pipeprof_graph = holder
        return part

    def _batched_first(self, graph: Any, edit: MoveBatchFirst) -> Any:
        """Traces a map's function anew, for batches: its graph is made for single elements."""
        node = next(one for one in self.nodes if one.name == edit.node)
        found = self._python.get(node.function or "")
        if found is None:
            raise TuningRefused(
                "the map's function cannot be seen: it cannot be traced for batches."
            )
        written, wrapper = found
        source = written._inputs()[0]
        size = self.batch_size(next(one for one in self.nodes if one.name == edit.batch))
        if size is None:
            raise TuningRefused("the size of the batches is not a constant.")
        batches = source.batch(size, drop_remainder=_drops_remainder(graph, edit.batch))
        try:
            mapped = batches.map(wrapper._func)
        except Exception as error:  # whatever a function of the user's raises
            raise TuningRefused("the map's function does not take batches.") from error
        return _with_batched_map(graph, edit, graph_of(mapped))


def _with_batched_map(graph: Any, edit: MoveBatchFirst, traced: Any) -> Any:
    """Exchanges a map and the batch behind it, with the map's function for batches out of another graph."""
    changed = edit_graph(graph, edit)
    donor = [node for node in traced.node if node.op in MAPS][-1]
    node = next(one for one in changed.node if one.name == edit.node)
    if list(donor.attr["Targuments"].list.type) != list(node.attr["Targuments"].list.type):
        raise TuningRefused(
            "the map's function captures other tensors when it is traced for batches."
        )
    node.attr["f"].func.name = donor.attr["f"].func.name
    copy_spec(node, donor)
    known = {function.signature.name for function in changed.library.function}
    changed.library.function.extend(
        function for function in traced.library.function if function.signature.name not in known
    )
    return changed


def _above(dataset: Any, edit: Edit) -> Any:
    options = tf.data.Options()
    match edit:
        case AddPrefetch():
            return dataset.prefetch(tf.data.AUTOTUNE)
        case TurnAutotuneOn():
            options.autotune.enabled = True
        case PrivateThreads():
            options.threading.private_threadpool_size = edit.threads
    return dataset.with_options(options)


def _first_of(part: Any, most: int, within_ns: int) -> Iterator[list[Any]]:
    start_ns = now_ns()
    for element in part.take(most):
        yield list(tf.nest.flatten(element))
        if now_ns() - start_ns > within_ns:
            return


def _all_datasets(dataset: Any) -> Iterator[Any]:
    pending = [dataset]
    while pending:
        one = pending.pop()
        yield one
        pending += one._inputs()


def _drops_remainder(graph: Any, name: str) -> bool:
    node = next(one for one in graph.node if one.name == name)
    by_name = {one.name: one for one in graph.node}
    given = by_name.get(node.input[-1])
    return bool(
        given is not None and given.op == "Const" and tf.make_ndarray(given.attr["value"].tensor)
    )


def _bytes_of(leaf: Any) -> int:
    if leaf.dtype == tf.string:
        return int(tf.reduce_sum(tf.strings.length(leaf)))
    return int(tf.size(leaf)) * int(leaf.dtype.size)


def _equal(one: list[Any], other: list[Any]) -> bool:
    """Whether two elements are equal; what is not a number equals itself here."""
    return len(one) == len(other) and all(
        np.array_equal(_values_of(left), _values_of(right), equal_nan=left.dtype.is_floating)
        for left, right in zip(one, other, strict=True)
    )


def _values_of(leaf: Any) -> Any:
    """An array, also of a single text, which TensorFlow gives as bytes."""
    return np.asarray(leaf.numpy(), object if leaf.dtype == tf.string else None)


def _is_tensorflows(file: str) -> bool:
    return Path(file).is_relative_to(Path(tf.__file__).parent)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
