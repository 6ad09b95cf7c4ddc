"""What can be done about a slow host: one class a remedy, with what it needs and no words."""

from typing import ClassVar

from pipeprof.recording.account import CallbackMethod, FeederKind, KerasCallback
from pipeprof.recording.light_dataclasses import dataclass


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
class MoreFeeders:
    """Let several threads or processes of the user's own make batches, or make that cheaper.

    Attributes:
        function: what they run.
        by: which of them: what computes needs processes.
    """

    ACTION: ClassVar = "more_feeders"
    function: str
    by: FeederKind


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
