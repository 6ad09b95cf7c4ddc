"""What can be changed about an input pipeline: one frozen class a kind of change, without words.

Changes are values that can be sent to another process; `pipeprof.tuning.graph_edits`, `sequence_inputs` and
`generator_inputs` make them. ``node`` is the name of a transformation in the pipeline's graph.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from pipeprof.errors import UsageError

AUTOTUNE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelCalls:
    """Let a map or an interleave make several calls at once; `AUTOTUNE` lets tf.data choose."""

    ACTION: ClassVar = "parallel_calls"
    node: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefetch:
    """Load ahead of the training."""

    ACTION: ClassVar = "prefetch"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBehind:
    """Keep in memory what a transformation gives."""

    ACTION: ClassVar = "cache"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCache:
    """Take a cache away, where another one stands at a better place."""

    ACTION: ClassVar = "drop_cache"
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleFirst:
    """Shuffle what a map takes, and not what it gives."""

    ACTION: ClassVar = "shuffle_first"
    shuffle: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleBehind:
    """Shuffle what a map gives, and not what it takes, so that a cache can stand between them."""

    ACTION: ClassVar = "shuffle_behind"
    shuffle: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterFirst:
    """Filter what a map takes, and not what it gives."""

    ACTION: ClassVar = "filter_first"
    filter: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFirst:
    """Map batches, and not single elements."""

    ACTION: ClassVar = "batch_first"
    batch: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAutotuneOn:
    """Let tf.data tune what is set to AUTOTUNE."""

    ACTION: ClassVar = "autotune"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateThreads:
    """Give tf.data a pool of threads of its own."""

    ACTION: ClassVar = "private_threads"
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Load a Sequence in so many workers; 0 of them is the training's own thread."""

    ACTION: ClassVar = "workers"
    workers: int
    processes: bool
    queue: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundThread:
    """Run a generator in a thread of its own, ahead of the training."""

    ACTION: ClassVar = "background_thread"
    ahead: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedProcesses:
    """Run a generator factory that takes a shard in so many processes."""

    ACTION: ClassVar = "sharded_processes"
    processes: int


Edit = (
    ParallelCalls
    | Prefetch
    | CacheBehind
    | DropCache
    | ShuffleFirst
    | ShuffleBehind
    | FilterFirst
    | BatchFirst
    | SwitchAutotuneOn
    | PrivateThreads
    | Workers
    | BackgroundThread
    | ShardedProcesses
)

_KINDS: dict[str, type[Edit]] = {kind.ACTION: kind for kind in Edit.__args__}


def edit_to_dict(edit: Edit) -> dict[str, Any]:
    """An edit as JSON has it."""
    return {"action": edit.ACTION, **asdict(edit)}


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
