"""Where the time of the training thread went, as recorded: passes, epochs, host calls, samples."""

from collections.abc import Iterator
from dataclasses import field, replace
from enum import Enum, IntEnum

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray
from pipeprof.recording.source_code import Location


class Part(Enum):
    """What a stretch of a training's time was; every second belongs to exactly one part."""

    STARTUP = "startup"
    COMPILE = "compile"
    EPOCH_START = "epoch_start"
    WAIT = "wait"
    COMPUTE = "compute"
    CALLBACKS = "callbacks"
    VALIDATION = "validation"
    BETWEEN_EPOCHS = "between_epochs"
    OWN_CODE = "own_code"
    SHUTDOWN = "shutdown"
    OTHER = "other"


# Numbers of the parts in records and files.
PART_CODES = {part: number for number, part in enumerate(Part)}
PART_OF_CODE = dict(enumerate(Part))


class PassContext(IntEnum):
    """What a pass of a loop ran inside; the values stand in records and files."""

    TOP = 0
    BETWEEN_STEPS = 1
    IN_STEP = 2
    IN_CALLBACK = 3


class HostState(IntEnum):
    """What the training thread was doing when it was sampled; the values stand in records and files."""

    OWN_CODE = 0
    WAITING = 1
    """Blocked until somebody hands something over (``queue.get``, ``recv``, ``result``, …)."""
    FRAMEWORK = 2
    """Inside a call of a framework: the model."""
    FEEDING = 3
    """It waited; this is where another thread or a process, the ``feeder``, was at work meanwhile."""
    BESIDE = 4
    """The model was at work; this is where another thread, the ``feeder``, was at work beside it."""
    MAKING = 5
    """In a function or generator of the user's that a hand-written loop calls for its next batch."""


class FeederKind(Enum):
    """What of the user's own makes what the training waits for."""

    THREAD = "thread"
    NATIVE_THREAD = "native thread"
    """A thread that Python did not start."""
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedingLane:
    """A thread or a process of the user's own that feeds a loop.

    Attributes:
        kind: what it is.
        name: Python's name of it; None for a native thread.
    """

    kind: FeederKind
    name: str | None = None


PASS_COLUMNS = ("start_ns", "end_ns", "context")

# Columns of `LoopAccount.epochs`. What lies in steps: steps, step_ns, the waits that were measured,
# the part of them before first batches, callbacks, the model's work (hand-written loops). Of steps in
# which something was compiled: all but the callbacks, and, not counted among the waits, their waits.
# What lies outside of steps: callbacks, other calls of the host's, validation, and what the input takes
# of the training thread (Keras takes a generator's first batches there, before an epoch's first step,
# and waits there for workers that end).
EPOCH_COLUMNS = (
    "epoch",
    "start_ns",
    "end_ns",
    "steps",
    "step_ns",
    "measured_ns",
    "wait_ns",
    "epoch_start_ns",
    "callback_ns",
    "model_ns",
    "compile_step_ns",
    "compile_wait_ns",
    "outside_callback_ns",
    "outside_call_ns",
    "validation_ns",
    "outside_input_ns",
)

# Columns of `LoopAccount.compilations`, a row a step in which something was traced or compiled: the
# step, how long it was blocked for its batch or, where gaps measure the waits, how long it took until the
# batch had come; when tracing had ended and when its first batch lay ready (0: not known).
COMPILATION_COLUMNS = (
    "ordinal",
    "epoch",
    "start_ns",
    "end_ns",
    "wait_ns",
    "callback_ns",
    "model_ns",
    "traced_ns",
    "ready_ns",
    "first_of_epoch",
    "reason",
)


# Columns of `LoopAccount.epoch_calls`: how often something of the host's, by its place in
# `LoopAccount.calls`, was called in an epoch, and for how long in all.
EPOCH_CALL_COLUMNS = ("epoch", "call", "calls", "total_ns")


def no_passes() -> IntArray:
    """No rows of `PASS_COLUMNS`."""
    return np.empty((0, len(PASS_COLUMNS)), np.int64)


def no_epochs() -> IntArray:
    """No rows of `EPOCH_COLUMNS`."""
    return np.empty((0, len(EPOCH_COLUMNS)), np.int64)


def no_compilations() -> IntArray:
    """No rows of `COMPILATION_COLUMNS`."""
    return np.empty((0, len(COMPILATION_COLUMNS)), np.int64)


def no_epoch_calls() -> IntArray:
    """No rows of `EPOCH_CALL_COLUMNS`."""
    return np.empty((0, len(EPOCH_CALL_COLUMNS)), np.int64)


class KerasCallback(Enum):
    """Callbacks of Keras that options make cheaper; the values are their classes."""

    MODEL_CHECKPOINT = "ModelCheckpoint"
    BACKUP_AND_RESTORE = "BackupAndRestore"
    TENSORBOARD = "TensorBoard"


