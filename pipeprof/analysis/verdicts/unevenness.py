"""What is uneven about a loop's waiting: epochs that differ from the others, and few long waits."""

from collections.abc import Sequence

import numpy as np

from pipeprof.analysis.findings.account_findings import Account, EpochAccount
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.wall_evidence_kinds import EpochsApart, UnevenWaits
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW, INPUT_FROM
from pipeprof.recording.loop import Loop
from pipeprof.recording.series import IntArray
from pipeprof.recording.stage import OperatorFamily

# Epochs are apart that wait this much more of their time than the middle one; so many may be.
_APART_FROM = 0.20
_MOST_APART = 0.34

_LONGEST = 0.05
_FEWEST_WAITS = 40
# From this share of all waiting in the longest waits on they are what counts.
_UNEVEN_FROM = 0.50
_PERIODIC_FROM = 0.8
_FEWEST_PERIODS = 3


def epochs_apart(
    all_epochs: Sequence[EpochAccount], costs: Sequence[StageCost]
) -> EpochsApart | None:
    """The epochs that wait far longer than the others, or None; ``costs`` may have a cache they fill."""
    epochs = [epoch for epoch in all_epochs if epoch.steps]
    ratios = np.array([_wait_ratio(epoch.account) for epoch in epochs])
    if len(ratios) < 2:
        return None
    # Of two epochs the shorter wait is the usual one.
    usual = float(np.quantile(ratios, 0.5, method="lower"))
    apart = (ratios >= INPUT_FROM) & (ratios >= usual + _APART_FROM)
    if not apart.any() or apart.sum() > max(_MOST_APART * len(ratios), 1):
        return None
    cache = next((cost for cost in costs if cost.stage.family is OperatorFamily.CACHE), None)
    fills = bool(apart[0]) and apart.sum() == 1
    return EpochsApart(
        epochs=tuple(epoch.epoch for epoch, far in zip(epochs, apart, strict=True) if far),
        ratio=_together([e for e, far in zip(epochs, apart, strict=True) if far]),
        others_ratio=_together([e for e, far in zip(epochs, apart, strict=True) if not far]),
        filled_cache=StageReference.of(cache.stage) if cache is not None and fills else None,
    )


def waits_are_over(epochs: Sequence[EpochAccount], costs: Sequence[StageCost]) -> bool:
    """Whether what is still to come does not wait: a cache is filled, or the later epochs kept up."""
    apart = epochs_apart(epochs, costs)
    if apart is None or apart.others_ratio >= COMPUTE_BELOW:
        return False
    taken = [epoch.epoch for epoch in epochs if epoch.steps]
    others = len(taken) - len(apart.epochs)
    return taken[-1] not in apart.epochs and (apart.filled_cache is not None or others > 1)


def _wait_ratio(account: Account) -> float:
    """Waiting over the time that every epoch has: without validation and compiling."""
    return account.wait_ratio or 0.0


def _together(epochs: Sequence[EpochAccount]) -> float:
    rows = tuple(row for epoch in epochs for row in epoch.account.rows)
    return _wait_ratio(Account(wall_ns=sum(row.ns for row in rows), rows=rows))


def uneven_waits(loop: Loop) -> UnevenWaits | None:
    """The long waits that hold most of the waiting inside epochs, or None without such."""
    steps = loop.steps
    known = loop.counted & steps.measured
    waits, ordinals = steps.wait_ns[known], steps.ordinal[known]
    total_ns = int(waits.sum())
    if len(waits) < _FEWEST_WAITS or not total_ns:
        return None
    longest = np.sort(np.argsort(waits)[-max(int(_LONGEST * len(waits)), 1) :])
    share = int(waits[longest].sum()) / total_ns
    if share < _UNEVEN_FROM:
        return None
    long_ones = longest[2 * waits[longest] >= waits.max()]
    return UnevenWaits(
        share=share,
        wait_ms=float(waits[long_ones].mean()) / 1e6,
        period=_period(ordinals[long_ones]),
    )


def _period(ordinals: IntArray) -> int | None:
    """The distance that nearly all neighbours have, in steps; None where they come irregularly."""
    distances = np.diff(ordinals)
    if len(distances) < _FEWEST_PERIODS:
        return None
    values, counts = np.unique(distances, return_counts=True)
    regular = counts.max() >= _PERIODIC_FROM * len(distances)
    return int(values[counts.argmax()]) if regular and values[counts.argmax()] > 1 else None
