"""Who did what in a stretch of a run: the training, and each lane that worked meanwhile, as intervals."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pipeprof.recording.intervals import in_order, joined, no_intervals, time_inside
from pipeprof.recording.lane import Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import UNKNOWN_NS, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind
from pipeprof.report.figures.time_ranges import TimeRange

MOST_LANES = 18

# What a lane did: a stage, by its index, or one of these.
COMPUTING, WAITING, UNKNOWN_STEP, ELSE, DEVICE_BUSY = -1, -2, -3, -4, -5

_ROLES = (Role.MAIN, Role.TRAINING, Role.INPUT, Role.WORKER, Role.DEVICE, Role.OTHER)

Pieces = Mapping[int, IntArray]


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One line of the picture; ``pieces`` are intervals in order, by what they were."""

    name: str
    role: Role
    pieces: Pieces


def rows_of(time_range: TimeRange, profile: Profile, loop: Loop) -> tuple[list[ActivityRow], int]:
    """The training's row first, then the busiest lanes by role; and how many were left out."""
    work = _work_by_lane(time_range, profile)
    lanes = sorted(work, key=lambda lane: -busy_ns(work[lane]))
    kept = sorted(
        lanes[:MOST_LANES], key=lambda lane: (_ROLES.index(profile.lanes[lane].role), lane)
    )
    names = Counter(profile.lanes[lane].name for lane in kept)
    seen: Counter[str] = Counter()
    rows = [ActivityRow("training", Role.TRAINING, _training(time_range, profile, loop))]
    for lane in kept:
        name = profile.lanes[lane].name
        seen[name] += 1
        shown = f"{name} {seen[name]}" if names[name] > 1 else name
        shown = f"{shown}: input" if lane == loop.lane else shown
        rows.append(ActivityRow(shown, profile.lanes[lane].role, work[lane]))
    return rows, len(lanes) - len(kept)


def _work_by_lane(time_range: TimeRange, profile: Profile) -> dict[int, dict[int, IntArray]]:
    spans = profile.spans
    inside = (spans.end_ns > time_range.start_ns) & (spans.start_ns < time_range.end_ns)
    chosen = np.flatnonzero(inside & (spans.kind == SpanKind.WORK))
    lanes, stages = spans.lane[chosen], spans.subject[chosen]
    kinds = np.where(stages >= 0, stages, ELSE)
    intervals = _rows(
        np.maximum(spans.start_ns[chosen], time_range.start_ns),
        np.minimum(spans.end_ns[chosen], time_range.end_ns),
    )
    work: dict[int, dict[int, IntArray]] = {}
    for lane in np.unique(lanes).tolist():
        if profile.lanes[lane].role is Role.DEVICE:
            work[lane] = {DEVICE_BUSY: in_order(intervals[lanes == lane])}
        else:
            work[lane] = {
                kind: in_order(intervals[(lanes == lane) & (kinds == kind)])
                for kind in np.unique(kinds[lanes == lane]).tolist()
            }
    return work


def _training(time_range: TimeRange, profile: Profile, loop: Loop) -> dict[int, IntArray]:
    """Computing and waiting of the loop; a step whose wait was not kept stays whole."""
    number = next(index for index, each in enumerate(profile.loops) if each is loop)
    spans, steps = profile.spans, loop.steps
    kept = dict(zip(steps.start_ns.tolist(), steps.wait_ns.tolist(), strict=True))
    chosen = (spans.kind == SpanKind.STEP) & (spans.subject == number)
    chosen &= (spans.start_ns >= time_range.start_ns) & (spans.end_ns <= time_range.end_ns)
    starts, ends = in_order(_rows(spans.start_ns[chosen], spans.end_ns[chosen])).T
    waits = np.array([kept.get(start, UNKNOWN_NS) for start in starts.tolist()], np.int64)
    known = waits != UNKNOWN_NS
    pieces = {
        UNKNOWN_STEP: _rows(starts, ends)[~known],
        COMPUTING: _rows(starts + waits, ends)[known],
        WAITING: _rows(starts, starts + waits)[known & (waits > 0)],
    }
    return {kind: intervals for kind, intervals in pieces.items() if len(intervals)}


def _rows(starts: IntArray, ends: IntArray) -> IntArray:
    return np.column_stack([starts, ends])


def busy_ns(pieces: Pieces) -> int:
    """How long anything was done; what lies within something else counts once."""
    covered = _covered(pieces)
    return int((covered[:, 1] - covered[:, 0]).sum())


def _covered(pieces: Pieces) -> IntArray:
    """The time in which anything was done, as intervals without overlap."""
    return joined(in_order(no_intervals(), *pieces.values()))


def drawn_overlap_ratio(rows: Sequence[ActivityRow]) -> float | None:
    """The part of the input's work that ran while the training computed and did not wait.

    Work beside a step whose wait is not known is left out.
    """
    training = rows[0].pieces
    work = [_covered(row.pieces) for row in rows[1:] if row.role is not Role.DEVICE]
    starts, ends = np.concatenate([no_intervals(), *work]).T
    beside_ns, against_ns = (
        int(time_inside(training.get(kind, no_intervals()), starts, ends).sum())
        for kind in (COMPUTING, WAITING)
    )
    return beside_ns / (beside_ns + against_ns) if beside_ns + against_ns else None
