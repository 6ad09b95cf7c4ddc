"""Threads, worker processes and devices, and the processors they ran on."""

from enum import Enum

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import Binned


class Role(Enum):
    """What a thread or process does in a training."""

    MAIN = "main"
    TRAINING = "training"
    INPUT = "input"
    WORKER = "worker"
    OTHER = "other"
    DEVICE = "device"


class LaneKind(Enum):
    """What a lane is."""

    THREAD = "thread"
    """A thread that Python knows."""
    NATIVE = "native thread"
    """A thread that a library (TensorFlow's operations, BLAS) made and gave no name."""
    LIBRARY = "library thread"
    """A thread that a library made and named (``tf_data_…``, ``tf_Compute``)."""
    TF_DATA_POOL = "tf.data thread pool"
    """A thread of a tf.data pipeline's own pool (``private_threadpool_size``): only functions run there."""
    PIPEPROF = "pipeprof thread"
    """A thread of pipeprof itself."""
    WORKER_PROCESS = "worker process"
    PROGRAM = "program"
    """Another program that the training started."""
    DEVICE = "device"
    FURTHER = "further"
    """All threads beyond the number that is kept one by one, together."""


# Columns of `Lane.cpu`: time on a CPU, and time ready to run while no CPU was free.
LANE_CPU_CHANNELS = ("cpu_ns", "queued_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class GilSamples:
    """How often a lane held the GIL.

    Attributes:
        held: samples in which it held the GIL.
        samples: all samples that were taken while somebody looked.
    """

    held: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSamples:
    """What a lane was seen to do in stages.

    Attributes:
        waiting: samples in which it waited for another process or for a pool of threads or processes.
        samples: all samples in which it was in a stage.
    """

    waiting: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A thread, a worker process or a device.

    Attributes:
        name: name to show to a reader.
        role: what it does in the training.
        kind: what it is.
        named: whether the name is its own; else it says what the lane is (``native thread``).
        pid: its process.
        tid: its thread, or None for a whole process or a device.
        busy: over time, nanoseconds spent in stages.
        cpu: over time, the channels of `LANE_CPU_CHANNELS`, or None where it was not read.
        first_ns: when it was first seen.
        last_ns: when it was last seen.
        gil: how often it held the GIL, or None where nobody looked.
        in_stages: what it was seen to do in stages, or None where nobody saw it there.
    """

    name: str
    role: Role
    pid: int
    tid: int | None
    busy: Binned
    cpu: Binned | None
    first_ns: int
    last_ns: int
    gil: GilSamples | None = None
    in_stages: StageSamples | None = None
    kind: LaneKind = LaneKind.THREAD
    named: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processors and how much of them the run used.

    Attributes:
        cores: processors that the run might use (its affinity).
        physical_cores: cores that these are hardware threads of, or None where that is not known.
        limit: cores' worth of CPU time that the container allows, or None without a limit.
        used: over time, CPU nanoseconds used by the whole process tree, or None where not read.
        sampled: over time, wall-clock nanoseconds that the readings of ``used`` cover, or None.
    """

    cores: int
    limit: float | None
    used: Binned | None
    sampled: Binned | None = None
    physical_cores: int | None = None
