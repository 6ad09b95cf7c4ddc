"""How the input of a loop ran: its threads and queue, the starts of its epochs, AUTOTUNE's choices."""

from enum import Enum

from pipeprof.analysis.findings.references import StageReference
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import Stage


class TunedKind(Enum):
    """What AUTOTUNE may choose of a stage."""

    PARALLELISM = "parallelism"
    BUFFER = "buffer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutotunedValue:
    """What AUTOTUNE chose for a stage while a loop ran.

    Attributes:
        stage: the stage.
        kind: what it chose.
        value: at the end, or None where it was not read.
        least: the least it was, or None.
        most: the most it was, or None.
        limit: the most it may be, or None without a limit.
        settled_after_steps: within how many steps of an epoch it came to the value that it kept, 0 for
            from the start on; None where it went on changing or that is not known.
        series: steps taken and the value from there on, wherever it changed.
    """

    stage: Stage
    kind: TunedKind
    value: int | None
    least: int | None
    most: int | None
    limit: int | None
    settled_after_steps: int | None
    series: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutotuneOff:
    """AUTOTUNE is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetBeyondCores:
    """AUTOTUNE plans with more cores than the run may use.

    Attributes:
        planned: cores that it plans with.
        cores: cores that the run may use.
        by_container: whether a container's limit sets that number.
        advised: the budget to set.
    """

    planned: int
    cores: float
    by_container: bool
    advised: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FullBuffers:
    """The buffers of tf.data held much of the memory.

    Attributes:
        held_bytes: the most that lay in them.
        memory_bytes: what the training may use.
        largest: the stage that held most of it, or None.
    """

    held_bytes: int
    memory_bytes: int
    largest: StageReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedParallelism:
    """The bottleneck makes fewer calls at once than it needs, by the user's own choice.

    Attributes:
        stage: the bottleneck.
        fixed: how many calls it makes at once.
        needed: how many it needs to keep up with the training.
        free_cpu_ratio: the part of the CPU that is free, or None.
        advised: how many to write, or None for AUTOTUNE.
    """

    stage: StageReference
    fixed: int
    needed: int
    free_cpu_ratio: float | None
    advised: int | None


AutotuneWarning = AutotuneOff | BudgetBeyondCores | FullBuffers | FixedParallelism


@dataclass(frozen=True, slots=True, kw_only=True)
class AutotuneFinding:
    """What tf.data's AUTOTUNE did for the main loop.

    Attributes:
        enabled: whether it is on.
        cpu_budget: calls that it lets run at once, or None.
        ram_budget_bytes: bytes that it may fill with buffers, or None.
        most_buffered_bytes: the most that lay in all buffers, or None.
        tuned: what it chose, stage by stage.
        epochs: passes of the loop, for each of which it may have begun anew.
        warnings: settings that stand in the way.
    """

    enabled: bool
    cpu_budget: int | None
    ram_budget_bytes: int | None
    most_buffered_bytes: int | None
    tuned: tuple[AutotunedValue, ...]
    epochs: int
    warnings: tuple[AutotuneWarning, ...]


class StartCause(Enum):
    """Why the first batch of an epoch was waited for."""

    FILL = "fill"
    """A stage takes in many elements before it gives one (a shuffle)."""
    SKIP = "skip"
    CACHE_WRITE = "cache_write"
    """A stage takes in many elements through a cache that later epochs only read."""
    OPENING = "opening"
    """A source, or what opens sources (an interleave of files), takes long to begin."""
    FIRST_CALLS = "first_calls"
    WORKERS = "workers"
    """Keras ends its workers with each epoch and starts others for the next."""
    ITERATOR_END = "iterator_end"
    """The iterator of the epoch before is destroyed first, with all that its pipeline holds."""
    TRAINING = "training_start"
    """The very first step: tracing and compiling count as waiting there."""
    FRAMEWORK = "framework_start"
    """TensorFlow itself starts the epoch: nothing of the input explains the wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStart:
    """The wait for the first batch of an epoch.

    Attributes:
        epoch: number of the epoch in its loop, from 0.
        wait_ms: what its first step waited.
        usual_ms: median wait of the epoch's other steps, or None.
        cause: why, or None where that is not known or there is nothing to explain.
        stage: the stage that it is about, or None.
        elements: elements taken in before the first was given, or None.
        work_ms: the work that this took, or None.
        ended_ms: the part of the wait in which the iterator of the epoch before was destroyed.
        framework_ms: the part of the wait that is TensorFlow's own work, and so is not for the input.
    """

    epoch: int
    wait_ms: float
    usual_ms: float | None
    cause: StartCause | None
    stage: StageReference | None
    elements: int | None
    work_ms: float | None
    ended_ms: float = 0.0
    framework_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFinding:
    """How the input of a loop ran.

    Attributes:
        kind: what fed the loop, as in the report, or None.
        on_main_thread: whether its work ran on the thread that trains, or None.
        overlap_ratio: the part of the input work that ran while the loop was computing, or None.
        overlap_estimated: whether that ratio is an estimate and not read from intervals.
        workers: worker threads or processes asked for, or None.
        multiprocessing: whether they are processes, or None.
        threads: names of the lanes that did input work, most first.
        queue_size: batches that may lie ready, or None.
        queue_mean: batches that lay ready on average, or None.
        queue_empty_ratio: how often none was ready when the loop asked, or None.
        head_of_line_ratio: the part of its waiting in which a later batch lay ready, but not the next
            in order, or None where that is not known.
        epoch_start_ms: median of what each epoch's first step waited, or None.
        epoch_starts: those waits with their causes, of the first epochs and the last.
    """

    kind: str | None
    on_main_thread: bool | None
    overlap_ratio: float | None
    overlap_estimated: bool
    workers: int | None
    multiprocessing: bool | None
    threads: tuple[str, ...]
    queue_size: int | None
    queue_mean: float | None
    queue_empty_ratio: float | None
    head_of_line_ratio: float | None
    epoch_start_ms: float | None
    epoch_starts: tuple[EpochStart, ...] = ()
