"""AUTOTUNE's counters as plain values, and what changed between two readings of them.

It knows nothing of TensorFlow: `autotune_model` reads the counters, and this module compares them.
"""

from collections.abc import Mapping
from operator import add
from typing import NamedTuple

from pipeprof.recording.light_dataclasses import dataclass

# AUTOTUNE's model keeps this many gaps and forgets the oldest.
GAP_WINDOW = 100
# It does not count gaps over this.
LONGEST_GAP_NS = 10_000_000_000


class NodeCounters(NamedTuple):
    """What AUTOTUNE counts of one running transformation, summed since its iterator began.

    A named tuple and no dataclass: one is made for every node at every reading.

    Attributes:
        node_id: number of the node in its iterator's model; never used twice there.
        name: name of what runs (``ParallelMapV2``).
        inputs: ids of the nodes that it asks for data now.
        num_elements: elements it produced (batches, for a node that batches).
        processing_time_ns: its own work, summed over its parallel calls. Calls of user functions
            are part of it, waiting for inputs, for a free buffer and for the consumer is not; so a
            ``Prefetch`` or a ``Shuffle`` is nearly free and an interleave has only what its
            function does. A fused node has the work of all that was fused.
        bytes_produced: bytes of those elements.
        bytes_consumed: bytes of the elements it took from its inputs.
        buffered_elements: elements that lie ready in it (for a cache: all it holds).
        parallelism: calls that may run at once now, or None for a serial node. That of
            ``MapAndBatch`` counts calls of the map, not batches.
        most_parallelism: the most that AUTOTUNE may choose, or None.
        tunable: whether AUTOTUNE chooses the parallelism or buffer, or None where there is neither.
        buffer_size: elements that its buffer may hold now, or None without one.
        cycle_length: inputs that an interleave keeps open, or None.
        ratio: elements that it takes from each input for one that it gives; 0 where that varies.
    """

    node_id: int
    name: str
    inputs: tuple[int, ...]
    num_elements: int
    processing_time_ns: int
    bytes_produced: int
    bytes_consumed: int
    buffered_elements: int
    parallelism: int | None = None
    most_parallelism: int | None = None
    tunable: bool | None = None
    buffer_size: int | None = None
    cycle_length: int | None = None
    ratio: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSnapshot:
    """One reading of an iterator's model.

    Attributes:
        nodes: counters by node id.
        output: id of the node that hands batches to the consumer (``Root``).
        gap_times_us: the last `GAP_WINDOW` gaps between the end of one batch's fetch and the begin
            of the next, oldest first; gaps of over 10 s are missing.
        cpu_budget: cores that AUTOTUNE plans with.
        ram_budget: bytes that AUTOTUNE may fill with buffers.
        buffered_bytes: bytes of all elements that lie ready in buffers.
    """

    nodes: Mapping[int, NodeCounters]
    output: int
    gap_times_us: tuple[int, ...]
    cpu_budget: int
    ram_budget: int
    buffered_bytes: int = 0


class NodeWork(NamedTuple):
    """What one node did between two readings; `estimated_ns` is the estimated part of its time."""

    elements: int
    processing_time_ns: int
    bytes_produced: int
    bytes_consumed: int
    estimated_ns: int = 0

    def plus(self, other: "NodeWork") -> "NodeWork":
        """Both together."""
        return NodeWork(*map(add, self, other))


def differences(previous: ModelSnapshot | None, current: ModelSnapshot) -> Mapping[int, NodeWork]:
    """What each node of ``current`` did since ``previous``; one that did nothing is left out.

    A node that is new counts from 0. One that vanished is left out: what it did after ``previous``
    is lost with it, see `pipeprof.capture.probes.tfdata.running.lost_work`.
    """
    before = previous.nodes if previous is not None else {}
    work = {}
    for node_id, node in current.nodes.items():
        _, _, _, elements, work_ns, produced, consumed, *_ = node
        known = before.get(node_id)
        if known is not None:
            elements -= known.num_elements
            work_ns -= known.processing_time_ns
            produced -= known.bytes_produced
            consumed -= known.bytes_consumed
        if elements or work_ns:
            work[node_id] = NodeWork(elements, work_ns, produced, consumed)
    return work


# Nodes that open further inputs as they run (an interleave), by the begin of their name.
_OPENING = ("FlatMap", "Interleave", "ParallelInterleave", "LegacyParallelInterleave")


def opens_inputs(name: str) -> bool:
    """Whether a node of this name opens further inputs as it runs (an interleave)."""
    return name.startswith((*_OPENING, "GroupByWindow"))


def lasting_input(node: NodeCounters) -> int | None:
    """The input of an interleave that it takes its inputs from, or None when that has ended.

    It is made with the node itself and so has the id after it.
    """
    return node.inputs[0] if node.inputs and node.inputs[0] == node.node_id + 1 else None


def ready_batches(snapshot: ModelSnapshot) -> int | None:
    """How many batches lie ready for the consumer, or None where no buffer of batches stands before it.

    That is the fill of the first ``Prefetch`` from the output down, unless the batches are made only
    above it.
    """
    node = snapshot.nodes.get(snapshot.output)
    while node is not None and len(node.inputs) == 1:
        node = snapshot.nodes.get(node.inputs[0])
        if node is None or "Batch" in node.name:
            return None
        if node.name.startswith("Prefetch"):
            return node.buffered_elements
    return None


def first_batch_lies_ready(snapshot: ModelSnapshot) -> bool:
    """Whether the first batch of an iterator lies ready for the consumer, or has been given to it.

    Where the output runs ahead of the consumer, its first batch is there as soon as what is below it has
    given one; anything else begins to make a batch only when it is asked.
    """
    root = snapshot.nodes.get(snapshot.output)
    if root is None or len(root.inputs) != 1:
        return False
    output = snapshot.nodes.get(root.inputs[0])
    if output is None:
        return False
    if root.num_elements or output.num_elements:
        return True
    below = [snapshot.nodes[node_id] for node_id in output.inputs if node_id in snapshot.nodes]
    return output.name.startswith("Prefetch") and any(node.num_elements for node in below)


def new_gaps(
    previous_us: tuple[int, ...], current_us: tuple[int, ...], new_count: int
) -> tuple[int, ...]:
    """The gaps of ``current_us`` that were not yet in ``previous_us``.

    Both are windows over one growing list, so the end of the former is the begin of the latter.
    Where several overlaps fit (equal gaps in a row), the one closest to the hint is taken.

    Args:
        previous_us: the gaps of the reading before; empty at the first.
        current_us: the gaps now.
        new_count: elements that the root produced since; about as many gaps are new.

    Returns:
        The new gaps, oldest first: all of ``current_us`` when the windows no longer overlap.
    """
    hint = min(max(new_count, 0), len(current_us))
    least = max(0, len(current_us) - len(previous_us))
    for count in sorted(range(least, len(current_us) + 1), key=lambda count: abs(count - hint)):
        overlap = len(current_us) - count
        if _fits(previous_us, current_us, overlap):
            return current_us[overlap:]
    return current_us


def _fits(previous_us: tuple[int, ...], current_us: tuple[int, ...], overlap: int) -> bool:
    if overlap < len(previous_us) and len(current_us) < GAP_WINDOW:
        return False  # nothing falls out of a window that is not full
    return overlap == 0 or previous_us[-overlap:] == current_us[:overlap]
