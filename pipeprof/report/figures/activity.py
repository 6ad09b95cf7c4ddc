"""Who did what in a stretch of a run: the training, and each lane that worked meanwhile, as intervals."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeprof.recording.lane import Role
from pipeprof.recording.loop import UNKNOWN_NS, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind
from pipeprof.report.figures.moments import Moment

MOST_LANES = 18

# What a lane did: a stage, by its index, or one of these.
COMPUTING, WAITING, UNKNOWN_STEP, ELSE, DEVICE_BUSY = -1, -2, -3, -4, -5

_WORK, _STEP = (tuple(SpanKind).index(kind) for kind in (SpanKind.WORK, SpanKind.STEP))
_ROLES = (Role.MAIN, Role.TRAINING, Role.INPUT, Role.WORKER, Role.DEVICE, Role.OTHER)

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the picture; ``pieces`` are intervals by what they were."""

    name: str
    role: Role
    pieces: dict[int, list[Interval]]


def rows_of(moment: Moment, profile: Profile, loop: Loop) -> tuple[list[Row], int]:
    """The training's row first, then the busiest lanes by role; and how many were left out."""
    work = _work_by_lane(moment, profile)
    lanes = sorted(work, key=lambda lane: -busy_ns(work[lane]))
    kept = sorted(
        lanes[:MOST_LANES], key=lambda lane: (_ROLES.index(profile.lanes[lane].role), lane)
    )
    names = Counter(profile.lanes[lane].name for lane in kept)
    seen: Counter[str] = Counter()
    rows = [Row("training", Role.TRAINING, _training(moment, profile, loop))]
    for lane in kept:
        name = profile.lanes[lane].name
        seen[name] += 1
        shown = f"{name} {seen[name]}" if names[name] > 1 else name
        shown = f"{shown}: input" if lane == loop.lane else shown
        rows.append(Row(shown, profile.lanes[lane].role, work[lane]))
    return rows, len(lanes) - len(kept)


def _work_by_lane(moment: Moment, profile: Profile) -> dict[int, dict[int, list[Interval]]]:
    spans = profile.spans
    inside = (spans.end_ns > moment.start_ns) & (spans.start_ns < moment.end_ns)
    chosen = np.flatnonzero(inside & (spans.kind == _WORK))
    work: dict[int, dict[int, list[Interval]]] = defaultdict(lambda: defaultdict(list))
    for lane, stage, start, end in zip(
        spans.lane[chosen].tolist(),
        spans.subject[chosen].tolist(),
        np.maximum(spans.start_ns[chosen], moment.start_ns).tolist(),
        np.minimum(spans.end_ns[chosen], moment.end_ns).tolist(),
        strict=True,
    ):
        of_stage = stage if stage >= 0 else ELSE
        kind = DEVICE_BUSY if profile.lanes[lane].role is Role.DEVICE else of_stage
        work[lane][kind].append((start, end))
    return work


def _training(moment: Moment, profile: Profile, loop: Loop) -> dict[int, list[Interval]]:
    """Computing and waiting of the loop; a step whose wait was not kept stays whole."""
    number = next(index for index, each in enumerate(profile.loops) if each is loop)
    spans, steps = profile.spans, loop.steps
    waits = dict(zip(steps.start_ns.tolist(), steps.wait_ns.tolist(), strict=True))
    chosen = (spans.kind == _STEP) & (spans.subject == number)
    chosen &= (spans.start_ns >= moment.start_ns) & (spans.end_ns <= moment.end_ns)
    pieces: dict[int, list[Interval]] = defaultdict(list)
    for start, end in zip(
        spans.start_ns[chosen].tolist(), spans.end_ns[chosen].tolist(), strict=True
    ):
        wait = waits.get(start, UNKNOWN_NS)
        if wait == UNKNOWN_NS:
            pieces[UNKNOWN_STEP].append((start, end))
            continue
        pieces[COMPUTING].append((start + wait, end))
        if wait:
            pieces[WAITING].append((start, start + wait))
    return pieces


def busy_ns(pieces: dict[int, list[Interval]]) -> int:
    """How long anything was done; what lies within something else counts once."""
    return sum(
        end - start for start, end in _union([each for one in pieces.values() for each in one])
    )


def overlap_ratio(rows: Sequence[Row]) -> float | None:
    """The part of the input's work that ran while the training computed and did not wait.

    Work beside a step whose wait is not known is left out.
    """
    computing = _union(rows[0].pieces.get(COMPUTING, []))
    waiting = _union(rows[0].pieces.get(WAITING, []))
    work = [
        interval
        for row in rows[1:]
        if row.role is not Role.DEVICE
        for interval in _union([each for one in row.pieces.values() for each in one])
    ]
    beside, against = _shared_ns(work, computing), _shared_ns(work, waiting)
    return beside / (beside + against) if beside + against else None


def _shared_ns(work: Sequence[Interval], others: Sequence[Interval]) -> float:
    """How much of some work fell into other intervals, which do not overlap."""
    if not work or not others:
        return 0.0
    borders = np.array(others, np.int64).ravel()
    inside = np.arange(len(borders) - 1) % 2 == 0
    reached = np.concatenate([[0], np.cumsum(np.diff(borders) * inside)])
    at: IntArray = np.array(work, np.int64)
    shared = np.interp(at[:, 1], borders, reached) - np.interp(at[:, 0], borders, reached)
    return float(shared.sum())


def _union(intervals: Sequence[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def closed(intervals: Sequence[Interval], gap: int) -> list[Interval]:
    """The same with gaps of less than that taken for none."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start - joined[-1][1] < gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
