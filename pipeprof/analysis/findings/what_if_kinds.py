"""What could be otherwise in a training: one frozen class a kind of change, and what is predicted of it."""

from pipeprof.analysis.findings.findings import Interval
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeBatches:
    """Batches cost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCosts:
    """A stage's own work costs this part of what it costs today; 0 for nothing."""

    stage: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRuns:
    """So many calls of a stage run at once."""

    stage: str
    parallelism: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedAhead:
    """The input runs ahead of the training, one batch after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedByWorkers:
    """So many worker threads or processes make the batches."""

    workers: int
    processes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedBehind:
    """What a stage gives is kept in memory, and its first epoch is over."""

    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoEpochStarts:
    """The first batch of an epoch is waited for no longer than the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCallback:
    """A callback, by the name of its class, takes no time."""

    callback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithCores:
    """The training may use so many cores."""

    cores: float


Supposition = (
    FreeBatches
    | StageCosts
    | StageRuns
    | LoadedAhead
    | LoadedByWorkers
    | CachedBehind
    | NoEpochStarts
    | NoCallback
    | WithCores
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupposedStep:
    """What a training would take if something were otherwise.

    Attributes:
        step_ms: mean step time, the beginnings of epochs included.
        interval: where that lies.
        speedup: today's step time over that one.
        today_ms: today's step time.
        unexplained_ms: the part of today's step time that the model does not explain, or explains beyond
            it (negative); it is carried along.
        wall_s: what the loop's training would take as a whole, without validation, start-up and compiling.
        memory_bytes: memory that a cache needs, or None where none is asked for or that is not known.
        memory_fits: whether there is so much on the machine; None where that is not known.
    """

    step_ms: float
    interval: Interval
    speedup: float
    today_ms: float
    unexplained_ms: float
    wall_s: float
    memory_bytes: float | None = None
    memory_fits: bool | None = None
