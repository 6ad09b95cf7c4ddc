"""What the workers of a tf.data service did, as values: each worker, and all of them together."""

from pipeprof.recording.data_workers import DataWorker
from pipeprof.recording.light_dataclasses import dataclass

# From this part of its cores on, a worker computes on all of them.
_BUSY_FROM = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStageFinding:
    """What one worker did for a stage.

    Attributes:
        stage: index of the stage in `Profile.stages`.
        cost_ms: own work per element that the worker gave to the service.
        parallelism: how many of its calls may run at once there.
        busy_ratio: the part of the time in which these calls were under way.
    """

    stage: int
    cost_ms: float
    parallelism: int
    busy_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWorkerFinding:
    """One worker, in all traces of it together.

    Attributes:
        worker: the recorded one.
        traced_ms: how long it was traced.
        elements: how many elements it gave meanwhile.
        asked_ratio: the part of that time in which it had no element ready; None without a trace.
        at_work: calls of its stages under way at a time.
        cpu_cores: cores' worth of CPU that it used, or None where that was not read.
        stages: its stages, dearest first.
    """

    worker: DataWorker
    traced_ms: float
    elements: int
    asked_ratio: float | None
    at_work: float
    cpu_cores: float | None
    stages: tuple[WorkerStageFinding, ...]

    @property
    def cpu_ratio(self) -> float | None:
        """CPU that it used over its cores, or None."""
        if self.cpu_cores is None or not self.worker.cores:
            return None
        return min(self.cpu_cores / self.worker.cores, 1.0)

    @property
    def uses_all_cores(self) -> bool:
        """Whether it computes on all its cores, as far as that is known.

        On another machine only the calls under way are known: they may wait for something else.
        """
        used = self.at_work if self.cpu_cores is None else self.cpu_cores
        return bool(self.worker.cores) and used >= _BUSY_FROM * (self.worker.cores or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersAtWork:
    """All workers that were traced, together.

    Attributes:
        count: how many there are.
        asked_ratio: the part of the time in which they had no element ready.
        at_work: calls under way at a time.
        cpu_cores: cores' worth of CPU that they used, or None where that was not read of each.
        cores: the number of cores of each of them, or None where that is not known.
        use_all_cores: whether most of them compute on all their cores.
        beside_training: whether all of them run on the training's machine.
    """

    count: int
    asked_ratio: float
    at_work: float
    cpu_cores: float | None
    cores: int | None
    use_all_cores: bool
    beside_training: bool

    @property
    def cpu_ratio(self) -> float | None:
        """The part of the calls' time that is on a CPU, or None where that is not known."""
        if self.cpu_cores is None or self.at_work <= 0:
            return None
        return min(self.cpu_cores / self.at_work, 1.0)
