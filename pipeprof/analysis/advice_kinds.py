"""What can be done about a slow input or host: one class a kind of advice, with what it needs and no words.

``ACTION`` names a kind in one word for programs (``prefetch``); `pipeprof.report.advice_text` and
`pipeprof.report.advice_code` have the sentence and the code of each kind.
"""

from dataclasses import dataclass
from typing import ClassVar

from pipeprof.recording.loop import InputKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FedBy:
    """What feeds the loop, as far as code for it depends on that.

    Attributes:
        kind: the kind of input, or None.
        name: its class, or None.
        keras_2: whether Keras 2 trains, which takes the workers as arguments of ``fit``.
    """

    kind: InputKind | None
    name: str | None
    keras_2: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LongerEpochs:
    """Start the input again less often."""

    ACTION: ClassVar = "longer_epochs"
    fed_by: FedBy


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
class ParallelCalls:
    """Let a tf.data stage make several calls at once.

    Attributes:
        stage: its name.
        function: its function, or None.
        calls: how many calls.
        autotuned: whether AUTOTUNE is to choose them.
    """

    ACTION: ClassVar = "parallel_map"
    stage: str
    function: str | None
    calls: int
    autotuned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerThreads:
    """Use worker threads instead of processes."""

    ACTION: ClassVar = "threads"
    fed_by: FedBy
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Keep what a tf.data stage gives; ``before_shuffle`` where a shuffle has to come after it."""

    ACTION: ClassVar = "cache"
    stage: str
    function: str | None
    before_shuffle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAutotuneOn:
    """Switch AUTOTUNE on."""

    ACTION: ClassVar = "autotune"


@dataclass(frozen=True, slots=True, kw_only=True)
class LessWork:
    """No core is free: make the work of a stage less; ``by_user`` where the stage is the user's own."""

    ACTION: ClassVar = "less_work"
    stage: str
    by_user: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLess:
    """No core is free for more calls at once: let a stage wait for less."""

    ACTION: ClassVar = "wait_less"
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallerBatches:
    """Send fewer bytes between processes."""

    ACTION: ClassVar = "smaller_batches"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorflowOps:
    """Write a stage with TensorFlow operations, which run without the GIL."""

    ACTION: ClassVar = "tensorflow_ops"
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveLessOften:
    """Let a checkpoint save once an epoch and not after batches; ``callback`` is its class."""

    ACTION: ClassVar = "save_less_often"
    callback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheaperCallback:
    """Call a callback's method less often, or let it do less; ``method`` is its class and method."""

    ACTION: ClassVar = "callbacks"
    method: str
    each_batch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareBeside:
    """Do the work of a function that runs between epochs before they begin, or beside the training."""

    ACTION: ClassVar = "between_epochs"
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheaperOwnCode:
    """Let a function of the loop's own code do less, or run beside the training."""

    ACTION: ClassVar = "own_code"
    function: str


Remedy = (
    LongerEpochs
    | Prefetch
    | MoreWorkers
    | LongerQueue
    | OwnProcesses
    | ParallelCalls
    | WorkerThreads
    | Cache
    | SwitchAutotuneOn
    | LessWork
    | WaitLess
    | SmallerBatches
    | TensorflowOps
    | SaveLessOften
    | CheaperCallback
    | PrepareBeside
    | CheaperOwnCode
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What applying an advice really gave."""

    step_ms: float
    speedup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Something to do, and what it should give.

    Attributes:
        remedy: what to do.
        predicted_step_ms: estimated step time after it, or None where that cannot be estimated.
        predicted_speedup: today's step time over that one, or None.
        verified: what it gave when it was tried, or None.
    """

    remedy: Remedy
    predicted_step_ms: float | None
    predicted_speedup: float | None
    verified: Verified | None = None

    @property
    def action(self) -> str:
        """What kind of remedy it is, one word for programs."""
        action: str = self.remedy.ACTION
        return action
