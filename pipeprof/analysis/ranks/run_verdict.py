"""The verdict on processes that train together."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median, median_low

import numpy as np

from pipeprof.analysis.findings.rank_findings import RunVerdict, Straggler, Synchrony
from pipeprof.analysis.findings.rank_summary import RankSummary
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.ranks.one_training import NumberedRank
from pipeprof.analysis.ranks.stragglers import (
    LATE_FROM,
    Lateness,
    WaitsOfRanks,
    describe_straggler,
)
from pipeprof.analysis.verdicts.bounds import bound_by_shares

# Of ranks at their own pace, one is slow if its steps take this many times the usual.
_SLOW_FROM = 1.2


def find_run_verdict(
    ours: Sequence[NumberedRank], synchrony: Synchrony, lateness: Lateness
) -> RunVerdict:
    """What the speed of all of them hangs on, and which ranks make the others wait."""
    if synchrony is not Synchrony.LOCK_STEP or not math.isfinite(lateness.waits.critical_ms):
        return _verdict_of_free_ranks(ours, synchrony)
    verdict = _verdict_in_lock_step(ours, lateness.waits, lateness.late)
    return replace(verdict, waits_shared=lateness.waits_shared)


def _verdict_in_lock_step(
    ours: Sequence[NumberedRank], waits: WaitsOfRanks, late: Sequence[int]
) -> RunVerdict:
    """All ranks wait for the slowest: its wait is everybody's."""
    ratio = _wait_ratio(ours, waits, late)
    # Where one rank is late, the others wait for it inside calls that may count as their own code.
    host = max(ours[row].summary.host_ratio or 0.0 for row in late or range(len(ours)))
    rest = [row for row in range(len(ours)) if row not in late]
    others = [ours[row].summary for row in rest]
    usual_ms = float(np.nanmedian(waits.wait_ms[rest])) if rest else float("nan")
    stragglers = tuple(
        describe_straggler(
            ours[row].number,
            ours[row].summary,
            others,
            wait_ms=float(waits.wait_ms[row]),
            usual_wait_ms=usual_ms,
            last_ratio=float(waits.last_ratio[row]) if np.isfinite(waits.last_ratio[row]) else 0.0,
        )
        for row in late
    )
    without_ms, held_ms = None, 0.0
    if late:
        next_ms = float(np.nanmax(waits.wait_ms[rest]))
        without_ms = max(waits.step_ms - (waits.critical_ms - next_ms), 0.0)
        held_ms = float(np.nanmedian(waits.held_ms[rest]))
    in_turn = waits.in_turn_ms if waits.in_turn_ms >= LATE_FROM * waits.step_ms else 0.0
    return RunVerdict(
        bound=bound_by_shares(min(ratio, 1.0), host),
        synchrony=Synchrony.LOCK_STEP,
        wait_ratio=min(ratio, 1.0),
        stragglers=stragglers,
        in_turn_ms=in_turn,
        step_ms=waits.step_ms,
        others_wait_ms=held_ms if late else float(np.nanmedian(waits.held_ms)),
        without_ms=without_ms,
        usual_step_ms=waits.step_ms,
    )


def _wait_ratio(ours: Sequence[NumberedRank], waits: WaitsOfRanks, late: Sequence[int]) -> float:
    """What all wait for data, over the wall time of the loop as in the report of one process."""
    rows = late[:1] or range(len(ours))
    scaled = [
        ratio * waits.critical_ms / float(waits.wait_ms[row])
        for row in rows
        if (ratio := ours[row].summary.wait_ratio) is not None and waits.wait_ms[row] > 0
    ]
    return median(scaled) if scaled else waits.critical_ms / waits.step_ms


def _verdict_of_free_ranks(ours: Sequence[NumberedRank], synchrony: Synchrony) -> RunVerdict:
    """Each rank goes at its own pace: the run takes as long as the slowest one."""
    timed = [each for each in ours if each.summary.step_ms is not None]
    if not timed:
        return RunVerdict(bound=Bound.UNKNOWN, synchrony=synchrony, wait_ratio=None)
    paces = {each.number: _step_ms(each.summary) for each in timed}
    slowest = max(timed, key=lambda each: paces[each.number])
    usual_ms = median_low(list(paces.values()))
    is_slow = paces[slowest.number] >= _SLOW_FROM * usual_ms
    others = [each.summary for each in timed if each is not slowest]
    own_wait = slowest.summary.wait_ms
    usual_waits = [each.wait_ms.mean for each in others if each.wait_ms is not None]
    stragglers: tuple[Straggler, ...] = ()
    if is_slow and own_wait is not None and usual_waits:
        usual_wait_ms = median(usual_waits)
        if own_wait.mean - usual_wait_ms >= LATE_FROM * paces[slowest.number]:
            stragglers = (
                describe_straggler(
                    slowest.number,
                    slowest.summary,
                    others,
                    wait_ms=own_wait.mean,
                    usual_wait_ms=usual_wait_ms,
                    last_ratio=0.0,
                ),
            )
    return RunVerdict(
        bound=slowest.summary.bound,
        synchrony=synchrony,
        wait_ratio=slowest.summary.wait_ratio,
        stragglers=stragglers,
        step_ms=paces[slowest.number],
        slowest=slowest.number if is_slow else None,
        usual_step_ms=usual_ms,
    )


def _step_ms(summary: RankSummary) -> float:
    return summary.step_ms.mean if summary.step_ms else 0.0


def rank_to_show(ours: Sequence[NumberedRank], verdict: RunVerdict) -> int:
    """The rank that a report is about: the one that holds the others up, else that with most steps."""
    if verdict.stragglers:
        return verdict.stragglers[0].rank
    if verdict.slowest is not None:
        return verdict.slowest
    return max(ours, key=lambda each: (each.summary.steps, -each.number)).number
