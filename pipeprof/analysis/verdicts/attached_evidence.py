"""What can speak for a verdict on a training that was observed from outside: values without words.

Ratios are parts of the time of the observation. `pipeprof.report.one_run.attached_text` has the sentences.
"""

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAwaited:
    """A batch was being waited for."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MakerAtWork:
    """How busy the Python code was that makes the batches ahead; ``bound`` is what that shows."""

    busy_ratio: float
    bound: Bound


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFit:
    """Keras waits and computes in one compiled function, and no Python code makes the batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTraining:
    """No thread was seen training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InTrainingSteps:
    """The thread that trains was in training steps."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InOwnCode:
    """The thread that trains was in the script's own code, outside any training step."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GettingBatches:
    """The thread that trains was getting batches."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MakersQueued:
    """What makes the batches was ready to run, but no CPU was free."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MakersBlocked:
    """What makes the batches was rarely on a CPU."""

    cpu_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCoreFree:
    """All cores of the machine were in use."""


AttachedEvidence = (
    BatchAwaited
    | MakerAtWork
    | CompiledFit
    | NoTraining
    | InTrainingSteps
    | InOwnCode
    | GettingBatches
    | MakersQueued
    | MakersBlocked
    | NoCoreFree
)