class CallbackEvent(Enum):
    """What Keras calls a method of a callback for."""

    BATCH = "batch"
    EPOCH = "epoch"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackMethod:
    """A method of a callback.

    Attributes:
        owner: name of the callback's class.
        method: name of the method.
        event: what Keras calls it for.
        of_keras: which of Keras's own callbacks it is, or None.
    """

    owner: str
    method: str
    event: CallbackEvent
    of_keras: KerasCallback | None = None

    @property
    def name(self) -> str:
        """``ModelCheckpoint.on_epoch_end``."""
        return f"{self.owner}.{self.method}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFunction:
    """What single calls of the host's are calls of; attributes as in `HostCall`."""

    part: Part
    name: str
    location: Location | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCall:
    """What the training thread ran for the host: a callback's method, a dataset's ``on_epoch_end``.

    One whose part is `Part.EPOCH_START` is the input's: the end of a pool of workers.

    Attributes:
        part: what its time counts as.
        name: ``Class.method``, or a function's name.
        location: where the user wrote it, or None where a library did.
        calls: how often it ran.
        total_ns: its time, nested loops included.
        callback: the callback's method that it is, or None.
    """

    part: Part
    name: str
    location: Location | None
    calls: int
    total_ns: int
    callback: CallbackMethod | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """A place of the user's code at which the training thread was sampled between its steps.

    Attributes:
        function: its name, with its class where that is known.
        location: the line.
        part: what the stretch belonged to in which it was sampled.
        state: what it was doing there.
        detail: what it waited in or called (``Queue.get``), or None.
        samples: how often it was sampled. In steps of a hand-written loop samples are weighted: all that
            were taken as long after the begin of a step count for the loop's time that lies there.
        error: how far off ``samples`` may be by chance: its standard error. None in runs that lack it.
        feeder: who was at work there, where that was not the training thread.
        calls_fit: whether it called a model's ``fit`` there.
        calls_predict: whether it called a model's ``predict`` there.
    """

    function: str
    location: Location
    part: Part
    state: HostState
    detail: str | None
    samples: int
    error: float | None = None
    feeder: FeedingLane | None = None
    calls_fit: bool = False
    calls_predict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopAccount:
    """The time of one loop beyond its single steps.

    Attributes:
        pass_count: how many passes it had: calls of ``fit``, or stretches of a hand-written loop.
        pass_ns: their time together, by `PassContext` value.
        start_ns: when the first one began, or None without any.
        end_ns: when the last one ended, or where its recording ended.
        passes: rows of `PASS_COLUMNS`, of the first passes and the last.
        epochs: rows of `EPOCH_COLUMNS`, of the first epochs and the last.
        totals: one row of `EPOCH_COLUMNS`: all epochs and what lay outside of any together.
        compilations: rows of `COMPILATION_COLUMNS`, of the first such steps and the last.
        compile_steps: how many such steps there were.
        reasons: why something was traced again, in the user's shapes, by the number in that column.
        calls: the host's calls.
        epoch_calls: rows of `EPOCH_CALL_COLUMNS`, of the first epochs and the last, by epoch and call.
        samples: where the training thread was sampled in it.
    """

    pass_count: int = 0
    pass_ns: tuple[int, ...] = (0, 0, 0, 0)
    start_ns: int | None = None
    end_ns: int | None = None
    passes: IntArray = field(default_factory=no_passes)
    epochs: IntArray = field(default_factory=no_epochs)
    totals: IntArray = field(default_factory=lambda: np.zeros((1, len(EPOCH_COLUMNS)), np.int64))
    compilations: IntArray = field(default_factory=no_compilations)
    compile_steps: int = 0
    reasons: tuple[str, ...] = ()
    calls: tuple[HostCall, ...] = ()
    epoch_calls: IntArray = field(default_factory=no_epoch_calls)
    samples: tuple[HostSample, ...] = ()

    @property
    def compiled_steps(self) -> IntArray:
        """The ordinals of the steps in `compilations`."""
        ordinals: IntArray = self.compilations[:, COMPILATION_COLUMNS.index("ordinal")]
        return ordinals

    def calls_in(self, epoch: int) -> tuple[HostCall, ...]:
        """The host's calls of one epoch; none where they were not kept."""
        rows = self.epoch_calls[self.epoch_calls[:, 0] == epoch]
        return tuple(
            replace(self.calls[call], calls=calls, total_ns=total_ns)
            for _, call, calls, total_ns in rows.tolist()
        )


def check_account(name: str, account: LoopAccount) -> Iterator[str]:
    """What makes the account of a loop impossible to work with, one sentence each."""
    tables = (
        ("passes", account.passes, PASS_COLUMNS),
        ("epochs", account.epochs, EPOCH_COLUMNS),
        ("totals", account.totals, EPOCH_COLUMNS),
        ("compilations", account.compilations, COMPILATION_COLUMNS),
        ("calls of epochs", account.epoch_calls, EPOCH_CALL_COLUMNS),
    )
    for table, rows, columns in tables:
        if rows.ndim != 2 or rows.shape[1] != len(columns):
            yield f"{name}: {table} with other columns than {len(columns)}"
    if len(account.totals) != 1 or len(account.pass_ns) != len(PassContext):
        yield f"{name}: not one row of totals, or not one sum a context of passes"
    called = account.epoch_calls[:, 1:2]
    if called.size and not 0 <= called.min() <= called.max() < len(account.calls):
        yield f"{name}: calls in epochs that are none of the loop's"
    if any(call.calls < 0 or call.total_ns < 0 for call in account.calls):
        yield f"{name}: negative calls"
