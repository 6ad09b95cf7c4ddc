"""What can be changed about an input pipeline: one frozen class a kind of change, without words.

Changes are values that can be sent to another process; `pipeprof.tuning.graph_edits`, `sequence_input` and
`generator_input` make them. ``node`` is the name of a transformation in the pipeline's graph.
"""

from dataclasses import asdict, fields
from typing import Any, ClassVar

from pipeprof.errors import UsageError
from pipeprof.recording.codec import Tagged
from pipeprof.recording.light_dataclasses import dataclass

AUTOTUNE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCalls(Tagged):
    """Let a map or an interleave make several calls at once; `AUTOTUNE` lets tf.data choose."""

    tag: ClassVar[str] = "parallel_calls"
    node: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPrefetch(Tagged):
    """Load ahead of the training."""

    tag: ClassVar[str] = "prefetch"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCache(Tagged):
    """Keep in memory what a transformation gives."""

    tag: ClassVar[str] = "cache"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCache(Tagged):
    """Take a cache away, where another one stands at a better place."""

    tag: ClassVar[str] = "drop_cache"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveShuffleFirst(Tagged):
    """Shuffle what a map takes, and not what it gives."""

    tag: ClassVar[str] = "shuffle_first"
    shuffle: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveShuffleBehind(Tagged):
    """Shuffle what a map gives, and not what it takes, so that a cache can stand between them."""

    tag: ClassVar[str] = "shuffle_behind"
    shuffle: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveFilterFirst(Tagged):
    """Filter what a map takes, and not what it gives."""

    tag: ClassVar[str] = "filter_first"
    filter: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveBatchFirst(Tagged):
    """Map batches, and not single elements."""

    tag: ClassVar[str] = "batch_first"
    batch: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAutotuneOn(Tagged):
    """Let tf.data tune what is set to AUTOTUNE."""

    tag: ClassVar[str] = "autotune"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateThreads(Tagged):
    """Give tf.data a pool of threads of its own."""

    tag: ClassVar[str] = "private_threads"
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers(Tagged):
    """Load a Sequence in so many workers; 0 of them is the training's own thread."""

    tag: ClassVar[str] = "workers"
    workers: int
    processes: bool
    queue: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundThread(Tagged):
    """Run a generator in a thread of its own, ahead of the training."""

    tag: ClassVar[str] = "background_thread"
    ahead: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedProcesses(Tagged):
    """Run a generator factory that takes a shard in so many processes."""

    tag: ClassVar[str] = "sharded_processes"
    processes: int


Edit = (
    SetCalls
    | AddPrefetch
    | AddCache
    | DropCache
    | MoveShuffleFirst
    | MoveShuffleBehind
    | MoveFilterFirst
    | MoveBatchFirst
    | TurnAutotuneOn
    | PrivateThreads
    | Workers
    | BackgroundThread
    | ShardedProcesses
)

_KINDS: dict[str, type[Edit]] = {kind.tag: kind for kind in Edit.__args__}


def edit_to_dict(edit: Edit) -> dict[str, Any]:
    """An edit as JSON has it."""
    return {"action": edit.tag, **asdict(edit)}


def edit_from_dict(document: dict[str, Any]) -> Edit:
    """The edit that `edit_to_dict` made a document of.

    Raises:
        UsageError: it is none.
    """
    values = dict(document)
    kind = _KINDS.get(values.pop("action", ""))
    if kind is None or values.keys() != {field.name for field in fields(kind)}:
        raise UsageError(f"expected a change of a pipeline, received {document!r}.")
    return kind(**values)
