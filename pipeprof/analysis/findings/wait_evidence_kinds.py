"""Why a loop waits for its input: one class a kind of evidence, with figures and no words."""

from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.input_findings import EpochStart
from pipeprof.analysis.findings.references import LaneReference, StageReference
from pipeprof.analysis.findings.service_findings import WorkersAtWork
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.work_reasons import CallKind, WorkReason
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOfFeeder:
    """The user's own code feeds the training: in other threads or processes, or in the training's thread.

    Attributes:
        feeder: where it was sampled at work most often.
        waits: whether the training waits for it, and is not only slowed down.
        cause: why it is slow.
    """

    feeder: Feeder
    waits: bool
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeInOwnThread:
    """A part of the waiting is for code that the training's own thread runs for its next batch.

    Attributes:
        feeder: the function that was sampled there most often.
        ratio: the part of all waiting that such code takes.
    """

    feeder: Feeder
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUpByInput:
    """The input's own work holds the training's computing up.

    Attributes:
        held_ms: what that takes of a step.
        step_ms: the whole step.
        gil_ratio: the part of the step in which the training waits for the GIL, or None.
        cpu_queue_ratio: the part in which it is ready without a CPU because of the input, or None.
    """

    held_ms: float
    step_ms: float
    gil_ratio: float | None
    cpu_queue_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesNotCounted:
    """AUTOTUNE is off, and tf.data counts no work of its stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoStageSeen:
    """No stage of the input was seen at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStartWait:
    """How long the first steps of epochs waited.

    Attributes:
        epochs: how many epochs have such a wait.
        median_ms: the median of those waits.
        usual: an epoch start with the cause that most of them have, or None.
        others_ms: what all other steps waited together, where epoch starts are the cause; else None.
    """

    epochs: int
    median_ms: float
    usual: EpochStart | None
    others_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartCost:
    """What starting the input again at each epoch costs; ``share`` is of all input work."""

    stage: StageReference
    cost_ms: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWait:
    """The loop waits for stages that run in another process, which counts them.

    Attributes:
        stage: what it takes their elements from.
        cost_ms: how long it waits per step.
        workers: the workers of a tf.data service that run these stages, where they were traced: then what
            is waited for is the service itself, or the network. Or None.
    """

    stage: StageReference
    cost_ms: float
    workers: WorkersAtWork | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkInWorkers:
    """The bottleneck runs in the workers of a tf.data service.

    Attributes:
        stage: the stage.
        cost_ms: its own work per step.
        calls: how many of its calls may run at once in all of them together.
        workers: the workers.
        cause: why it is slow.
        machine_ratio: CPU in use on the training's machine, where the workers run there too; or None.
    """

    stage: StageReference
    cost_ms: float
    calls: float
    workers: WorkersAtWork
    cause: Cause
    machine_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckAtWork:
    """How the bottleneck works, and why that makes the training wait.

    Attributes:
        stage: the bottleneck.
        cost_ms: its own work per step.
        calls: what runs its calls.
        at_once: how many of them may run at once.
        allowed: how many may run at once where tf.data had threads for them; None where it has.
        copies: how many copies of it work in branches of the pipeline; the cost is that of all of them.
        sharing: how many other stages take turns with it.
        busy_ratio: the part of the time in which its place is busy.
        ahead: whether it works while the training computes.
        reason: why it is too slow, or None where it has time left.
    """

    stage: StageReference
    cost_ms: float
    calls: CallKind
    at_once: float
    sharing: int
    busy_ratio: float
    ahead: bool
    reason: WorkReason | None
    copies: int = 1
    allowed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrownAway:
    """A filter behind the bottleneck throws away a part of what that makes.

    Attributes:
        stage: the bottleneck.
        by: the filter.
        taken: elements that the filter took.
        kept: elements that it gave.
    """

    stage: StageReference
    by: StageReference
    taken: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeThreads:
    """Threads without stages compute for the bottleneck: TensorFlow's, those of BLAS.

    Attributes:
        stage: the bottleneck.
        cores: cores' worth of CPU that they use for each of its calls.
        own_cpu_ratio: the part of its time that its own thread is on a CPU.
    """

    stage: StageReference
    cores: float
    own_cpu_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereItRan:
    """On which thread the bottleneck ran, and how much of the input's work ran beside the training.

    Attributes:
        lane: the lane with most of its work, or None where that is not known or workers did it.
        trains: whether that is the thread that trains.
        first_calls: how many calls at the begin ran on the thread that trains, unlike later ones.
        overlap_ratio: the part of the input's work that overlapped with training, or None.
        estimated: whether that ratio is an estimate.
        only_stage: whether the input has no other stage.
    """

    lane: LaneReference | None
    trains: bool
    first_calls: int
    overlap_ratio: float | None
    estimated: bool
    only_stage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was read while a stage waited, in bytes a second; None where that is not notable."""

    disk_bytes_per_s: float | None
    network_bytes_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBatchAtATime:
    """A sequence has no processes and so few workers that batches are loaded one by one."""

    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersAndTransport:
    """What worker processes take off the training's process, and what their transport costs."""

    work_ms: float
    transport_ms: float


WaitEvidence = (
    HeldUpByInput
    | WorkOfFeeder
    | MadeInOwnThread
    | StagesNotCounted
    | NoStageSeen
    | EpochStartWait
    | RestartCost
    | RemoteWait
    | WorkInWorkers
    | BottleneckAtWork
    | NativeThreads
    | ThrownAway
    | WhereItRan
    | Traffic
    | OneBatchAtATime
    | WorkersAndTransport
)
