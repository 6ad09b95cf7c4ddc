"""Changes of a tf.data pipeline, made in its graph. Each gives a new graph, the old one stays as it is.

The operations and their inputs are those of TensorFlow's ``dataset_ops`` (api_def and ops.pbtxt): a map has
its parallelism as last input, a parallel interleave as well, a cache has a file name.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pipeprof.errors import TuningRefused
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleBehind,
    MoveShuffleFirst,
    SetCalls,
)

SERIAL_MAP, PARALLEL_MAP = "MapDataset", "ParallelMapDatasetV2"
FLAT_MAP = "FlatMapDataset"
SERIAL_INTERLEAVE, PARALLEL_INTERLEAVE = "InterleaveDataset", "ParallelInterleaveDatasetV4"
BATCHES = ("BatchDataset", "BatchDatasetV2", "ParallelBatchDataset")
SHUFFLES = ("ShuffleDataset", "ShuffleDatasetV2", "ShuffleDatasetV3")
CACHES = ("CacheDataset", "CacheDatasetV2")
FILTER = "FilterDataset"
# What lets a pass give another order or more than one pass: nothing keeps it for good.
_NOT_KEPT = (*SHUFFLES, "ShuffleAndRepeatDataset", "ShuffleAndRepeatDatasetV2", "RepeatDataset")
MAPS = (SERIAL_MAP, PARALLEL_MAP)
INTERLEAVES = (
    SERIAL_INTERLEAVE,
    "ParallelInterleaveDatasetV2",
    "ParallelInterleaveDatasetV3",
    PARALLEL_INTERLEAVE,
)

# How many files of a flat_map are opened ahead of the one that is read.
_OPENED_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A transformation in the graph of a pipeline.

    Attributes:
        name: its name in the graph.
        op: its operation.
        function: name of its function in the graph, or None.
        inputs: names of the transformations that it takes elements from.
        calls: how many calls it makes at once, `AUTOTUNE`, or None where it makes them one by one.
    """

    name: str
    op: str
    function: str | None
    inputs: tuple[str, ...]
    calls: int | None


def nodes_of(graph: Any) -> tuple[GraphNode, ...]:
    """The transformations of a pipeline, its sources first."""
    by_name = {node.name: node for node in graph.node}
    return tuple(
        GraphNode(
            name=node.name,
            op=node.op,
            function=_function_of(node),
            inputs=tuple(name for name in _plain(node.input) if _is_dataset(by_name.get(name))),
            calls=_calls_of(node, by_name),
        )
        for node in graph.node
        if _is_dataset(node)
    )


# What stands before what else: an exchange needs its neighbours, and a cache stands on what is there then.
_ORDER = (
    MoveShuffleFirst,
    MoveShuffleBehind,
    MoveFilterFirst,
    MoveBatchFirst,
    SetCalls,
    DropCache,
    AddCache,
)


def edit_order(edit: Edit) -> int:
    """In which order edits of one graph are made."""
    return _ORDER.index(type(edit)) if type(edit) in _ORDER else len(_ORDER)


def bound_below(graph: Any, name: str) -> int | None:
    """How many elements a batch has, or None where that is no constant, and for other transformations."""
    node = _find(graph, name)
    if node.op not in BATCHES:
        return None
    return _constant_of({one.name: one for one in graph.node}.get(_plain(node.input)[1]))


def without_shuffles(graph: Any) -> Any:
    """The graph in which no transformation shuffles."""
    changed = type(graph)()
    changed.CopyFrom(graph)
    for node in [node.name for node in changed.node if node.op in SHUFFLES]:
        _bypass(changed, node)
    return changed


