"""Evidence on a loop's whole wall time: its host, its epochs, single long waits, validation.

One class a kind, with figures and no words; the sentence of each kind stands in
`pipeprof.report.one_run.wall_text`.
"""

from pipeprof.analysis.findings.account_findings import HostPlace
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAtWork:
    """The host works while the training stands still.

    Attributes:
        ratio: its part of the training's time.
        callbacks_ratio: callbacks.
        between_ratio: what passes between epochs, callbacks left out.
        own_code_ratio: the training's own code.
        places: the dearest places, dearest first.
    """

    ratio: float
    callbacks_ratio: float
    between_ratio: float
    own_code_ratio: float
    places: tuple[HostPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitBesideHost:
    """Waiting for data comes second, behind the host; ``ratio`` is of the wall time."""

    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FewSteps:
    """Few steps were measured: the waiting is only known within an interval."""

    steps: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochsApart:
    """Some epochs wait far longer than the others.

    Attributes:
        epochs: their numbers, from 0.
        ratio: the part of their time that they wait.
        others_ratio: the part of the other epochs' time that those wait.
        filled_cache: the cache that is filled in them, or None.
    """

    epochs: tuple[int, ...]
    ratio: float
    others_ratio: float
    filled_cache: StageReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnevenWaits:
    """Few waits hold most of the waiting.

    Attributes:
        share: the part of all waiting that the longest 5 % of waits hold.
        wait_ms: how long these are on average.
        period: steps from one to the next, or None where they come irregularly.
    """

    share: float
    wait_ms: float
    period: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationTime:
    """Validation takes a good part of the training.

    Attributes:
        ratio: its part of the loop's whole wall time.
        bound: its own verdict.
        wait_ratio: the part of its time that it waits, or None.
        bottleneck: the stage that it waits for, or None.
    """

    ratio: float
    bound: Bound
    wait_ratio: float | None
    bottleneck: StageReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracings:
    """The training's function was traced or compiled again in mid-training.

    Attributes:
        count: how often.
        ms: how long these steps took beyond a usual one, together.
        change: the change of shapes that came most often; None where it was a new function that was traced.
        others: how many other changes there were.
    """

    count: int
    ms: float
    change: str | None
    others: int


WallEvidence = (
    HostAtWork | WaitBesideHost | FewSteps | EpochsApart | UnevenWaits | ValidationTime | Retracings
)
