"""Why a bottleneck is too slow: one class a reason, with figures and no words."""

from enum import Enum

from pipeprof.recording.light_dataclasses import dataclass


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
