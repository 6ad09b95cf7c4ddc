"""What the first batch of each epoch waited for: a buffer that fills, files that open, a cache.

Goes by what each stage of a tf.data pipeline had done when the first batch of a pass had come
(`Stage.starts`), against what it does for a batch later on.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeprof.analysis.findings.account_findings import FrameworkWork
from pipeprof.analysis.findings.input_findings import EpochStart, StartCause
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.measures.placement import runs_ahead
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind, Loop, Steps, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.stage import STAGE_CHANNELS, START_COLUMNS, OperatorFamily, Stage, StageKind

_BEGAN, _READ, _CALLS, _WORK, _HELD = range(len(START_COLUMNS))

# A first batch that waits less than this above the others has nothing to explain.
_LEAST_MS = 1.0
_LEAST_TIMES = 2.0

# What accounts for less than this of the wait is not its cause.
_EXPLAINED_FROM = 0.4

# Of more epochs than these, some in the middle are left out.
_FIRST, _LAST = 32, 32


def epoch_starts(profile: Profile, loop: Loop) -> tuple[EpochStart, ...]:
    """The first waits of a loop's epochs, as far as its steps were kept, with their causes."""
    steps = loop.steps
    chosen = np.flatnonzero(steps.first_of_epoch() & steps.measured)
    if len(chosen) > _FIRST + _LAST:
        chosen = np.concatenate([chosen[:_FIRST], chosen[-_LAST:]])
    stages = _Beginnings(profile.stages)
    ends = _IteratorEnds(profile, loop)
    starts = tuple(_start(loop, int(step), stages, ends) for step in chosen)
    least_ms = min((start.wait_ms for start in starts), default=0.0)
    return tuple(_unless_refuted(start, least_ms, loop) for start in starts)


def _unless_refuted(start: EpochStart, least_ms: float, loop: Loop) -> EpochStart:
    """Takes a cause back that nothing measured, where another epoch was through with it far sooner."""
    unproven = start.cause in (StartCause.FILL, StartCause.SKIP) and start.work_ms is None
    if not unproven or least_ms >= _EXPLAINED_FROM * start.wait_ms:
        return start
    first = start.epoch == 0 and _starts_up(loop)
    cause = StartCause.TRAINING if first else None
    return replace(start, cause=cause, stage=None, elements=None)


def _starts_up(loop: Loop) -> bool:
    """Whether what comes before the first batch counts as waiting, as where gaps are read."""
    return loop.waits_by is not WaitSource.ITERATOR


def _start(loop: Loop, step: int, stages: "_Beginnings", ends: "_IteratorEnds") -> EpochStart:
    steps = loop.steps
    wait_ms = int(steps.wait_ns[step]) / MS
    others = (steps.epoch == steps.epoch[step]) & steps.measured
    others[step] = False
    usual_ms = float(np.median(steps.wait_ns[others])) / MS if others.any() else None
    more_ms = wait_ms - (usual_ms or 0.0)
    call_ms = stages.longest_call_ms(_pass_before(loop, step, stages))
    ended = ends.within(int(steps.start_ns[step]), int(steps.wait_ns[step]), call_ms)
    cause = None
    if more_ms >= _LEAST_MS and wait_ms >= _LEAST_TIMES * (usual_ms or 0.0):
        cause = _cause(loop, step, stages, more_ms, ended.whole_ms)
    starts_ms = 0.0
    if cause is not None and cause.cause is StartCause.FRAMEWORK:
        starts_ms = cause.work_ms or 0.0
    return EpochStart(
        epoch=int(steps.epoch[step]),
        wait_ms=wait_ms,
        usual_ms=usual_ms,
        cause=cause.cause if cause else None,
        stage=StageReference.of(cause.stage) if cause and cause.stage else None,
        elements=cause.elements if cause else None,
        work_ms=cause.work_ms if cause else None,
        ended_ms=ended.whole_ms,
        framework_ms=min(starts_ms + ended.framework_ms, wait_ms),
    )


