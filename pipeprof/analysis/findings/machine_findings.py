"""How busy lanes, processors, memory and devices were, and what pipeprof itself cost."""

from enum import Enum

from pipeprof.recording.lane import Role
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFinding:
    """How busy a lane was while the main loop ran; ratios are None where they were not measured.

    Attributes:
        name: a person's name for it.
        role: what it is there for.
        pid: its process.
        tid: its thread, or None.
        busy_ratio: the part of its life in which it worked in stages.
        cpu_ratio: the part of its life that it spent on a CPU.
        gil_ratio: the part of its life in which it held the GIL.
        stages: names of those that worked on it, dearest first.
        batches: how many batches it made over the whole run, or None where it is no worker.
    """

    name: str
    role: Role
    pid: int
    tid: int | None
    busy_ratio: float | None
    cpu_ratio: float | None
    gil_ratio: float | None
    stages: tuple[str, ...]
    batches: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuFinding:
    """The processors while the main loop ran.

    Attributes:
        cores: processors the run might use.
        limit: cores' worth of CPU time that the container allows, or None.
        process_ratio: CPU used by the process tree over what it may use, or None.
        saturated: whether no core was left, or None where that is not known.
        machine_ratio: CPU in use by whomever over the processors that the run might use, or None.
        throttled_ratio: the part of its scheduling periods in which the container's limit stopped the
            run, or None.
        voluntary_switches_per_s: how often a second threads began to wait for something, or None.
        forced_switches_per_s: how often a second threads had to give their CPU to others, or None.
        physical_cores: cores that these processors are hardware threads of, or None if not known.
    """

    cores: int
    limit: float | None
    process_ratio: float | None
    saturated: bool | None
    machine_ratio: float | None = None
    throttled_ratio: float | None = None
    voluntary_switches_per_s: float | None = None
    forced_switches_per_s: float | None = None
    physical_cores: int | None = None


# A part of the steps that is less than this is within the error with which it is known.
HELD_FROM = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """The part of the steps in which the input's own work held up the training's computing.

    Attributes:
        gil_ratio: the training's thread waited for the GIL, which input threads held; None: not known.
        cpu_queue_ratio: its threads stood ready while input work had the CPUs; None: not known.
        most_ratio: both together at most.
        training_cpu_ratio: the part of the steps in which the training's thread had a CPU; None: not read.
    """

    gil_ratio: float | None
    cpu_queue_ratio: float | None
    most_ratio: float = 0.0
    training_cpu_ratio: float | None = None

    @property
    def ratio(self) -> float:
        """Both together, as far as they are known."""
        return min((self.gil_ratio or 0.0) + (self.cpu_queue_ratio or 0.0), 1.0)

    @property
    def counted_ratio(self) -> float:
        """Both together where that is more than the error of such an estimate, else 0."""
        return self.ratio if self.ratio >= HELD_FROM else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFinding:
    """Memory, disk and network of the whole training while the main loop ran; None: not measured.

    Attributes:
        memory_bytes: resident in all its processes, on average.
        most_memory_bytes: the most that was resident in all its processes.
        disk_read_bytes_per_s: fetched from storage.
        disk_written_bytes_per_s: sent to storage.
        received_bytes_per_s: received over the network, by all that share it with the training.
        sent_bytes_per_s: sent over it.
    """

    memory_bytes: float | None
    most_memory_bytes: int | None
    disk_read_bytes_per_s: float | None
    disk_written_bytes_per_s: float | None
    received_bytes_per_s: float | None
    sent_bytes_per_s: float | None


class DeviceSource(Enum):
    """Where the figures of how busy a device was come from."""

    TRACE = "trace"
    NVML = "nvml"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFinding:
    """A device (a GPU, a TPU) and how busy the training kept it; None: not measured.

    Attributes:
        kind: ``gpu``, ``tpu``, …
        name: a person's name for it, with its number.
        model: what it is.
        source: where these figures come from.
        traced_steps: steps that were traced.
        step_ms: how long it worked or copied in each of them, on average.
        compute_ms: how long it worked.
        copy_in_ms: how long data was copied to it.
        busy_ratio: the part of the steps in which it worked or copied; of the loop's whole time where
            only its driver reported.
        idle_waiting_ratio: the part of the steps in which it did neither while the training waited
            for its input.
        own_busy_ratio: the part of the loop's time in which the training itself kept it busy, as its
            driver reports.
        memory_bytes: in use on average, by whomever.
        memory_room_bytes: what it has.
        own_memory_bytes: in use by the training.
        power_w: what it drew, on average.
        clock_mhz: how fast its processors ran, on average.
    """

    kind: str
    name: str
    model: str | None
    source: DeviceSource
    traced_steps: int = 0
    step_ms: float | None = None
    compute_ms: float | None = None
    copy_in_ms: float | None = None
    busy_ratio: float | None = None
    idle_waiting_ratio: float | None = None
    own_busy_ratio: float | None = None
    memory_bytes: float | None = None
    memory_room_bytes: float | None = None
    own_memory_bytes: float | None = None
    power_w: float | None = None
    clock_mhz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadFinding:
    """What the looking cost; ``ratio`` is its share of the run's time on the training's machine."""

    probe_ns: float | None
    events: int
    events_dropped: int
    ratio: float | None
