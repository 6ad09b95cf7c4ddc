"""The pipelines of loops inside graphs as readings of a model, and how long those loops waited.

Works on what was read of a trace and knows nothing of TensorFlow.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot, NodeCounters
from pipeprof.recording.intervals import time_inside
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray
from pipeprof.xspace.graph_iterators import GraphIterators, IteratorPath

ROOT = "Root"
# Runs the body of a ``for`` over a dataset for each of its elements.
_LOOP = "Scan"
# What tf.data puts around the loop.
_AROUND = ("Prefetch", "TakeWhile", "ParallelMapV2", "MaxIntraOpParallelism", "Model")


def find_input(traced: GraphIterators) -> IteratorPath | None:
    """The place that the loop takes its elements from, or None where there is no loop in the trace."""
    loops = [path for path in traced.places if path[-1] == _LOOP and set(path[1:-1]) <= {*_AROUND}]
    above = min(loops, key=len, default=(ROOT,))
    return next((path for path in traced.places if path[:-1] == above), None)


class Calls(NamedTuple):
    """How many calls of a stage may run at once, and whether AUTOTUNE chooses that.

    Both are None for a stage that makes one call at a time.
    """

    at_once: int | None = None
    autotuned: bool | None = None


NO_CALLS = Calls()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopShare:
    """What a trace of a part of a call shows of the whole call.

    Attributes:
        elements: how many elements the loop took.
        wait_ns: how long it waited for them.
    """

    elements: int
    wait_ns: int


def share_of_call(
    asked: IntArray, window: tuple[int, int], call: tuple[int, int], ahead_ns: int
) -> LoopShare:
    """What the loop of a call did, of which a part was traced.

    The wait for the first element counts once; what comes after it goes on as it was in the trace.

    Args:
        asked: when the loop asked for elements, rows of begin and end on the trace's clock.
        window: begin and end of the trace.
        call: begin and end of the call.
        ahead_ns: how far our clock is ahead of the trace's.
    """
    start_ns, end_ns = max(window[0], call[0]), min(window[1], call[1])
    rows = asked + ahead_ns
    if not len(rows) or end_ns <= start_ns:
        return LoopShare(elements=0, wait_ns=0)
    waited = int(time_inside(rows, np.array([start_ns]), np.array([end_ns]))[0])
    # A loop that goes to the end of its data asks once more.
    elements = len(rows) - (window[1] >= call[1])
    first_ns = min(int(rows[0, 1]), end_ns)
    first_wait_ns = int(time_inside(rows, np.array([start_ns]), np.array([first_ns]))[0])
    after_ns, left_ns = end_ns - first_ns, max(call[1] - end_ns, 0)
    scale = left_ns / after_ns if after_ns > 0 else 0.0
    return LoopShare(
        elements=round(elements + scale * (len(rows) - 1)),
        wait_ns=round(waited + scale * (waited - first_wait_ns)),
    )


def snapshot_of(
    traced: GraphIterators,
    top: IteratorPath,
    scale: float,
    parallelism: "Mapping[IteratorPath, Calls] | None" = None,
) -> ModelSnapshot:
    """The pipeline below a place as a reading of a model: work and elements since its iterator began.

    Args:
        traced: what a trace recorded.
        top: the place that the loop takes its elements from.
        scale: by what the work and the elements of the trace are multiplied.
        parallelism: how many calls may run at once, by place, where that is known.
    """
    parallelism = parallelism or {}
    nodes: dict[int, NodeCounters] = {}

    def add(path: IteratorPath) -> int:
        number = len(nodes) + 2
        place = traced.places[path]
        nodes[number] = NodeCounters(number, path[-1], (), 0, 0, 0, 0, 0)  # keeps the number
        inputs = tuple(add(below) for below in _inputs_of(traced, path))
        elements, work_ns = round(place.elements * scale), round(place.work_ns * scale)
        calls = parallelism.get(path, NO_CALLS)
        nodes[number] = NodeCounters(
            number,
            path[-1],
            inputs,
            elements,
            work_ns,
            0,
            0,
            0,
            parallelism=calls.at_once,
            tunable=calls.autotuned,
        )
        return number

    below = add(top)
    given = nodes[below].num_elements
    nodes[1] = NodeCounters(1, ROOT, (below,), given, 0, 0, 0, 0)
    return ModelSnapshot(nodes=nodes, output=1, gap_times_us=(), cpu_budget=0, ram_budget=0)


def _inputs_of(traced: GraphIterators, path: IteratorPath) -> list[IteratorPath]:
    """What a place takes its elements from: first what lasts, then what it opens for each element."""
    opened = (*path[:-1], f"{path[-1]}[]")
    lasting = [other for other in traced.places if other[:-1] == path]
    return lasting + [other for other in traced.places if other[:-1] == opened]