def _cause(
    loop: Loop, step: int, stages: "_Beginnings", more_ms: float, ended_ms: float
) -> "_Found | None":
    """Why the first batch of an epoch was waited for so much longer than others."""
    steps = loop.steps
    by_arrays = loop.input.kind is InputKind.ARRAYS
    pass_ = stages.between(int(steps.start_ns[step]), int(steps.end_ns[step]))
    found = pass_.find_cause(more_ms) if pass_ is not None else None
    known_ms = (found.work_ms or 0.0) if found is not None else 0.0
    if not by_arrays and ended_ms >= max(_EXPLAINED_FROM * more_ms, known_ms):
        return _Found(StartCause.ITERATOR_END, None, None, None)
    if found is not None:
        return found
    if steps.ordinal[step] == 0 and _starts_up(loop):
        return _Found(StartCause.TRAINING, None, None, None)
    if stages.restarts is not None and loop.input.workers:
        return _Found(StartCause.WORKERS, stages.restarts, None, None)
    if by_arrays or (pass_ is not None and not stages.runs_python):
        inputs_ms = 0.0 if pass_ is None or by_arrays else pass_.worked_ms() + ended_ms
        if more_ms - inputs_ms >= _EXPLAINED_FROM * more_ms:
            return _Found(StartCause.FRAMEWORK, None, None, more_ms - inputs_ms)
    return None


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a wait has of the ends of iterators, and the part of that which is TensorFlow's own."""

    whole_ms: float
    framework_ms: float


class _IteratorEnds:
    """When iterators of a loop were destroyed.

    The user's part of that is a generator that is closed meanwhile, and a call under way that has to
    return. What lies beyond is TensorFlow's own: most of all its thread of AUTOTUNE, which ends when it
    wakes up the next time, after up to a second in epochs of some seconds.
    """

    def __init__(self, profile: Profile, loop: Loop) -> None:
        rows = profile.iterator_ends
        self._ends = rows[rows[:, 2] == loop.lane, :2]
        self._closings = rows[rows[:, 2] != loop.lane, :2]

    def within(self, start_ns: int, wait_ns: int, call_ms: float) -> _Ended:
        """What a wait has of them, where a call of the pass that ends may take so long."""
        whole_ms = _overlap_ms(self._ends, start_ns, start_ns + wait_ns)
        users_ms = max(_overlap_ms(self._closings, start_ns, start_ns + wait_ns), call_ms)
        framework_ms = whole_ms - users_ms
        return _Ended(whole_ms, framework_ms if framework_ms >= _LEAST_MS else 0.0)

    def outside_of(self, loop: Loop, others: Sequence[Loop]) -> Iterator[tuple[int, int]]:
        """Those that began between steps, each with TensorFlow's own nanoseconds of it.

        Args:
            loop: whose they are: an iterator ends in the innermost call that runs; where none does, it is
                of the loop that stepped last.
            others: the other loops of its thread.
        """
        for start_ns, end_ns in self._ends.tolist():
            before = _begun_before(loop.steps, start_ns)
            if not _rests_behind(loop.steps, before, start_ns):
                continue
            mine = _claim(loop, start_ns)
            if any(_claim(other, start_ns) > mine for other in others):
                continue
            closing_ns = round(_overlap_ms(self._closings, start_ns, end_ns) * MS)
            yield start_ns, end_ns - start_ns - closing_ns


def _claim(loop: Loop, at_ns: int) -> tuple[bool, int]:
    """Whether a call of a loop runs at a time, and since when; if none does, when its last step began."""
    passes = loop.account.passes
    runs = passes[(passes[:, 0] <= at_ns) & (at_ns < passes[:, 1])]
    if len(runs) and not loop.kind.hand_written:
        return True, int(runs[:, 0].max())
    before = _begun_before(loop.steps, at_ns)
    return False, int(loop.steps.start_ns[before]) if before >= 0 else -1


def _begun_before(steps: Steps, at_ns: int) -> int:
    """The place of the last kept step that had begun by then; -1 without any."""
    return int(np.searchsorted(steps.start_ns, at_ns, "right")) - 1


def _rests_behind(steps: Steps, step: int, at_ns: int) -> bool:
    """Whether a loop is known to be between a step and its next one, or behind its last."""
    if step < 0 or steps.end_ns[step] > at_ns:
        return False
    last = step + 1 == len(steps)
    return last or bool(steps.ordinal[step + 1] == steps.ordinal[step] + 1)


def _pass_before(loop: Loop, step: int, stages: "_Beginnings") -> "_Pass | None":
    """What the stages did in the epoch before the one that begins with a step; None if unknown."""
    steps = loop.steps
    [before] = np.flatnonzero(steps.first_of_epoch()[:step])[-1:].tolist() or [None]
    if before is None:
        return None
    return stages.between(int(steps.start_ns[before]), int(steps.end_ns[before]))


def _overlap_ms(intervals: IntArray, start_ns: int, end_ns: int) -> float:
    begins, overs = (np.clip(times, start_ns, end_ns) for times in intervals.T)
    return float((overs - begins).sum()) / MS


@dataclass(frozen=True, slots=True)
class _Found:
    cause: StartCause
    stage: Stage | None
    elements: int | None
    work_ms: float | None


