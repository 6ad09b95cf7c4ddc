"""What can be done about an input of tf.data: one class a remedy, with what it needs and no words."""

from typing import ClassVar

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OneIterator:
    """Take all epochs from one iterator of a dataset that repeats; ``steps`` are those of an epoch."""

    ACTION: ClassVar = "one_iterator"
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedStage:
    """A ``map`` of tf.data: its name, and its function or None."""

    stage: str
    function: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelCalls:
    """Let a ``map`` of tf.data make several calls at once.

    Attributes:
        stage: its name.
        function: its function, or None.
        calls: how many calls.
        autotuned: whether AUTOTUNE is to choose them.
        before: others that would hold it up then, in the order in which they run.
        behind: others that would be held up then as well, in that order.
        threads: how many threads of its own the pipeline needs for so many calls, or None.
    """

    ACTION: ClassVar = "parallel_map"
    stage: str
    function: str | None
    calls: int
    autotuned: bool
    before: tuple[MappedStage, ...] = ()
    behind: tuple[MappedStage, ...] = ()
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelFilter:
    """Let the function of a ``filter`` run in several calls at once."""

    ACTION: ClassVar = "parallel_filter"
    stage: str
    function: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInParallel:
    """Let an ``interleave`` read from several of its inputs at once, in place of a ``flat_map`` too.

    Attributes:
        stage: name of the stage that opens the inputs.
        function: its function, or None.
        calls: how many inputs at once.
        in_order: whether the elements come in today's order, because it is an ``interleave`` already.
        threads: how many threads of its own the pipeline needs for that, or None.
    """

    ACTION: ClassVar = "interleave"
    stage: str
    function: str | None
    calls: int
    in_order: bool
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnThreads:
    """Give a tf.data pipeline threads of its own for the calls that a stage may make at once."""

    ACTION: ClassVar = "own_threads"
    stage: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreFiles:
    """Spread the records that a stage reads over several files, which can be read at once.

    Attributes:
        reader: name of the stage.
        calls: how many files at once.
        threads: how many threads of its own the pipeline needs for that, or None.
    """

    ACTION: ClassVar = "more_files"
    reader: str
    calls: int
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterFirst:
    """Filter before a stage that is dear, so that it works for what is kept only.

    Attributes:
        stage: the dear stage.
        function: its function, or None.
        filter: the stage that filters.
        predicate: its function, or None.
        kept_ratio: the part of the elements that it keeps.
    """

    ACTION: ClassVar = "filter_first"
    stage: str
    function: str | None
    filter: str
    predicate: str | None
    kept_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFirst:
    """Batch before a stage that can do a whole batch in one call.

    Attributes:
        stage: the stage.
        function: its function, or None.
        parses: whether it parses single records, for which there is another function with batches.
    """

    ACTION: ClassVar = "batch_first"
    stage: str
    function: str | None
    parses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleFirst:
    """Shuffle before a stage that loads, so that the buffer fills with what is cheap."""

    ACTION: ClassVar = "shuffle_first"
    stage: str
    function: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keep what a tf.data stage gives.

    Attributes:
        stage: its name.
        function: its function, or None.
        before_shuffle: whether a shuffle has to come after it.
        size_bytes: what it gives in an epoch, or None where that is not known.
        on_disk: whether that is too much for the memory.
    """

    ACTION: ClassVar = "cache"
    stage: str
    function: str | None
    before_shuffle: bool
    size_bytes: int | None = None
    on_disk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAutotuneOn:
    """Switch AUTOTUNE on."""

    ACTION: ClassVar = "autotune"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreDataWorkers:
    """Let more workers of a tf.data service run the pipeline.

    Attributes:
        workers: how many in all.
        today: how many there are.
    """

    ACTION: ClassVar = "data_workers"
    workers: int
    today: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheaperService:
    """Let a tf.data service hand over its elements with less work: fewer, smaller or as they are.

    Attributes:
        stage: what takes from the service.
        elements: how many elements a step takes from it.
        element_bytes: the size of one of them, or None.
    """

    ACTION: ClassVar = "cheaper_service"
    stage: str
    elements: float
    element_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorflowOps:
    """Write a stage with TensorFlow operations, which run without the GIL."""

    ACTION: ClassVar = "tensorflow_ops"
    stage: str
