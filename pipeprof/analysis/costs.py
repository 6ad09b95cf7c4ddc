"""What each stage did for a loop in its counted time, and where it ran.

Where a stage runs decides what its cost means: stages that take turns on one thread add up, calls
that run side by side divide. `Place` says which; `Use` is a stage's work together with its place.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeprof.analysis.findings import StageFinding
from pipeprof.analysis.loops import MS
from pipeprof.analysis.windows import Window
from pipeprof.recording import (
    STAGE_CHANNELS,
    Lane,
    Loop,
    Profile,
    Role,
    Stage,
    StageKind,
)
from pipeprof.series import FloatArray

Key = tuple[str, tuple[int, ...]]

CALLS, WORK, CPU, TIMED, BYTES = range(len(STAGE_CHANNELS))

# A stage called less than this often per step, against the loop that calls it most, only ran on
# while the loop did: a prefetch that fills up its buffer during the validation.
_LEAST_SHARE_OF_CALLS = 0.05

# Lanes with less of a stage's work than this, against its busiest, are not where it runs: `fit`
# takes the first batches of a generator on the main thread.
_LEAST_SHARE_OF_LANE = 0.1

# What `Input.workers` is about; a function called from it stands where it stands.
_IN_WORKERS = (StageKind.SEQUENCE,)

# Work over time may come out this much above what a place allows: bins are cut at the border of the
# warm-up as if the work in them were even.
_CONCURRENCY_SLACK = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stage runs.

    Attributes:
        key: the same for stages that take turns there.
        parallelism: how many calls may run there at once.
        ahead: whether it works beside the loop and not within the loop's wait.
        told: whether the framework, the user or the lanes told the parallelism.
    """

    key: Key
    parallelism: float
    ahead: bool
    told: bool = True