@dataclass(frozen=True, slots=True)
class FrameworkStarts:
    """What of the waits at epoch starts is the framework's own work, and so no waiting.

    Attributes:
        ratios: the part of all these waits.
        by_epoch: the part of an epoch's wait, by the number of the epoch, where that is known.
        between: ends of iterators outside of steps: when each began, and TensorFlow's own part of it.
    """

    ratios: Mapping[FrameworkWork, float]
    by_epoch: Mapping[int, Mapping[FrameworkWork, float]]
    between: tuple[tuple[int, int], ...] = ()

    def between_ns(self, start_ns: int, end_ns: int) -> int:
        """What ends of iterators took outside of steps, of those that began in a time range."""
        return sum(own_ns for begun_ns, own_ns in self.between if start_ns <= begun_ns < end_ns)

    def of(self, epoch: int) -> Mapping[FrameworkWork, float]:
        """The parts of the wait of one epoch."""
        return self.by_epoch.get(epoch, self.ratios)


NO_FRAMEWORK_STARTS = FrameworkStarts({}, {})


def framework_starts(profile: Profile, loop: Loop, starts: Sequence[EpochStart]) -> FrameworkStarts:
    """What of the starts of a loop's epochs is TensorFlow's own work; arrays have nothing to load."""
    others = [other for other in profile.loops if other is not loop and other.lane == loop.lane]
    between = tuple(_IteratorEnds(profile, loop).outside_of(loop, others))
    if loop.input.kind is InputKind.ARRAYS:
        return FrameworkStarts({FrameworkWork.EPOCH_START: 1.0}, {}, between)
    known = [start for start in starts if start.cause is not StartCause.TRAINING and start.wait_ms]
    by_epoch = {start.epoch: _framework_ratios([start]) for start in known}
    return FrameworkStarts(_framework_ratios(known), by_epoch, between)


def _framework_ratios(starts: Sequence[EpochStart]) -> Mapping[FrameworkWork, float]:
    whole_ms = sum(start.wait_ms for start in starts)
    own_ms = {
        work: sum(start.framework_ms for start in starts if _framework_work(start) is work)
        for work in FrameworkWork
    }
    return {work: min(ms / whole_ms, 1.0) for work, ms in own_ms.items() if ms}


def _framework_work(start: EpochStart) -> FrameworkWork:
    starts = start.cause is StartCause.FRAMEWORK
    return FrameworkWork.EPOCH_START if starts else FrameworkWork.ITERATOR_END


