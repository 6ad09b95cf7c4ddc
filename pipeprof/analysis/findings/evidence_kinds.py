"""What can speak for a verdict or weaken it: one class a kind of evidence, with figures and no words.

Times are milliseconds per training step unless an attribute has another unit, ratios 0 to 1.
`pipeprof.report.one_run.evidence_text` has the sentence of each kind. Kinds for a loop that waits are in
`wait_evidence_kinds`, for its wall time in `wall_evidence_kinds`; `caveat_kinds` weaken a verdict.
"""

from pipeprof.analysis.findings.caveat_kinds import Caveat
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.wait_evidence_kinds import WaitEvidence
from pipeprof.analysis.findings.wall_evidence_kinds import WallEvidence
from pipeprof.recording.light_dataclasses import dataclass

# Why there is no verdict.


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsNotMeasured:
    """Nothing measured how long the steps waited for data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoStepTime:
    """The steps took no time that could be measured; ``finished``: whether there was any step."""

    finished: bool


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


Evidence = NoVerdictEvidence | ComputeEvidence | WaitEvidence | WallEvidence | Caveat
