"""Reads AUTOTUNE's running model of a tf.data iterator into a `ModelSnapshot`."""

from typing import Any

import tensorflow as tf

from pipeprof.probes.tfdata_snapshots import ModelSnapshot, NodeCounters

_NONE = (None, None, None)


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
    unchanged = len(known) == len(model.nodes) and all(key in known for key in model.nodes)
    nodes = {
        key: _again(node, known[key]) if unchanged else _first(node)
        for key, node in model.nodes.items()
    }
    budgets = model.optimization_params
    return ModelSnapshot(
        nodes=nodes,
        output=model.output,
        gap_times_us=tuple(model.gap_times),
        cpu_budget=budgets.cpu_budget,
        ram_budget=budgets.ram_budget,
        buffered_bytes=sum(node.buffered_bytes for node in model.nodes.values()),
    )


def _first(node: Any) -> NodeCounters:
    has_parameters = bool(node.parameters)
    return _counters(
        node, node.id, node.name, tuple(node.inputs), has_parameters, float(node.ratio)
    )


def _again(node: Any, known: NodeCounters) -> NodeCounters:
    has_parameters = (known.parallelism, known.buffer_size, known.cycle_length) != _NONE
    return _counters(node, known.node_id, known.name, known.inputs, has_parameters, known.ratio)


def _counters(
    node: Any,
    node_id: int,
    name: str,
    inputs: tuple[int, ...],
    has_parameters: bool,
    ratio: float,
) -> NodeCounters:
    parallelism = most_parallelism = tunable = buffer_size = cycle_length = None
    # What runs is the `state_value`; `value` is only what the model would like to try.
    for parameter in node.parameters if has_parameters else ():
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
    return NodeCounters(
        node_id,
        name,
        inputs,
        node.num_elements,
        node.processing_time,
        node.bytes_produced,
        node.bytes_consumed,
        node.buffered_elements,
        parallelism,
        most_parallelism,
        tunable,
        buffer_size,
        cycle_length,
        ratio,
    )