class _Beginnings:
    """What all stages did at the beginnings of passes over the data."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.runs_python = any(
            stage.kind.python or stage.family is OperatorFamily.GENERATOR for stage in stages
        )
        self.restarts = next((s for s in stages if s.kind is StageKind.EPOCH_START), None)
        self._latest = [_latest_rows(stage.starts) for stage in stages]
        self.usual_ns = [
            _usual_ns(stage, rows) for stage, rows in zip(stages, self._latest, strict=True)
        ]

    def longest_call_ms(self, pass_: "_Pass | None") -> float:
        """How long the stage with the longest calls works in one, of those at work in a pass or of all."""
        at_work = range(len(self.stages)) if pass_ is None else pass_.at_work()
        return max((self.usual_ns[index] or 0.0 for index in at_work), default=0.0) / MS

    def between(self, start_ns: int, end_ns: int) -> "_Pass | None":
        """The pass whose first batch came in that time, or None."""
        rows = {}
        for index, starts in enumerate(self._latest):
            inside = starts[(starts[:, _READ] >= start_ns) & (starts[:, _READ] <= end_ns)]
            if len(inside):
                rows[index] = inside[-1]
        if not rows:
            return None
        began = max(int(row[_BEGAN]) for row in rows.values())
        return _Pass(self, {index: row for index, row in rows.items() if row[_BEGAN] == began})


def _latest_rows(starts: IntArray) -> IntArray:
    """The last of several readings of one beginning, for each beginning."""
    latest: IntArray = starts[np.diff(starts[:, _BEGAN], append=-1) != 0]
    return latest


def _usual_ns(stage: Stage, starts: IntArray) -> float | None:
    """Work of one call later on, or None where there was none."""
    total = stage.work.total()
    calls = int(total[STAGE_CHANNELS.index("calls")] - starts[:, _CALLS].sum())
    work_ns = int(total[STAGE_CHANNELS.index("work_ns")] - starts[:, _WORK].sum())
    return max(work_ns, 0) / calls if calls > 0 else None


class _Pass:
    """What the stages of one pipeline had done when its first batch had come."""

    def __init__(self, all_: _Beginnings, rows: dict[int, IntArray]) -> None:
        self._all = all_
        self._rows = rows

    def at_work(self) -> list[int]:
        """The stages that had been called: what a cache gives, those beneath it need not make."""
        return [index for index, row in self._rows.items() if row[_CALLS] > 0]

    def find_cause(self, more_ms: float) -> _Found | None:
        """What made the first batch wait so much longer than others."""
        found = [*self._surplus(), *self._first_calls()]
        known = [each for each in found if each.work_ms is not None]
        best = max(known, key=lambda each: each.work_ms or 0.0, default=None)
        if best is not None and (best.work_ms or 0.0) >= _EXPLAINED_FROM * more_ms:
            return best
        return next((each for each in found if each.work_ms is None), None)

    def worked_ms(self) -> float:
        """What all stages together worked until the first batch had come, one call after the other."""
        return sum(float(row[_WORK]) for row in self._rows.values()) / MS

    def _surplus(self) -> Iterator[_Found]:
        """Stages that take in more elements than they give, before they give the first."""
        for index, row in self._rows.items():
            stage = self._all.stages[index]
            if runs_ahead(stage) or stage.family is OperatorFamily.CACHE:
                continue
            below = self._below(index)
            taken = max((int(self._rows[i][_CALLS]) for i in self._asked_by(index)), default=0)
            given, held = int(row[_CALLS]), int(row[_HELD])
            if held > given:
                # It refills as it gives, until its input has ended.
                goes_on = any(self._rows[i][_READ] == row[_READ] for i in below)
                cause, surplus = StartCause.FILL, held + (1 if goes_on else given)
            elif stage.family is OperatorFamily.SKIP and taken > given:
                cause, surplus = StartCause.SKIP, taken - given
            else:
                continue
            if not below:  # they have ended: nothing shows what they did
                yield _Found(cause, stage, surplus, None)
                continue
            all_ms = sum(map(self._lasted_ms, below))
            # What has ended was last read while it worked: the rest went at the same pace.
            goes_on = any(self._rows[i][_READ] == row[_READ] for i in below)
            share = surplus / max(taken, 1)
            work_ms = all_ms * (min(share, 1.0) if goes_on else share)
            cache = self._written_cache(below)
            if cache is None:
                yield _Found(cause, stage, surplus, work_ms)
            else:
                yield _Found(StartCause.CACHE_WRITE, self._all.stages[cache], surplus, work_ms)

    def _first_calls(self) -> Iterator[_Found]:
        """Stages whose first calls cost more than later ones."""
        for index, row in self._rows.items():
            usual_ns = self._all.usual_ns[index]
            if usual_ns is None:
                continue
            more_ns = int(row[_WORK]) - int(row[_CALLS]) * usual_ns
            inputs = len(self._asked_by(index))
            # A source opens files, and so does what opens one input after another.
            cause = StartCause.FIRST_CALLS if inputs == 1 else StartCause.OPENING
            work_ms = more_ns / MS / self._parallelism(index)
            if work_ms > 0:
                yield _Found(cause, self._all.stages[index], None, work_ms)

    def _written_cache(self, indices: Sequence[int]) -> int | None:
        """A cache among these whose own input worked."""
        caches = (i for i in indices if self._all.stages[i].family is OperatorFamily.CACHE)
        return next((i for i in caches if self._below(i)), None)

    def _asked_by(self, index: int) -> list[int]:
        return [i for i in self._rows if self._all.stages[i].parent == index]

    def _below(self, index: int) -> list[int]:
        below = self._asked_by(index)
        return below + [deeper for child in below for deeper in self._below(child)]

    def _lasted_ms(self, index: int) -> float:
        return float(self._rows[index][_WORK]) / MS / self._parallelism(index)

    def _parallelism(self, index: int) -> float:
        gauge = self._all.stages[index].parallelism
        return max((gauge.mean() if gauge is not None else None) or 1.0, 1.0)


def usual_start(starts: Sequence[EpochStart]) -> EpochStart | None:
    """An epoch start with the cause that most epochs have, of the middle wait; None without one."""
    later = later_starts(starts)
    causes = Counter((start.cause, start.stage and start.stage.name) for start in later)
    [(usual, count)] = causes.most_common(1) or [((None, None), 0)]
    if usual[0] is None or 2 * count <= len(later):
        return None
    alike = [start for start in later if (start.cause, start.stage and start.stage.name) == usual]
    return sorted(alike, key=lambda start: start.wait_ms)[len(alike) // 2]


def later_starts(starts: Sequence[EpochStart]) -> Sequence[EpochStart]:
    """All but the first of several beginnings, which also waits for what starts up in the training."""
    return [start for start in starts if start.epoch > 0] or starts