def edit_graph(graph: Any, edit: Edit, trial_elements: int | None = None) -> Any:
    """The graph with one change.

    Args:
        graph: the graph; it stays as it is.
        edit: the change.
        trial_elements: how many elements are let through to a new cache; all where it is None.

    Raises:
        TuningRefused: the pipeline does not take this change.
    """
    changed = type(graph)()
    changed.CopyFrom(graph)
    match edit:
        case SetCalls():
            _parallel_calls(changed, edit.node, edit.calls)
        case AddCache():
            _cache_behind(changed, edit.node, trial_elements)
        case DropCache():
            _bypass(changed, edit.node)
        case MoveShuffleFirst():
            _exchange(changed, edit.shuffle, edit.node)
        case MoveShuffleBehind():
            _shuffle_behind(changed, edit.shuffle, edit.node)
        case MoveFilterFirst():
            _filter_first(changed, edit.filter, edit.node)
        case MoveBatchFirst():
            _exchange(changed, edit.batch, edit.node)
            _find(changed, edit.batch).attr["output_shapes"].Clear()
            _batched_shapes(changed, edit.batch)
        case _:
            raise TuningRefused(f"expected a change of a graph, received {edit.tag}.")
    return _in_order(changed)


def types_of(node: Any) -> Any:
    """The types of a transformation's elements; some sources keep them under another name."""
    return node.attr["output_types" if "output_types" in node.attr else "Toutput_types"]


def copy_spec(to: Any, node: Any) -> None:
    """Gives a transformation the element types and shapes of another."""
    to.attr["output_types"].CopyFrom(types_of(node))
    to.attr["output_shapes"].CopyFrom(node.attr["output_shapes"])


def _parallel_calls(graph: Any, name: str, calls: int) -> None:
    node = _find(graph, name)
    if node.op in (PARALLEL_MAP, *INTERLEAVES[1:]):
        node.input[-1] = _constant(graph, np.int64(calls))
    elif node.op == SERIAL_MAP:
        node.op = PARALLEL_MAP
        node.input.append(_constant(graph, np.int64(calls)))
        node.attr["deterministic"].s = b"default"
    elif node.op in (SERIAL_INTERLEAVE, FLAT_MAP):
        flat = node.op == FLAT_MAP
        if flat:
            node.input.append(_constant(graph, np.int64(1)))  # cycle_length
            node.input.append(_constant(graph, np.int64(1)))  # block_length
        node.op = PARALLEL_INTERLEAVE
        ahead = _OPENED_AHEAD if flat else AUTOTUNE
        node.input.append(_constant(graph, np.int64(AUTOTUNE)))  # buffer_output_elements
        node.input.append(_constant(graph, np.int64(ahead)))  # prefetch_input_elements
        # Of one open input no more than one call is made at once; AUTOTUNE is allowed all the same.
        node.input.append(_constant(graph, np.int64(AUTOTUNE if flat else calls)))
        node.attr["deterministic"].s = b"default"
    else:
        raise TuningRefused(f"expected a map or an interleave, received {node.op}.")


def _batched_shapes(graph: Any, name: str) -> None:
    """A batch's shapes are those of what it takes with one more axis."""
    batch = _find(graph, name)
    source = _find(graph, _plain(batch.input)[0])
    for shape in source.attr["output_shapes"].list.shape:
        batched = batch.attr["output_shapes"].list.shape.add()
        if shape.unknown_rank:
            batched.unknown_rank = True
            continue
        batched.dim.add().size = -1
        batched.dim.extend(shape.dim)


def _cache_behind(graph: Any, name: str, elements: int | None) -> None:
    node = _find(graph, name)
    kept = next((one.op for one in _standing_below(graph, name) if one.op in _NOT_KEPT), None)
    if kept is not None:
        raise TuningRefused(f"a cache there would keep what a {kept} below it gave first.")
    if elements is not None:
        take = graph.node.add()
        take.name, take.op = f"trial_of/{name}", "TakeDataset"
        _retarget(graph, name, take.name, but=take.name)
        take.input.extend([name, _constant(graph, np.int64(elements))])
        copy_spec(take, node)
        node = take
    name = node.name
    cache = graph.node.add()
    cache.name = f"cache_behind/{name}"
    cache.op = "CacheDatasetV2"
    memory = graph.node.add()
    memory.name, memory.op = f"memory_behind/{name}", "DummyMemoryCache"
    _retarget(graph, name, cache.name, but=cache.name)
    cache.input.extend([name, _constant(graph, b""), memory.name])
    copy_spec(cache, node)


