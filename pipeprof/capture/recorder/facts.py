"""Facts: frozen values that describe the subjects of events (stages, lanes, loops, gauges, …).

Each process numbers its subjects in its name log. A subject that refers to another one of its process (a
stage to the stage that asks it for data) has the number of the other.
"""

from enum import Enum
from typing import ClassVar, TypeAlias

from pipeprof.recording.account import CallbackMethod, FeedingLane, Part
from pipeprof.recording.codec import Tagged
from pipeprof.recording.data_workers import WorkerWindow
from pipeprof.recording.delivered_content import DeliveredEpoch, TrainedModel
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind, InputLibrary, LoopKind, WaitSource
from pipeprof.recording.source_code import CodeLine, Location
from pipeprof.recording.stage import StageDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts(StageDescription, Tagged):
    """A stage of an input pipeline.

    Attributes:
        place: identifies its position in its pipeline, for a stage that a framework made.
    """

    tag: ClassVar[str] = "stage"
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts(Tagged):
    """A thread or a process.

    Attributes:
        name: name to show to a reader.
        role: what it does in the training.
        kind: what it is.
        named: whether the name is its own; else it says what the thread is (``native thread``).
        ring: number of its ring, where that distinguishes threads of one name.
        pid: its process, or None for the process that recorded these facts.
    """

    tag: ClassVar[str] = "lane"
    name: str
    role: Role
    kind: LaneKind = LaneKind.THREAD
    named: bool = True
    ring: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What feeds a loop; attributes as in `pipeprof.recording.loop.Input`."""

    kind: InputKind | None = None
    name: str | None = None
    workers: int | None = None
    multiprocessing: bool | None = None
    queue_size: int | None = None
    start_method: str | None = None
    library: InputLibrary | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFacts(Tagged):
    """A loop that takes batches; most attributes as in `pipeprof.recording.loop.Loop`.

    Attributes:
        parent: number of the loop that it runs inside.
        autotune: False where AUTOTUNE is switched off for the tf.data pipeline that feeds it.
        warmup: steps of it that count as warm-up; as many as the profile has without it.
        compiled_by_shape: True where XLA compiles its step anew for each new shape of a batch.
    """

    tag: ClassVar[str] = "loop"
    kind: LoopKind
    start_ns: int
    parent: int | None = None
    input: InputFacts | None = None
    waits_by: WaitSource | None = None
    autotune: bool | None = None
    model: int | None = None
    location: Location | None = None
    warmup: int | None = None
    compiled_by_shape: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopUpdate(Tagged):
    """Facts about a loop that became known after it began; None leaves the earlier value."""

    tag: ClassVar[str] = "loop update"
    kind: LoopKind | None = None
    input: InputFacts | None = None
    waits_by: WaitSource | None = None
    autotune: bool | None = None
    model: int | None = None
    location: Location | None = None
    compiled_by_shape: bool | None = None


class StageLevel(Enum):
    """The levels of a stage that are recorded."""

    PARALLELISM = "parallelism"
    BUFFER = "buffer"
    BUFFER_SIZE = "buffer_size"


class LoopLevel(Enum):
    """The levels of a loop's input that are recorded."""

    QUEUE = "queue"
    HEAD_OF_LINE = "head_of_line"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageGauge(Tagged):
    """A level of a stage, over time; ``stage`` is the number of the stage."""

    tag: ClassVar[str] = "stage gauge"
    level: StageLevel
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopGauge(Tagged):
    """A level of a loop's input, over time; ``loop`` is the number of the loop."""

    tag: ClassVar[str] = "loop gauge"
    level: LoopLevel
    loop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGauge(Tagged):
    """A level of the whole run, over time; ``name`` is its name in `Profile.gauges`."""

    tag: ClassVar[str] = "run gauge"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGauge(Tagged):
    """A level of a device, over time; ``kind``, ``device`` (its name) and ``model`` as in `Device`."""

    tag: ClassVar[str] = "device gauge"
    level: DeviceLevel
    device: str
    kind: str
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFacts(Tagged):
    """A shape in which batches are delivered; attributes as in `Signature`."""

    tag: ClassVar[str] = "signature"
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    samples: int | None
    size_bytes: int
    validation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFacts(Tagged):
    """A stack of the user's code; attributes as in `StackSamples`.

    Raises:
        ValueError: it has no lines.
    """

    tag: ClassVar[str] = "stack"
    lines: tuple[CodeLine, ...]
    in_function: bool = False

    def __post_init__(self) -> None:
        if not self.lines:
            raise ValueError("expected a stack with lines, received an empty one")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWindowFacts(Tagged):
    """A trace window whose trace was kept, recorded when it has ended; attributes as in `TraceWindow`.

    Attributes:
        loop: number of its loop.
    """

    tag: ClassVar[str] = "trace window"
    run: str
    loop: int
    start_ns: int
    end_ns: int
    first_step: int
    step_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWorkerFacts(Tagged):
    """A look at a worker of a tf.data service; attributes as in `DataWorker`.

    Attributes:
        window: what the look saw, or None where it saw nothing.
    """

    tag: ClassVar[str] = "data worker"
    address: str
    pid: int | None = None
    cores: int | None = None
    window: WorkerWindow | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningFacts(Tagged):
    """A warning of the run: a sentence that a reader must know."""

    tag: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFacts(Tagged):
    """A signal ends the process that records the run; its name."""

    tag: ClassVar[str] = "signal"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCallFacts(Tagged):
    """A function that the host called; attributes as in `pipeprof.recording.account.HostCall`."""

    tag: ClassVar[str] = "host call"
    part: Part
    name: str
    location: Location | None = None
    callback: CallbackMethod | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts(Tagged):
    """Code in which the training thread was sampled; attributes as in `HostSample` of the account."""

    tag: ClassVar[str] = "place"
    function: str
    location: Location
    detail: str | None = None
    feeder: FeedingLane | None = None
    calls_fit: bool = False
    calls_predict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonFacts(Tagged):
    """Why something was traced or compiled again, in a few words: the shapes that changed."""

    tag: ClassVar[str] = "reason"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredFacts(Tagged):
    """An epoch that a loop's model has consumed; ``loop`` is the number of the loop."""

    tag: ClassVar[str] = "delivered epoch"
    loop: int
    delivered: DeliveredEpoch


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryUpdate(Tagged):
    """Facts about what a loop consumes and its model; None leaves the earlier value.

    Attributes:
        loop: number of the loop.
        given_dtypes: as of `Delivery`.
        model: its model.
    """

    tag: ClassVar[str] = "delivery update"
    loop: int
    given_dtypes: tuple[str, ...] | None = None
    model: TrainedModel | None = None


GaugeFacts: TypeAlias = StageGauge | LoopGauge | RunGauge | DeviceGauge
Facts: TypeAlias = (
    StageFacts
    | LaneFacts
    | LoopFacts
    | LoopUpdate
    | GaugeFacts
    | SignatureFacts
    | StackFacts
    | TraceWindowFacts
    | DataWorkerFacts
    | WarningFacts
    | SignalFacts
    | HostCallFacts
    | PlaceFacts
    | ReasonFacts
    | DeliveredFacts
    | DeliveryUpdate
)
