"""What can be done about a slow input or host: one class a kind of advice, with what it needs and no words.

``ACTION`` names a kind in one word for programs (``prefetch``); `pipeprof.report.one_run.advice_text` and
`pipeprof.report.one_run.advice_code` have the sentence and the code of each kind.
"""

from typing import ClassVar

from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    CheaperOwnCode,
    MoreFeeders,
    PredictOnBatch,
    PrepareBeside,
    SaveLessOften,
    ValidateLessOften,
)
from pipeprof.analysis.findings.input_remedies import (
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreHelpers,
    MoreWorkers,
    OwnProcesses,
    Prefetch,
    SmallerBatches,
    WaitLess,
    WorkerThreads,
)
from pipeprof.analysis.findings.tfdata_remedies import (
    BatchFirst,
    Cache,
    CheaperService,
    FilterFirst,
    MoreDataWorkers,
    MoreFiles,
    OneIterator,
    OpenInParallel,
    OwnThreads,
    ParallelCalls,
    ParallelFilter,
    ShuffleFirst,
    SwitchAutotuneOn,
    TensorflowOps,
)
from pipeprof.recording.light_dataclasses import dataclass


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
    | MoreFeeders
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
