"""What passes while no training runs: whose time it is, and what is evaluated and predicted in it.

What lies before a later pass of a loop is that loop's own, and all else the run's.
"""

from collections.abc import Mapping

import numpy as np

from pipeprof.analysis.findings.account_findings import AccountRow
from pipeprof.recording.account import Part, PassContext
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray

_RUN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideTraining:
    """Evaluations and predictions that the script runs beside its trainings.

    Attributes:
        rows: a row for each loop of them.
        before_ns: what of their time lies before the first training.
        after_ns: what of it lies after the last one.
    """

    rows: tuple[AccountRow, ...] = ()
    before_ns: int = 0
    after_ns: int = 0

    @property
    def ns(self) -> int:
        """All their time."""
        return sum(row.ns for row in self.rows)


class BetweenPasses:
    """Tells loops of the top level, and the run, what of the time between their passes is theirs."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        trains = [
            (index, *span[:2])
            for index, loop in enumerate(profile.loops)
            if loop.parent is None and loop.kind.trains
            for span in passes_of(loop).tolist()
        ]
        self._passes: IntArray = np.array(sorted(trains, key=lambda each: each[1]), np.int64)
        self._passes = self._passes.reshape(-1, 3)
        self._owners = self._find_owners()
        self._gaps = self._find_gaps()
        self._beside = self._find_beside()

    def own_ns(self, index: int) -> int:
        """What of the time between the passes of a loop is its own; other trainings are left out."""
        loop = self._profile.loops[index]
        span = span_of(loop)
        if loop.parent is not None or span is None or loop.account.pass_count < 2:
            return 0
        within = (self._passes[:, 1] > span[0]) & (self._passes[:, 1] < span[1])
        gaps_ns = self._gaps[within].sum()
        mine_ns = self._gaps[within & (self._owners == index)].sum()
        free_ns = span[1] - span[0] - sum(loop.account.pass_ns) - self._others_ns(index, span)
        return max(round(free_ns * (mine_ns / gaps_ns if gaps_ns else 1.0)), 0)

    def beside(self, index: int | None) -> BesideTraining:
        """What is evaluated and predicted in that time; for None, in the run's."""
        return self._beside.get(_RUN if index is None else index, BesideTraining())

    def _find_owners(self) -> IntArray:
        """For each pass, the loop that it is of if that had a pass before, or `_RUN`."""
        seen: set[int] = set()
        owners = []
        for index in self._passes[:, 0].tolist():
            owners.append(index if index in seen else _RUN)
            seen.add(index)
        return np.array(owners, np.int64)

    def _find_gaps(self) -> IntArray:
        """How long no training ran before each pass."""
        if not len(self._passes):
            return np.zeros(0, np.int64)
        ended = np.maximum.accumulate(self._passes[:, 2])
        before = np.concatenate([self._passes[:1, 1], ended[:-1]])
        gaps: IntArray = np.maximum(self._passes[:, 1] - before, 0)
        return gaps

    def _others_ns(self, index: int, span: tuple[int, int]) -> int:
        others = self._passes[self._passes[:, 0] != index]
        starts, ends = np.maximum(others[:, 1], span[0]), np.minimum(others[:, 2], span[1])
        return int(np.maximum(ends - starts, 0).sum())

    def _find_beside(self) -> Mapping[int, BesideTraining]:
        found: dict[int, BesideTraining] = {}
        starts = self._passes[:, 1]
        last_ns = int(self._passes[:, 2].max(initial=0))
        for loop in self._profile.loops:
            if loop.parent is not None or loop.kind.trains:
                continue
            passes = passes_of(loop)
            passes = passes[passes[:, 2] == PassContext.TOP]
            lasted = passes[:, 1] - passes[:, 0]
            after = np.searchsorted(starts, passes[:, 0])
            owners = np.append(self._owners, _RUN)[after]
            times = loop.account.pass_ns[PassContext.TOP] / max(int(lasted.sum()), 1)
            for owner in sorted(set(owners.tolist())):
                its = owners == owner
                late = passes[:, 0] >= last_ns
                known = found.get(owner, BesideTraining())
                found[owner] = BesideTraining(
                    rows=(*known.rows, _row(loop, lasted[its], max(times, 1.0))),
                    before_ns=known.before_ns + int(lasted[its & (after == 0) & ~late].sum()),
                    after_ns=known.after_ns + int(lasted[its & late].sum()),
                )
        return found


def span_of(loop: Loop) -> tuple[int, int] | None:
    """When the passes of a loop began and ended, or its steps where no pass was recorded."""
    account = loop.account
    if account.start_ns is not None and account.end_ns is not None:
        return account.start_ns, account.end_ns
    return (loop.start_ns, loop.end_ns) if loop.step_count else None


def passes_of(loop: Loop) -> IntArray:
    """Begin, end and context of a loop's passes that were kept, or of its steps without any."""
    if len(loop.account.passes):
        return loop.account.passes
    span = span_of(loop)
    rows = [(*span, PassContext.TOP)] if span else []
    return np.array(rows, np.int64).reshape(-1, 3)


def _row(loop: Loop, lasted: IntArray, times: float) -> AccountRow:
    """A row for some passes of a loop; ``times`` as many were not kept."""
    return AccountRow(
        part=Part.VALIDATION if loop.kind is LoopKind.EVALUATE else Part.OWN_CODE,
        ns=round(int(lasted.sum()) * times),
        count=round(len(lasted) * times),
        name=loop.kind.value,
        location=loop.location,
        calls_predict=loop.kind is LoopKind.PREDICT,
    )
