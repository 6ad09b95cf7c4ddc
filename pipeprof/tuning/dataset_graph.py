"""The graph of a tf.data pipeline: taken from a dataset, and made a dataset again.

A dataset is serialised by TensorFlow's own operation, and imported into a function of its own. The
functions of the imported graph get fresh names, because TensorFlow refuses two that differ under one name.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from pipeprof.errors import TuningRefused

# External state (tables, variables) is shared with the dataset and not copied.
_IGNORE_EXTERNAL_STATE = 1

_numbers = itertools.count()


def graph_of(dataset: Any) -> Any:
    """The graph of a dataset as a ``GraphDef``.

    Args:
        dataset: a ``tf.data.Dataset``.

    Raises:
        TuningRefused: TensorFlow cannot serialise it.
    """
    try:
        serialised = tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(dataset),
            external_state_policy=_IGNORE_EXTERNAL_STATE,
            strip_device_assignment=True,
        )
    except tf.errors.OpError as error:
        raise TuningRefused(
            f"expected a pipeline that TensorFlow can serialise, received one that it cannot "
            f"({_first_line(error.message)}): it can be tuned by hand only."
        ) from error
    return tf.compat.v1.GraphDef.FromString(serialised.numpy())


def dataset_from(graph: Any, like: Any) -> Any:
    """A dataset that runs a graph.

    Args:
        graph: a ``GraphDef`` as `graph_of` gives it, changed or not.
        like: the dataset that the graph was taken from: gives the element spec and the options.

    Raises:
        TuningRefused: TensorFlow cannot build it.
    """
    output = next(node for node in graph.node if node.op == "_Retval")
    variant, holder = variant_from(graph, output.input[0].partition(":")[0])
    dataset = tf.data.experimental.from_variant(variant, like.element_spec)
    dataset.pipeprof_graph = holder
    return dataset.with_options(like.options())


def variant_from(graph: Any, node: str) -> tuple[Any, object]:
    """What a transformation of a graph gives as a variant tensor, and what has to live as long as it does.

    Raises:
        TuningRefused: TensorFlow cannot build it.
    """
    fresh = _with_fresh_functions(graph)
    for index in reversed(range(len(fresh.node))):
        if fresh.node[index].op == "_Retval":
            del fresh.node[index]

    def build() -> Any:
        [variant] = tf.graph_util.import_graph_def(fresh, return_elements=[f"{node}:0"], name="")
        return variant

    try:
        wrapped = tf.compat.v1.wrap_function(build, [])
        return wrapped(), wrapped
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise TuningRefused(
            f"TensorFlow refused the changed pipeline: {_last_line(error)}"
        ) from error


def _with_fresh_functions(graph: Any) -> Any:
    fresh = type(graph)()
    fresh.CopyFrom(graph)
    suffix = f"_tuned{next(_numbers)}"
    names = {
        function.signature.name: function.signature.name + suffix
        for function in fresh.library.function
    }
    for function in fresh.library.function:
        function.signature.name = names[function.signature.name]
    for gradient in fresh.library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)
    for node in _all_nodes(fresh):
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            _rename(value, names)
    for function in fresh.library.function:
        for value in function.attr.values():
            _rename(value, names)
    return fresh


def _rename(value: Any, names: dict[str, str]) -> None:
    if value.func.name in names:
        value.func.name = names[value.func.name]
    for listed in value.list.func:
        listed.name = names.get(listed.name, listed.name)


def _all_nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _first_line(error: object) -> str:
    return str(error).strip().splitlines()[0]


def _last_line(error: object) -> str:
    """What is wrong: TensorFlow says first where, and behind the text the operation's name."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("[[")), "")
