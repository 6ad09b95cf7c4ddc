"""What can speak for a verdict or weaken it: one class a kind of evidence, with figures and no words.

Times are milliseconds per training step unless an attribute has another unit, ratios 0 to 1.
`pipeprof.report.one_run.evidence_text` has the sentence of each kind.
"""

from dataclasses import dataclass
from enum import Enum

from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.input_findings import EpochStart
from pipeprof.analysis.findings.references import LaneReference, StageReference
from pipeprof.analysis.findings.service_findings import WorkersAtWork
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.wall_evidence_kinds import WallEvidence
from pipeprof.recording.run_info import RecordedBy

# Why there is no verdict.


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsNotMeasured:
    """Nothing measured how long the steps waited for data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoStepTime:
    """The steps took no time that could be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupCosts:
    """The loop never came past its warm-up: costs of stages are those of the warm-up."""


NoVerdictEvidence = WaitsNotMeasured | NoStepTime | WarmupCosts


# Why a loop is compute-bound.


@dataclass(frozen=True, slots=True, kw_only=True)
class InputKeepsUp:
    """How little a step waits."""

    wait_ms: float
    step_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareCapacity:
    """How many steps a second the slowest stage could feed, against those that training took."""

    stage: StageReference
    capacity_per_s: float
    steps_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GilBesideTraining:
    """Python code of the input runs beside the training and may hold the GIL, so much of the time."""

    busy_ratio: float


ComputeEvidence = InputKeepsUp | SpareCapacity | GilBesideTraining


# Why a loop waits for its input.


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


class CallKind(Enum):
    """What runs the calls of a stage."""

    WORKER = "worker"
    WORKER_PROCESS = "worker process"
    THREAD = "thread"
    CALL = "call"
    """Calls of which the threads are not known."""
    PARALLEL_CALL = "parallel call"
    """Calls that the framework runs at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingWork:
    """The stage waits for something other than a CPU.

    Attributes:
        cpu_ratio: its CPU time over its wall time.
        upper_bound: whether that is only an upper bound.
    """

    cpu_ratio: float
    upper_bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportWork:
    """The stage brings batches from worker processes; ``batch_bytes`` is the size of a batch, or None."""

    batch_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottledWork:
    """The container's limit, in cores, stopped the training in a part of the scheduling periods."""

    limit: float
    throttled_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedWork:
    """The stage was ready to run while all CPUs were taken, for a part of its time."""

    queued_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturatedWork:
    """No core is free.

    Attributes:
        process_ratio: CPU that this training uses.
        machine_ratio: CPU that all programs use, where those of others matter; else None.
        cpu_known: whether the stage's own CPU time was measured.
    """

    process_ratio: float
    machine_ratio: float | None
    cpu_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GilWork:
    """The threads of the stage take turns at the GIL.

    Attributes:
        held_ratio: the part of the time in which one of them held it, or None.
        cpu_known: whether the stage's own CPU time was measured.
    """

    held_ratio: float | None
    cpu_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreFreeWork:
    """The stage computes while a core is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfOrderWork:
    """A later batch was ready in a part of the waiting, but not the next one in order."""

    late_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialWork:
    """The stage makes one call after the other.

    Attributes:
        python: whether it is Python code, under the GIL.
        cpu_known: whether the stage's own CPU time was measured.
    """

    python: bool
    cpu_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperWork:
    """The stage waits for processes of the user's own.

    Attributes:
        count: how many of them there are.
        cpu_ratio: the part of its time that one of them is on a CPU.
        free_cores: cores' worth of CPU that nobody uses, or None where that is not known.
    """

    count: int
    cpu_ratio: float
    free_cores: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowestInsideEpochs:
    """The stage is the slowest one inside the epochs; the starts of the epochs are the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputingWork:
    """The stage computes and uses all the CPU that it may; ``cpu_known`` as in `SerialWork`."""

    cpu_known: bool


WorkReason = (
    BlockingWork
    | TransportWork
    | ThrottledWork
    | QueuedWork
    | SaturatedWork
    | GilWork
    | CoreFreeWork
    | OutOfOrderWork
    | HelperWork
    | SerialWork
    | SlowestInsideEpochs
    | ComputingWork
)


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


# What a reader should know beside the verdict.


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkedWorkers:
    """Workers are forked from a process in which TensorFlow runs threads: they may hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenInput:
    """The known stages work far less than a step waits."""

    seen_ms: float
    wait_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimeBounded:
    """The bottleneck's CPU time is only bounded, by that of all processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCores:
    """No accelerator was used: input and training share the cores.

    Attributes:
        cores: how many there are.
        idle: accelerators that are there and that the training does not use.
    """

    cores: int
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMayRunAhead:
    """Steps may return before the device has done their work, and nothing measured how busy it is.

    Attributes:
        recorded_by: how the user had it recorded.
        traceable: whether TensorFlow's profiler can measure it.
    """

    recorded_by: RecordedBy
    traceable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsOfSomeSteps:
    """Waits were measured in some of the counted steps only."""

    measured: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsOfTracedSteps:
    """Waits were measured in traced steps only, which tracing slows."""

    steps: int
    traced_step_ms: float
    step_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictingWaits:
    """TensorFlow's profiler traced other waits than were measured in the same steps.

    Attributes:
        steps: how many steps.
        measured_ms: their mean wait as it was measured.
        traced_ms: their mean wait as it was traced.
        way_unmeasured: whether the measurement leaves out the way from a generator to the training,
            which explains the difference.
    """

    steps: int
    measured_ms: float
    traced_ms: float
    way_unmeasured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost:
    """Some events were dropped."""

    dropped: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueGenerator:
    """Nothing was measured inside the generator that is the bottleneck.

    Attributes:
        stage: the generator.
        newer_python_helps: whether a later Python would time the generators inside it.
        recorded_by: how the user had it recorded.
    """

    stage: StageReference
    newer_python_helps: bool
    recorded_by: RecordedBy


Caveat = (
    ForkedWorkers
    | UnseenInput
    | CpuTimeBounded
    | SharedCores
    | DeviceMayRunAhead
    | WaitsOfSomeSteps
    | WaitsOfTracedSteps
    | ContradictingWaits
    | EventsLost
    | OpaqueGenerator
)

Evidence = NoVerdictEvidence | ComputeEvidence | WaitEvidence | WallEvidence | Caveat
