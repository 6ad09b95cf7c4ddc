"""What the things are that events are about: frozen values, from the probe to the freeze.

A process gives each of them a number in its name log. Where one refers to another of the same
process (a stage to the stage that asks it for data), it holds that one's number.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, TypeAlias

from pipeprof.recording.account import Part
from pipeprof.recording.codec import Tagged
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource
from pipeprof.recording.source_code import CodeLine, Location
from pipeprof.recording.stage import OperatorFamily, StageKind, StageOwner


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts(Tagged):
    """A stage of an input pipeline; most attributes as in `pipeprof.recording.stage.Stage`.

    Attributes:
        place: where in which pipeline it runs, for stages that a framework made.
        parent: number of the stage that asks it for data.
    """

    tag: ClassVar[str] = "stage"
    name: str
    kind: StageKind
    function: str | None = None
    location: Location | None = None
    made_at: Location | None = None
    made_by: str | None = None
    place: str | None = None
    parent: int | None = None
    owner: StageOwner = StageOwner.USER
    family: OperatorFamily | None = None
    parallel: bool = False
    remark: str | None = None
    written: str | None = None
    runs_as: str | None = None
    takes: float | None = None
    most_parallelism: int | None = None
    autotuned: bool | None = None
    buffer_autotuned: bool | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts(Tagged):
    """A thread or a process.

    Attributes:
        name: a person's name for it.
        role: what it is there for.
        kind: what it is.
        ring: number of its ring, where that tells threads of one name apart.
        pid: its process, where that is another than the one that recorded this.
    """

    tag: ClassVar[str] = "lane"
    name: str
    role: Role
    kind: LaneKind = LaneKind.THREAD
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFacts(Tagged):
    """A loop that takes batches; most attributes as in `pipeprof.recording.loop.Loop`.

    Attributes:
        parent: number of the loop that it runs inside.
        autotune: False where AUTOTUNE is switched off for the tf.data pipeline that feeds it.
        warmup: steps of it that count as warm-up; as many as the profile has without it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopUpdate(Tagged):
    """What became known of a loop after it began; None leaves what was known before."""

    tag: ClassVar[str] = "loop update"
    kind: LoopKind | None = None
    input: InputFacts | None = None
    waits_by: WaitSource | None = None
    autotune: bool | None = None
    model: int | None = None
    location: Location | None = None


class StageLevel(Enum):
    """Which gauge of a stage it is."""

    PARALLELISM = "parallelism"
    BUFFER = "buffer"
    BUFFER_SIZE = "buffer_size"


class LoopLevel(Enum):
    """Which gauge of a loop's input it is."""

    QUEUE = "queue"
    HEAD_OF_LINE = "head_of_line"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageGauge(Tagged):
    """A gauge of a stage, given by its number."""

    tag: ClassVar[str] = "stage gauge"
    level: StageLevel
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopGauge(Tagged):
    """A gauge of a loop's input; the loop is given by its number."""

    tag: ClassVar[str] = "loop gauge"
    level: LoopLevel
    loop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGauge(Tagged):
    """A gauge of the whole run, by its name in `Profile.gauges`."""

    tag: ClassVar[str] = "run gauge"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGauge(Tagged):
    """A gauge of a device; ``kind``, ``device`` (its name) and ``model`` as in `Device`."""

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
    """A trace window that was kept, given after it has ended; attributes as in `TraceWindow`.

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
class WarningFacts(Tagged):
    """A sentence that a reader of the run must know."""

    tag: ClassVar[str] = "warning"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFacts(Tagged):
    """A signal ends the process that records the run; its name."""

    tag: ClassVar[str] = "signal"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCallFacts(Tagged):
    """What the host called; attributes as in `pipeprof.recording.account.HostCall`."""

    tag: ClassVar[str] = "host call"
    part: Part
    name: str
    location: Location | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceFacts(Tagged):
    """Where the training thread was met; attributes as in `pipeprof.recording.account.HostSample`."""

    tag: ClassVar[str] = "place"
    function: str
    location: Location
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonFacts(Tagged):
    """Why something was traced or compiled again, in a few words: the shapes that changed."""

    tag: ClassVar[str] = "reason"
    text: str


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
    | WarningFacts
    | SignalFacts
    | HostCallFacts
    | PlaceFacts
    | ReasonFacts
)
