"""What changes of an input pipeline are called."""

import re
from collections.abc import Sequence

from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    BackgroundThread,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleBehind,
    MoveShuffleFirst,
    PrivateThreads,
    SetCalls,
    ShardedProcesses,
    TurnAutotuneOn,
    Workers,
)
from pipeprof.recording.source_code import own_name
from pipeprof.recording.tuning_outcome import Description, TunedTransformation
from pipeprof.report.numbers import count

_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_AROUND = re.compile(r"^(Parallel|Legacy)?(\w+?)(Dataset)(V\d+)?$")


def transformation(op: str) -> str:
    """How one writes an operation of a graph: ``flat_map`` for ``FlatMapDataset``."""
    found = _AROUND.match(op)
    return _CAPITALS.sub("_", found[2] if found else op).lower()


def change_name(edits: Sequence[Edit], described: Description) -> str:
    """A change in a few words."""
    places = {place.node: place for place in described.places}
    return ", ".join(_name(edit, places) for edit in edits)


def _name(edit: Edit, places: dict[str, TunedTransformation]) -> str:  # noqa: C901 - one case a kind
    match edit:
        case SetCalls():
            calls = "AUTOTUNE" if edit.calls == AUTOTUNE else str(edit.calls)
            return f"{_place(edit.node, places)} with {calls} parallel calls"
        case AddPrefetch():
            return "prefetch at the end"
        case AddCache():
            return f"cache behind {_place(edit.node, places)}"
        case DropCache():
            return "without today's cache"
        case MoveShuffleFirst():
            return f"shuffle before {_place(edit.node, places)}"
        case MoveShuffleBehind():
            return f"shuffle behind {_place(edit.node, places)}"
        case MoveFilterFirst():
            return f"{_place(edit.filter, places)} before {_place(edit.node, places)}"
        case MoveBatchFirst():
            return f"batch before {_place(edit.node, places)}"
        case TurnAutotuneOn():
            return "AUTOTUNE on"
        case PrivateThreads():
            return f"{count(edit.threads, 'thread')} for tf.data alone"
        case Workers(workers=1, processes=False):
            return "no workers"
        case Workers():
            return count(edit.workers, "worker process" if edit.processes else "worker thread")
        case BackgroundThread():
            return "generator in a background thread"
        case ShardedProcesses():
            return f"generator in {count(edit.processes, 'process')}"


def _place(node: str, places: dict[str, TunedTransformation]) -> str:
    place = places.get(node)
    if place is None:
        return node
    return own_name(place.function) or transformation(place.op)
