"""Reads AUTOTUNE's running model of a tf.data iterator into a `ModelSnapshot`."""

from typing import Any

import tensorflow as tf

from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot, NodeCounters


def read_model(iterator: Any, previous: ModelSnapshot | None = None) -> ModelSnapshot | None:
    """Takes one reading of an iterator's model.

    Args:
        iterator: what ``iter(dataset)`` or ``dataset.as_numpy_iterator()`` returned.
        previous: the reading before of the same iterator. Where the same nodes still run, their
            names and connections are taken over from it, which halves the cost of converting.

    Returns:
        The reading, or None when there is nothing to read: autotune is off, or the iterator is of
        another kind (one over several devices).
    """
    try:
        model = tf.data.experimental.get_model_proto(iterator)
    except (tf.errors.NotFoundError, ValueError):
        return None
    return to_snapshot(model, previous)


def to_snapshot(model: Any, previous: ModelSnapshot | None = None) -> ModelSnapshot:
    """Turns a ``ModelProto`` into plain values."""
    known = previous.nodes if previous is not None else {}
    running = dict(model.nodes.items())
    nodes = {}
    buffered_bytes = 0
    if known.keys() == running.keys():
        for key, node in running.items():
            nodes[key] = _again(node, known[key])
            buffered_bytes += node.buffered_bytes
    else:
        for key, node in running.items():
            nodes[key] = _first(node)
            buffered_bytes += node.buffered_bytes
    budgets = model.optimization_params
    return ModelSnapshot(
        nodes=nodes,
        output=model.output,
        gap_times_us=tuple(model.gap_times),
        cpu_budget=budgets.cpu_budget,
        ram_budget=budgets.ram_budget,
        buffered_bytes=buffered_bytes,
    )


def _first(node: Any) -> NodeCounters:
    return NodeCounters(
        node.id,
        node.name,
        tuple(node.inputs),
        node.num_elements,
        node.processing_time,
        node.bytes_produced,
        node.bytes_consumed,
        node.buffered_elements,
        *_parameters(node),
        float(node.ratio),
    )


def _again(node: Any, known: NodeCounters) -> NodeCounters:
    # Only what AUTOTUNE may choose is read again: parameters are dear to look at.
    parallelism, buffer_size = known.parallelism, known.buffer_size
    if known.tunable:
        parallelism, _, _, buffer_size, _ = _parameters(node)
    return NodeCounters(
        known.node_id,
        known.name,
        known.inputs,
        node.num_elements,
        node.processing_time,
        node.bytes_produced,
        node.bytes_consumed,
        node.buffered_elements,
        parallelism,
        known.most_parallelism,
        known.tunable,
        buffer_size,
        known.cycle_length,
        known.ratio,
    )


def _parameters(
    node: Any,
) -> tuple[int | None, int | None, bool | None, int | None, int | None]:
    parallelism = most_parallelism = tunable = buffer_size = cycle_length = None
    # What runs is the `state_value`; `value` is only what the model would like to try.
    for parameter in node.parameters:
        match parameter.name:
            case "parallelism":
                parallelism = int(parameter.state_value)
                most_parallelism = int(parameter.max)
                tunable = parameter.tunable
            case "buffer_size":
                buffer_size = int(parameter.state_value)
                tunable = parameter.tunable
            case "cycle_length":
                cycle_length = int(parameter.value)
    return parallelism, most_parallelism, tunable, buffer_size, cycle_length
