"""What can be done about a slow input or host: one class a kind of advice, with what it needs and no words.

``ACTION`` names a kind in one word for programs (``prefetch``); `pipeprof.report.one_run.advice_text` and
`pipeprof.report.one_run.advice_code` have the sentence and the code of each kind.
"""

from dataclasses import dataclass
from typing import ClassVar

from pipeprof.recording.account import CallbackMethod, KerasCallback
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
class OneIterator:
    """Take all epochs from one iterator of a dataset that repeats; ``steps`` are those of an epoch."""

    ACTION: ClassVar = "one_iterator"
    steps: int


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
class WorkerThreads:
    """Use worker threads instead of processes."""

    ACTION: ClassVar = "threads"
    fed_by: FedBy
    workers: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorflowOps:
    """Write a stage with TensorFlow operations, which run without the GIL."""

    ACTION: ClassVar = "tensorflow_ops"
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveLessOften:
    """Let a checkpoint save less often.

    Attributes:
        callback: which one it is.
        each_batch: whether it saves after batches today, and not after epochs.
        keras_2: whether it is Keras 2's.
    """

    ACTION: ClassVar = "save_less_often"
    callback: KerasCallback
    each_batch: bool = True
    keras_2: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheaperCallback:
    """Call a callback's method less often, or let it do less.

    Attributes:
        name: the method with its class, or the function that ran in a callback.
        method: the method; None where only samples show what ran.
        keras_2: whether Keras 2 calls it.
    """

    ACTION: ClassVar = "callbacks"
    name: str
    method: CallbackMethod | None = None
    keras_2: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateLessOften:
    """Validate after some of the epochs only.

    Attributes:
        ratio: the part of the training's time that validation takes.
        hand_written: whether the user wrote the loop, and did not call ``fit``.
    """

    ACTION: ClassVar = "validate_less_often"
    ratio: float
    hand_written: bool


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOnBatch:
    """Predict single batches without the input pipeline that each call of ``predict`` makes.

    Attributes:
        calls: how many calls of ``predict`` took one batch each.
        call_ms: how long one of them took on average.
    """

    ACTION: ClassVar = "predict_on_batch"
    calls: int
    call_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveInput:
    """Leave the input as it is: the model, or the device that it runs on, is the limit.

    Attributes:
        device: the busiest device that works for the training, or None.
        device_busy_ratio: the part of the time in which the training keeps it busy, or None.
        cores: cores' worth of CPU that the training may use.
        cpu_busy_ratio: the part of them that is in use, or None.
    """

    ACTION: ClassVar = "leave_input"
    device: str | None
    device_busy_ratio: float | None
    cores: float
    cpu_busy_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedValidation:
    """Do something about the input of the validation, which waits for it."""

    ACTION: ClassVar = "validation_input"
    remedy: "Remedy"


Remedy = (
    LongerEpochs
    | OneIterator
    | Prefetch
    | MoreWorkers
    | LongerQueue
    | OwnProcesses
    | ParallelCalls
    | ParallelFilter
    | OpenInParallel
    | OwnThreads
    | MoreFiles
    | FilterFirst
    | BatchFirst
    | ShuffleFirst
    | WorkerThreads
    | Cache
    | SwitchAutotuneOn
    | LessWork
    | MoreHelpers
    | WaitLess
    | MoreDataWorkers
    | CheaperService
    | SmallerBatches
    | TensorflowOps
    | SaveLessOften
    | CheaperCallback
    | PrepareBeside
    | CheaperOwnCode
    | PredictOnBatch
    | FeedValidation
    | ValidateLessOften
    | LeaveInput
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What applying an advice really gave."""

    step_ms: float
    speedup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The step time to expect.

    Attributes:
        step_ms: the estimate.
        low_ms: where it lies at least, as far as the recording shows.
        high_ms: where it lies at most.
        speedup: today's step time over the estimate.
        unexplained_ms: what of today's step time the stages do not explain, which the estimate keeps;
            below 0 where they explain more than it takes.
    """

    step_ms: float
    low_ms: float
    high_ms: float
    speedup: float
    unexplained_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Something to do, and what it should give.

    Attributes:
        remedy: what to do.
        prediction: the step time after it, or None where that cannot be estimated.
        verified: what it gave when it was tried, or None.
    """

    remedy: Remedy
    prediction: Prediction | None = None
    verified: Verified | None = None

    @property
    def action(self) -> str:
        """What kind of remedy it is, one word for programs."""
        action: str = self.remedy.ACTION
        return action
