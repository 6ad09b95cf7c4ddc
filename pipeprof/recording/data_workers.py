"""The workers of a tf.data service, as short traces of them showed them: part of a recording."""

from collections.abc import Iterator

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStage:
    """What one worker did for a stage during a trace.

    Attributes:
        stage: the stage: its index in `Profile.stages`, or while it is recorded its number.
        elements: how many elements it gave.
        work_ns: its own work, summed over calls that ran at once.
        parallelism: how many of its calls may run at once there; 1 for a stage without threads of its own.
    """

    stage: int
    elements: int
    work_ns: int
    parallelism: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWindow:
    """A trace of one worker.

    Attributes:
        start_ns: when it began.
        lasted_ns: how long it lasted.
        elements: how many elements the worker's pipeline gave to the service.
        asked_ratio: the part of the time in which the service waited for the pipeline's next element.
        cpu_cores: cores' worth of CPU that the worker's process used, or None where that was not read.
        size_bytes: size of the trace.
        stages: what its stages did.
    """

    start_ns: int
    lasted_ns: int
    elements: int
    asked_ratio: float
    cpu_cores: float | None
    size_bytes: int
    stages: tuple[WorkerStage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWorker:
    """A worker of a tf.data service that the training takes batches from.

    Attributes:
        address: ``host:port``.
        pid: its process, where it runs on the training's machine, or None.
        cores: processors that its AUTOTUNE counts on, or None.
        windows: traces of it, in the order of time.
        problem: why nothing, or nothing later, was seen of it; or None.
    """

    address: str
    pid: int | None
    cores: int | None
    windows: tuple[WorkerWindow, ...]
    problem: str | None = None


def check_workers(workers: tuple[DataWorker, ...], stages: int) -> Iterator[str]:
    """What contradicts itself in the workers of a recording with so many stages."""
    for number, worker in enumerate(workers):
        for window in worker.windows:
            if window.lasted_ns < 0 or not 0.0 <= window.asked_ratio <= 1.0:
                yield f"data worker {number} has a trace with a time or share that cannot be"
            for seen in window.stages:
                if not 0 <= seen.stage < stages:
                    yield f"data worker {number} refers to stage {seen.stage}, which is not there"
                if seen.parallelism < 1 or seen.elements < 0 or seen.work_ns < 0:
                    yield f"data worker {number} has a stage with counts that cannot be"
