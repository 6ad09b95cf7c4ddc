"""What can be done about a slow input of any kind: one class a remedy, with what it needs and no words."""

from typing import ClassVar

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind, InputLibrary


@dataclass(frozen=True, slots=True, kw_only=True)
class FedBy:
    """What feeds the loop, as far as code for it depends on that.

    Attributes:
        kind: the kind of input, or None.
        name: its class, or None.
        library: which library's class that is, or None.
        keras_2: whether Keras 2 trains, which takes the workers as arguments of ``fit``.
        hand_written: whether the user wrote the loop, and did not call ``fit``.
    """

    kind: InputKind | None
    name: str | None
    library: InputLibrary | None = None
    keras_2: bool = False
    hand_written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LongerEpochs:
    """Start the input again less often.

    Attributes:
        fed_by: what feeds the loop.
        behind_shuffle: whether the passes have to be joined right behind a shuffle, whose buffer would be
            filled again in each of them otherwise.
    """

    ACTION: ClassVar = "longer_epochs"
    fed_by: FedBy
    behind_shuffle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefetch:
    """Load ahead of the training."""

    ACTION: ClassVar = "prefetch"
    fed_by: FedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreWorkers:
    """Run a stage in several workers: processes, or threads."""

    ACTION: ClassVar = "workers"
    fed_by: FedBy
    stage: str
    workers: int
    processes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LongerQueue:
    """Let workers run further ahead."""

    ACTION: ClassVar = "longer_queue"
    fed_by: FedBy
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnProcesses:
    """Load in processes, which leave the training's GIL alone."""

    ACTION: ClassVar = "processes"
    fed_by: FedBy
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerThreads:
    """Use worker threads instead of processes."""

    ACTION: ClassVar = "threads"
    fed_by: FedBy
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LessWork:
    """Make the work of a stage less.

    Attributes:
        stage: its name.
        by_user: whether it is the user's own.
        no_core_free: whether all processors are busy, so that more calls at once cannot help.
    """

    ACTION: ClassVar = "less_work"
    stage: str
    by_user: bool
    no_core_free: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLess:
    """No core is free for more calls at once: let a stage wait for less."""

    ACTION: ClassVar = "wait_less"
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreHelpers:
    """Let more processes work for a stage that waits for processes of its own.

    Attributes:
        stage: the stage.
        processes: how many.
        waits: whether they mostly wait themselves, so that they need no cores.
    """

    ACTION: ClassVar = "helpers"
    stage: str
    processes: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallerBatches:
    """Send fewer bytes between processes.

    Attributes:
        dtype: the type to send, or None where nothing smaller is known to do.
        pictures: whether the batches hold pictures, whose values may be whole numbers.
        exact: whether the model gets equal values.
    """

    ACTION: ClassVar = "smaller_batches"
    dtype: str | None = None
    pictures: bool = False
    exact: bool = False
