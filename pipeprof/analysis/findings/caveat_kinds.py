"""What a reader should know beside a verdict: one class a kind, with figures and no words."""

from pipeprof.analysis.findings.references import StageReference
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.run_info import RecordedBy


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledByShape:
    """XLA compiles the model anew for each new shape of a batch, and some steps took far longer.

    Attributes:
        steps: how many steps.
        ms: what they computed together.
        factor: how many times as long as the others they computed, on average.
    """

    steps: int
    ms: float
    factor: float


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
    | CompiledByShape
)