def _standing_below(graph: Any, name: str) -> Iterator[Any]:
    """A transformation and all that it takes its elements from."""
    by_name = {node.name: node for node in graph.node}
    pending, seen = [name], set()
    while pending:
        current = pending.pop()
        if current not in seen and _is_dataset(by_name.get(current)):
            seen.add(current)
            yield by_name[current]
            pending += _plain(by_name[current].input)


def _require_one_reader(graph: Any, name: str) -> None:
    """What else reads a transformation would see the exchange as well."""
    if sum(name in _plain(node.input) for node in graph.node) != 1:
        raise TuningRefused(f"{name} feeds other transformations, too.")


def _bypass(graph: Any, name: str) -> None:
    node = _find(graph, name)
    _retarget(graph, name, _plain(node.input)[0])
    graph.node.remove(node)


def _exchange(graph: Any, upper: str, lower: str) -> None:
    """Lets what stood behind a map stand before it; it has to keep elements as they are."""
    copy_spec(_find(graph, upper), _find(graph, _exchanged(graph, upper, lower)))


def _shuffle_behind(graph: Any, shuffle: str, mapped: str) -> None:
    _exchanged(graph, mapped, shuffle)
    copy_spec(_find(graph, shuffle), _find(graph, mapped))


def _exchanged(graph: Any, upper: str, lower: str) -> str:
    """Exchanges two transformations, of which the upper takes from the lower; returns their source."""
    above, below = _find(graph, upper), _find(graph, lower)
    if _plain(above.input)[0] != lower:
        raise TuningRefused(f"expected {upper} behind {lower}, found it elsewhere.")
    _require_one_reader(graph, lower)
    source: str = _plain(below.input)[0]
    _retarget(graph, upper, lower)
    above.input[0], below.input[0] = source, upper
    return source


def _filter_first(graph: Any, name: str, mapped: str) -> None:
    """Moves a filter before a map whose function hands on unchanged what the filter looks at."""
    selects, maps = _find(graph, name), _find(graph, mapped)
    functions = {function.signature.name: function for function in graph.library.function}
    predicate, function = functions[_function_of(selects)], functions[_function_of(maps)]
    handed_on = _handed_on(function)
    arguments = [argument.name for argument in predicate.signature.input_arg]
    taken = dict(zip(arguments, (out.name for out in function.signature.output_arg), strict=False))
    used = {_bare(inner) for node in predicate.node_def for inner in node.input} | {
        _bare(value) for value in predicate.ret.values()
    }
    renamed = {}
    for argument in arguments:
        if argument not in used:
            continue
        if taken.get(argument) not in handed_on:
            raise TuningRefused("the filter looks at what the map makes: it cannot come before it.")
        renamed[argument] = handed_on[taken[argument]]
    moved = graph.library.function.add()
    moved.CopyFrom(predicate)
    moved.signature.name = f"{predicate.signature.name}_first"
    own = {node.name for node in predicate.node_def}
    prefix = "taken/" if own & {argument.name for argument in function.signature.input_arg} else ""
    del moved.signature.input_arg[:]
    moved.arg_attr.clear()
    for argument in function.signature.input_arg:
        copied = moved.signature.input_arg.add()
        copied.CopyFrom(argument)
        copied.name = (prefix + argument.name).replace("/", "_")
    for node in moved.node_def:
        for index, inner in enumerate(node.input):
            node.input[index] = _renamed_input(inner, renamed, prefix)
    for key, value in moved.ret.items():
        moved.ret[key] = _renamed_input(value, renamed, prefix)
    if len(_plain(maps.input)) > 1 + (maps.op == PARALLEL_MAP):
        raise TuningRefused("the map's function captures tensors of its own.")
    selects.attr["predicate"].func.name = moved.signature.name
    selects.attr["Targuments"].list.Clear()
    del selects.input[1:]
    _exchange(graph, name, mapped)


