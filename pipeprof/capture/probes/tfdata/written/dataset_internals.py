"""What private parts of TensorFlow's dataset objects and operations show. Nothing is run or kept."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import dataset_metadata_pb2

from pipeprof.capture.probes.tfdata.written.transformations import family_of

# Datasets that only wrap another: they have no node when they run.
TRANSPARENT = frozenset(
    {"options", "restructured", "finalize", "maxintraopparallelism", "privatethreadpool"}
)
# Operations that hand a dataset on.
PASSING = frozenset({"Identity", "WrapDatasetVariant", "UnwrapDatasetVariant"})


def unwrapped(dataset: Any) -> Any:
    """The dataset whose transformation runs."""
    while True:
        if hasattr(dataset, "_impl"):  # readers of files
            dataset = dataset._impl
        elif type(dataset).__name__ == "DatasetV1Adapter":
            dataset = dataset._dataset
        elif family_of(type(dataset).__name__) in TRANSPARENT:
            dataset = dataset._inputs()[0]
        else:
            return dataset


def positive_number(number: Any) -> int | None:
    """The number in a scalar tensor, or None where it is unknown or stands for an endless dataset."""
    value = tf.get_static_value(number)
    return int(value) if value is not None and value > 0 else None


def is_noop(family: str, dataset: Any, graphs: Sequence[Any]) -> bool:
    """Whether tf.data drops a transformation: its ``noop_elimination`` knows just these."""
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


def is_dataset(tensor: Any) -> bool:
    """Whether a tensor of a graph is a dataset."""
    operation = tensor.op
    while operation.type in PASSING:
        operation = operation.inputs[0].op
    made = "Dataset" in operation.type or operation.type.endswith("PartitionedCall")
    return tensor.dtype == tf.variant and (made or operation.type == "Placeholder")


def operation_behind(tensor: Any) -> str:
    """What kind of operation a tensor comes from."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return str(tensor.op.type)


def dataset_label(operation: Any) -> str | None:
    """The name that the user gave a transformation, or None."""
    metadata = operation.node_def.attr["metadata"].s
    return dataset_metadata_pb2.Metadata.FromString(metadata).name.decode() or None