LOOP_KEY: Key = ("loop", ())
WORKERS_KEY: Key = ("workers", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a loop had of a stage.

    Attributes:
        index: the stage's place in `Profile.stages`.
        stage: the stage.
        place: where it ran.
        cost_ms: own work per step.
        calls: calls in the counted time.
        size_bytes: bytes it gave in that time, or None.
        cpu_ratio: own CPU time over own wall time, or None.
        at_work: its calls under way at a time, on average.
    """

    index: int
    stage: Stage
    place: Place
    cost_ms: float
    calls: int
    size_bytes: int | None
    cpu_ratio: float | None
    at_work: float

    @property
    def label(self) -> str:
        """Its name with its line, where it has one."""
        location = self.stage.location
        return f"{self.stage.name} ({location.short})" if location else self.stage.name

    @property
    def order(self) -> tuple[str, ...]:
        """Puts stages into an order that does not depend on that of the recording."""
        return (self.stage.name, self.stage.kind.value, str(self.stage.location or ""))

    @property
    def parallelism(self) -> float | None:
        """How many of its calls may run at once, or None where it is not a matter of calls."""
        return self.place.parallelism if self.place.told else None

    @property
    def capacity_per_s(self) -> float | None:
        """Steps a second that it could feed alone, or None where it costs nothing."""
        return self.place.parallelism * 1e3 / self.cost_ms if self.cost_ms > 0 else None


def stage_uses(profile: Profile, windows: Sequence[Window]) -> tuple[tuple[Use, ...], ...]:
    """For each loop the stages that worked for it, dearest first."""
    sums = tuple(tuple(window.sums(stage.work) for stage in profile.stages) for window in windows)
    most_calls = _most_calls_per_step(sums, windows, len(profile.stages))
    return tuple(
        _uses_of_loop(
            profile,
            loop,
            window,
            {
                index: worked
                for index, worked in enumerate(each)
                if _works_for(worked, profile.stages[index], window, most_calls[index])
            },
        )
        for loop, window, each in zip(profile.loops, windows, sums, strict=True)
    )


def as_finding(use: Use, window: Window, lanes: Sequence[Lane]) -> StageFinding:
    """A row of the report's table of stages."""
    stage = use.stage
    return StageFinding(
        stage=stage,
        index=use.index,
        cost_ms=use.cost_ms,
        calls=use.calls,
        elements=use.calls,
        size_bytes=use.size_bytes,
        parallelism=use.parallelism,
        most_parallelism=stage.most_parallelism,
        autotuned=stage.autotuned,
        buffer_size=window.highest(stage.buffer_size),
        buffer_mean=window.level(stage.buffer),
        cpu_ratio=use.cpu_ratio,
        lanes=tuple(lanes[number].name for number in by_work(stage.lanes)),
        capacity_per_s=use.capacity_per_s,
    )


def by_work(lanes: Mapping[int, int]) -> tuple[int, ...]:
    """Lanes that did any work, most first."""
    worked = [number for number, work_ns in lanes.items() if work_ns > 0]
    return tuple(sorted(worked, key=lambda number: (-lanes[number], number)))


def trains_on(lane: int, loop: Loop, lanes: Sequence[Lane]) -> bool:
    """Whether a lane is the thread that the loop ran on."""
    if loop.lane is not None:
        return lane == loop.lane
    return lanes[lane].role in (Role.MAIN, Role.TRAINING)


def _most_calls_per_step(
    sums: Sequence[Sequence[FloatArray]], windows: Sequence[Window], stages: int
) -> tuple[float, ...]:
    return tuple(
        max(
            (
                float(each[index][CALLS]) / window.steps
                for each, window in zip(sums, windows, strict=True)
                if window.steps
            ),
            default=0.0,
        )
        for index in range(stages)
    )


def _works_for(worked: FloatArray, stage: Stage, window: Window, most_calls: float) -> bool:
    if not window.steps or not (worked[CALLS] > 0 or worked[WORK] > 0):
        return False
    if stage.kind is StageKind.EPOCH_START:
        return True
    return bool(worked[CALLS] >= _LEAST_SHARE_OF_CALLS * most_calls * window.steps)


def _uses_of_loop(
    profile: Profile, loop: Loop, window: Window, worked: Mapping[int, FloatArray]
) -> tuple[Use, ...]:
    places = _Places(profile=profile, loop=loop, window=window)
    at_work: dict[Key, float] = defaultdict(float)
    length_ns = max(window.length_ns, 1)
    for index, sums in worked.items():
        at_work[places.of(index).key] += float(sums[WORK]) / length_ns
    uses = [
        Use(
            index=index,
            stage=profile.stages[index],
            place=_at_least(places.of(index), at_work[places.of(index).key]),
            cost_ms=float(sums[WORK]) / window.steps / MS,
            calls=round(float(sums[CALLS])),
            size_bytes=round(float(sums[BYTES])) or None,
            cpu_ratio=min(float(sums[CPU] / sums[TIMED]), 1.0) if sums[TIMED] > 0 else None,
            at_work=float(sums[WORK]) / length_ns,
        )
        for index, sums in worked.items()
    ]
    return tuple(sorted(uses, key=lambda use: (-use.cost_ms, use.order)))


def _at_least(place: Place, at_work: float) -> Place:
    """A place where more calls were seen at once than it should have room for has that room."""
    if at_work <= place.parallelism * _CONCURRENCY_SLACK:
        return place
    return Place(key=place.key, parallelism=at_work, ahead=place.ahead)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Finds out where the stages of a loop ran."""

    profile: Profile
    loop: Loop
    window: Window
    _known: dict[int, Place] = field(default_factory=dict)

    def of(self, index: int, below: frozenset[int] = frozenset()) -> Place:
        if index not in self._known:
            self._known[index] = self._find(index, below | {index})
        return self._known[index]

    def _find(self, index: int, below: frozenset[int]) -> Place:
        stage = self.profile.stages[index]
        lanes = self._busy_lanes(stage)
        asked = self._workers_of(stage)
        if self._has_workers(lanes) or (asked > 1 and not lanes):
            seen = self._side_by_side(lanes) if lanes else asked
            return Place(
                key=WORKERS_KEY, parallelism=float(min(seen, asked) if asked else seen), ahead=True
            )
        if runs_ahead(stage):
            parallelism = self.window.level(stage.parallelism)
            return Place(
                key=("calls", (index,)),
                parallelism=max(parallelism or 1.0, 1.0),
                ahead=True,
                told=parallelism is not None,
            )
        if lanes and (stage.kind.python or stage.parent is None):
            return self._on_lanes(lanes)
        return self._below_parent(stage, below)

    def _below_parent(self, stage: Stage, below: frozenset[int]) -> Place:
        told = stage.kind is not StageKind.TF_DATA or stage.function is not None
        if stage.parent is None or stage.parent in below:
            return Place(key=LOOP_KEY, parallelism=1.0, ahead=False, told=told)
        asker = self.profile.stages[stage.parent]
        place = self.of(stage.parent, below)
        if not runs_ahead(asker):
            return Place(key=place.key, parallelism=place.parallelism, ahead=place.ahead, told=told)
        # An interleave pulls its inputs side by side; other stages pull theirs one by one.
        side_by_side = place.parallelism if "interleave" in asker.name.lower() else 1.0
        return Place(
            key=("behind", (stage.parent,)), parallelism=side_by_side, ahead=True, told=told
        )

    def _workers_of(self, stage: Stage) -> int:
        """How many workers the user chose for it, 0 where there is no such choice."""
        return stage.workers or (stage.kind in _IN_WORKERS and self.loop.input.workers) or 0

    def _has_workers(self, lanes: Sequence[int]) -> bool:
        return any(self.profile.lanes[lane].role is Role.WORKER for lane in lanes)

    def _on_lanes(self, lanes: Sequence[int]) -> Place:
        ahead = not trains_on(lanes[0], self.loop, self.profile.lanes)
        parallelism = self._side_by_side(lanes)
        if parallelism > 1:
            return Place(
                key=("lanes", tuple(sorted(lanes))), parallelism=float(parallelism), ahead=ahead
            )
        key = ("lanes", (lanes[0],)) if ahead else LOOP_KEY
        return Place(key=key, parallelism=1.0, ahead=ahead)

    def _busy_lanes(self, stage: Stage) -> tuple[int, ...]:
        """Where it runs, most work first: lanes that lived while the loop ran, strays left out."""
        alive = {
            number: work_ns
            for number, work_ns in stage.lanes.items()
            if self.profile.lanes[number].last_ns >= self.window.start_ns
            and self.profile.lanes[number].first_ns <= self.window.end_ns
        }
        busiest = max(alive.values(), default=0)
        return tuple(
            number for number in by_work(alive) if alive[number] >= _LEAST_SHARE_OF_LANE * busiest
        )

    def _side_by_side(self, lanes: Sequence[int]) -> int:
        """The most of these lanes that lived at once: a pool that is made anew has new ones."""
        lives = [self.profile.lanes[number] for number in lanes]
        begins = np.array([lane.first_ns for lane in lives])
        ends = np.array([max(lane.last_ns, lane.first_ns) for lane in lives])
        return max(int(((begins <= begin) & (begin <= ends)).sum()) for begin in begins)


def runs_ahead(stage: Stage) -> bool:
    """Whether a tf.data stage fetches on threads of its own, beside the one that asks it."""
    if stage.kind not in (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON):
        return False
    name = stage.name.lower()
    if "shuffle" in name:
        return False
    has_threads = stage.parallelism is not None or stage.buffer_size is not None
    return has_threads or any(word in name for word in ("prefetch", "parallel", "mapandbatch"))