def _handed_on(function: Any) -> dict[str, str]:
    """Which argument each result of a function is, of those that it hands on unchanged."""
    arguments = {argument.name for argument in function.signature.input_arg}
    identities = {
        node.name: node.input[0]
        for node in function.node_def
        if node.op in ("Identity", "IdentityN")
        and len([name for name in node.input if not name.startswith("^")]) == 1
    }
    found = {}
    for result, value in function.ret.items():
        source = value
        while source not in arguments and _bare(source) in identities:
            source = identities[_bare(source)]
        if source in arguments:
            found[result] = source
    return found


def _renamed_input(name: str, renamed: dict[str, str], prefix: str) -> str:
    if name in renamed:
        return (prefix + renamed[name]).replace("/", "_")
    return name


def _bare(name: str) -> str:
    return name.lstrip("^").partition(":")[0]


def _plain(inputs: Any) -> list[str]:
    return [_bare(name) for name in inputs if not name.startswith("^")]


def _is_dataset(node: Any) -> bool:
    return node is not None and "output_shapes" in node.attr and "Dataset" in node.op


def _function_of(node: Any) -> str | None:
    for attribute in ("f", "predicate", "reduce_func", "key_func"):
        if attribute in node.attr and node.attr[attribute].func.name:
            return str(node.attr[attribute].func.name)
    return None


def _calls_of(node: Any, by_name: dict[str, Any]) -> int | None:
    if node.op not in (PARALLEL_MAP, *INTERLEAVES[1:]):
        return None
    return _constant_of(by_name.get(_plain(node.input)[-1]))


def _constant_of(node: Any) -> int | None:
    if node is None or node.op != "Const":
        return None
    return int(tf.make_ndarray(node.attr["value"].tensor))


def _find(graph: Any, name: str) -> Any:
    for node in graph.node:
        if node.name == name:
            return node
    raise TuningRefused(f"the pipeline has no transformation {name}.")


def _retarget(graph: Any, old: str, new: str, but: str = "") -> None:
    for node in graph.node:
        if node.name != but:
            for index, name in enumerate(node.input):
                if _bare(name) == old:
                    node.input[index] = new


def _constant(graph: Any, value: Any) -> str:
    names = {node.name for node in graph.node}
    name = next(name for n in itertools.count() if (name := f"tuned_constant/{n}") not in names)
    node = graph.node.add()
    node.name, node.op = name, "Const"
    tensor = tf.make_tensor_proto(value)
    node.attr["value"].tensor.CopyFrom(tensor)
    node.attr["dtype"].type = tensor.dtype
    return name


def _in_order(graph: Any) -> Any:
    """The graph with each node behind those that it takes."""
    by_name = {node.name: node for node in graph.node}
    ordered: dict[str, Any] = {}
    for node in graph.node:
        for name in _before(node.name, by_name, ordered):
            ordered[name] = by_name[name]
    sorted_graph = type(graph)()
    sorted_graph.CopyFrom(graph)
    del sorted_graph.node[:]
    sorted_graph.node.extend(ordered.values())
    return sorted_graph


def _before(name: str, by_name: dict[str, Any], placed: dict[str, Any]) -> Iterator[str]:
    """A node's name behind the names of all that it takes and that is not placed yet."""
    pending = [(name, False)]
    seen = set(placed)
    while pending:
        current, ready = pending.pop()
        if ready:
            yield current
        elif current not in seen:
            seen.add(current)
            pending.append((current, True))
            pending += [(_bare(source), False) for source in by_name[current].input]
