"""What a loop's whole wall time shows beside its verdict: host, epochs, uneven waits, validation."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.account_findings import EpochAccount
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.findings.wall_evidence_kinds import (
    FewSteps,
    HostAtWork,
    UnevenWaits,
    ValidationTime,
    WallEvidence,
)
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW, INPUT_FROM
from pipeprof.analysis.verdicts.shape_compiling import compiled_again
from pipeprof.analysis.verdicts.unevenness import epochs_apart, uneven_waits
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.analysis.verdicts.wall_shares import host_places
from pipeprof.recording.account import Part

_MOST_PLACES = 3

# Fewer steps than this are few.
_FEW_STEPS = 10

# Validation from this part of a loop's wall time on is worth a headline.
VALIDATION_FROM = 0.20


def host_time(verdict: Verdict) -> Iterator[HostAtWork]:
    """What the host's time went to, where it is worth naming."""
    if verdict.walls is None or verdict.wall_host < COMPUTE_BELOW:
        return
    account = verdict.measured.account
    wall_ns = verdict.walls.wall_ns
    yield HostAtWork(
        ratio=verdict.wall_host,
        callbacks_ratio=min(account.ns(Part.CALLBACKS) / wall_ns, 1.0),
        between_ratio=min(account.ns(Part.BETWEEN_EPOCHS) / wall_ns, 1.0),
        own_code_ratio=min(account.ns(Part.OWN_CODE) / wall_ns, 1.0),
        places=host_places(account)[:_MOST_PLACES],
    )


def of_wall_time(
    verdict: Verdict, validations: Sequence[Verdict], epochs: Sequence[EpochAccount]
) -> Iterator[WallEvidence]:
    """What speaks of the whole loop beside the reasons for its verdict."""
    if verdict.waits_for_input:
        apart = epochs_apart(epochs, verdict.measured.costs)
        if apart is not None:
            yield apart
        yield from _uneven(verdict)
    yield from _validation(verdict, validations)
    again = compiled_again(verdict.measured)
    if again is not None:
        yield again
    steps, walls = verdict.measured.loop.step_count, verdict.walls
    interval = walls.shares().wait_interval if walls else None
    if interval is not None and steps < _FEW_STEPS:
        yield FewSteps(steps=steps, low=interval.low, high=interval.high)


def _uneven(verdict: Verdict) -> Iterator[UnevenWaits]:
    times = verdict.measured.times
    if times.wait_ratio is not None and times.wait_ratio >= COMPUTE_BELOW:
        found = uneven_waits(verdict.measured.loop)
        if found is not None:
            yield found


def _validation(verdict: Verdict, validations: Sequence[Verdict]) -> Iterator[ValidationTime]:
    ratio = verdict.measured.account.ratio(Part.VALIDATION)
    dearest = max(validations, key=lambda each: each.measured.account.wall_ns, default=None)
    if dearest is None or ratio < VALIDATION_FROM:
        return
    waits = dearest.wall_wait >= INPUT_FROM and dearest.worst is not None
    yield ValidationTime(
        ratio=min(ratio, 1.0),
        bound=dearest.bound,
        wait_ratio=None if dearest.bound is Bound.UNKNOWN else dearest.wall_wait,
        bottleneck=StageReference.of(dearest.worst.stage) if waits and dearest.worst else None,
    )
