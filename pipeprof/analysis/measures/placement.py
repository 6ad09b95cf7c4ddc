"""Where the stages of a loop ran, which decides what their costs mean.

The costs of stages that take turns on one thread add up. The cost of calls that run at the same time is
divided by their number. A stage that runs ahead of the loop costs the loop nothing while it keeps up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import Enum

from pipeprof.analysis.measures.counted_time import CountedTime
from pipeprof.analysis.measures.lane_use import most_at_once
from pipeprof.recording.lane import Lane, LaneKind, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind


class PlaceKind(Enum):
    """What kind of place stages run at."""

    LOOP = "loop"
    """The thread of the loop itself."""
    WORKERS = "workers"
    LANES = "lanes"
    """Threads that Python knows."""
    CALLS = "calls"
    """The parallel calls of one stage of tf.data."""
    BEHIND = "behind"
    """The one thread on which a stage of tf.data, or each of its calls, asks for its elements."""
    OPENED = "opened"
    """The inputs that an interleave would open at once."""
    PREFETCH = "prefetch"
    """A thread that would load ahead."""

    @property
    def is_pool_of_stage(self) -> bool:
        """Whether tf.data's threads run there for one stage, whose index is the number of the place."""
        return self in (PlaceKind.CALLS, PlaceKind.BEHIND)


Key = tuple[PlaceKind, tuple[int, ...]]

# A stage does not run on lanes that did less of its work than this part of its busiest lane: `fit` takes
# the first batches of a generator on the main thread.
_LEAST_SHARE_OF_LANE = 0.1

# The kinds of stages to which `Input.workers` applies. A function that such a stage calls runs there too.
_IN_WORKERS = (StageKind.SEQUENCE,)

# The kinds of stages that give one element at a time, on whatever threads they are resumed.
_ONE_BY_ONE = (StageKind.GENERATOR, StageKind.ITERABLE, StageKind.SEQUENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlace:
    """Where a stage runs.

    Attributes:
        key: identifies the place; stages that take turns there have equal keys.
        parallelism: how many calls may run there at once.
        ahead: whether it works beside the loop and not within the loop's wait.
        parallelism_known: whether the framework, the user or the lanes give the parallelism.
        allowed: how many calls the framework allows at once, where that is more than it has threads for;
            else None.
    """

    key: Key
    parallelism: float
    ahead: bool
    parallelism_known: bool = True
    allowed: float | None = None

    def on_threads(self, threads: int | None) -> "StagePlace":
        """This place if so many threads made its calls; None if nothing limits them."""
        of, _ = self.key
        if threads is None or not of.is_pool_of_stage or self.parallelism <= threads:
            return self
        return replace(self, parallelism=float(threads), allowed=self.parallelism)


LOOP_KEY: Key = (PlaceKind.LOOP, ())
WORKERS_KEY: Key = (PlaceKind.WORKERS, ())


def by_work(lanes: Mapping[int, int]) -> tuple[int, ...]:
    """Lanes that did any work, most first."""
    worked = [number for number, work_ns in lanes.items() if work_ns > 0]
    return tuple(sorted(worked, key=lambda number: (-lanes[number], number)))


def where_most_ran(
    work_ns: Mapping[int, int], loop: Loop, lanes: Sequence[Lane]
) -> tuple[int, ...]:
    """The lanes of some work, those of the side that did most of it first, each side by its work.

    One side is the thread that the loop ran on, the other one all others. Work that a new thread takes over
    in each pass ran on many threads, each of which may have done less than the loop's own.

    Args:
        work_ns: the work by lane.
        loop: the loop.
        lanes: the profile's.
    """
    here = [lane for lane in by_work(work_ns) if trains_on(lane, loop, lanes)]
    others = [lane for lane in by_work(work_ns) if lane not in here]
    here_ns, others_ns = (sum(work_ns[lane] for lane in side) for side in (here, others))
    return (*here, *others) if here_ns >= others_ns else (*others, *here)


def trains_on(lane: int, loop: Loop, lanes: Sequence[Lane]) -> bool:
    """Whether a lane is the thread that the loop ran on."""
    if loop.lane is not None:
        return lane == loop.lane
    return lanes[lane].role in (Role.MAIN, Role.TRAINING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Finds where the stages of a loop ran; `of` remembers the places that it found."""

    profile: Profile
    loop: Loop
    counted_time: CountedTime
    _known: dict[int, StagePlace] = field(default_factory=dict)

    @property
    def pool_threads(self) -> int | None:
        """Threads that make tf.data's parallel calls, one a core; None where a pipeline has its own."""
        if any(lane.kind is LaneKind.TF_DATA_POOL for lane in self.profile.lanes):
            return None
        return max(self.profile.cpu.cores, 1)

    def of(self, index: int, below: frozenset[int] = frozenset()) -> StagePlace:
        """The place of a stage.

        Args:
            index: index of the stage.
            below: indices of the stages whose places depend on this one.
        """
        if index not in self._known:
            self._known[index] = self._find(index, below | {index})
        return self._known[index]

    def _find(self, index: int, below: frozenset[int]) -> StagePlace:
        stage = self.profile.stages[index]
        lanes = self._busy_lanes(stage)
        asked = self._workers_of(stage)
        if self._has_workers(lanes) or (asked > 1 and not lanes):
            seen = self._side_by_side(lanes) if lanes else asked
            asked = asked or self._workers_above(stage, below)
            return StagePlace(
                key=WORKERS_KEY, parallelism=float(min(seen, asked) if asked else seen), ahead=True
            )
        if runs_ahead(stage):
            workers = _workers_of_service(stage)
            parallelism = self.counted_time.level(stage.parallelism)
            return StagePlace(
                key=(PlaceKind.CALLS, (index,)),
                parallelism=max(parallelism or 1.0, 1.0) * workers,
                ahead=True,
                parallelism_known=parallelism is not None,
            )
        if stage.kind.python and self._asked_by_python(stage, below):
            return self.of(stage.parent or 0, below)
        if lanes and (stage.kind.python or stage.parent is None):
            return self._on_lanes(index, lanes)
        return self._below_parent(stage, below)

    def _below_parent(self, stage: Stage, below: frozenset[int]) -> StagePlace:
        known = stage.kind is not StageKind.TF_DATA or stage.function is not None
        if stage.parent is None or stage.parent in below:
            return StagePlace(key=LOOP_KEY, parallelism=1.0, ahead=False, parallelism_known=known)
        asker = self.profile.stages[stage.parent]
        place = self.of(stage.parent, below)
        if not runs_ahead(asker) and not _is_first_of_service(stage, asker):
            return StagePlace(
                key=place.key,
                parallelism=place.parallelism,
                ahead=place.ahead,
                parallelism_known=known,
            )
        # An interleave pulls its inputs side by side; other stages pull theirs one by one.
        pulls_all = asker.family is OperatorFamily.INTERLEAVE
        side_by_side = place.parallelism if pulls_all else float(_workers_of_service(stage))
        return StagePlace(
            key=(PlaceKind.BEHIND, (stage.parent,)),
            parallelism=side_by_side,
            ahead=True,
            parallelism_known=known,
        )

    def _workers_of(self, stage: Stage) -> int:
        """How many workers the user chose for a stage, 0 where there is no such choice."""
        # The stage is one, but training and validation may feed on it with workers of their own.
        fed_by = self.loop.input
        if stage.kind is StageKind.TF_DATA_WORKER:
            return 0  # its place is in other processes
        if stage.kind in _IN_WORKERS and fed_by.kind is InputKind.SEQUENCE and fed_by.workers:
            return fed_by.workers
        return stage.workers or 0

    def _workers_above(self, stage: Stage, below: frozenset[int]) -> int:
        """How many workers the user chose for the sequence that calls a stage, 0 without any.

        It limits the number of lanes, because the pools of two epochs may seem to overlap.
        """
        seen = set(below)
        while stage.parent is not None and stage.parent not in seen:
            seen.add(stage.parent)
            stage = self.profile.stages[stage.parent]
            if asked := self._workers_of(stage):
                return asked
        return 0

    def _has_workers(self, lanes: Sequence[int]) -> bool:
        return any(self.profile.lanes[lane].role is Role.WORKER for lane in lanes)

    def _asked_by_python(self, stage: Stage, below: frozenset[int]) -> bool:
        """Whether another Python stage calls a stage, which then runs where its caller runs."""
        if stage.parent is None or stage.parent in below:
            return False
        asker = self.profile.stages[stage.parent]
        return asker.kind.python and asker.kind is not StageKind.TF_DATA_PYTHON

    def _on_lanes(self, index: int, lanes: Sequence[int]) -> StagePlace:
        work_ns = self.profile.stages[index].lanes
        lanes = where_most_ran(
            {lane: work_ns[lane] for lane in lanes}, self.loop, self.profile.lanes
        )
        ahead = not trains_on(lanes[0], self.loop, self.profile.lanes)
        # tf.data resumes a generator on one thread of its pool after another, never on two at once.
        one_by_one = self.profile.stages[index].kind in _ONE_BY_ONE
        parallelism = 1 if one_by_one else self._side_by_side(lanes)
        shared = lanes if one_by_one or parallelism > 1 else lanes[:1]
        beside = ahead or parallelism > 1
        key = (PlaceKind.LANES, tuple(sorted(shared))) if beside else LOOP_KEY
        return StagePlace(key=key, parallelism=float(parallelism), ahead=ahead)

    def _busy_lanes(self, stage: Stage) -> tuple[int, ...]:
        """The lanes that did most of a stage's work and existed while the loop ran, the busiest first."""
        alive = {
            number: work_ns
            for number, work_ns in stage.lanes.items()
            if self.profile.lanes[number].last_ns >= self.counted_time.start_ns
            and self.profile.lanes[number].first_ns <= self.counted_time.end_ns
        }
        busiest = max(alive.values(), default=0)
        return tuple(
            number for number in by_work(alive) if alive[number] >= _LEAST_SHARE_OF_LANE * busiest
        )

    def _side_by_side(self, lanes: Sequence[int]) -> int:
        """The largest number of these lanes that existed at once; each pool of workers has new lanes."""
        return most_at_once([self.profile.lanes[number] for number in lanes])


def runs_ahead(stage: Stage) -> bool:
    """Whether a tf.data stage fetches on threads of its own and not on that of the stage that asks it."""
    if stage.kind not in (
        StageKind.TF_DATA,
        StageKind.TF_DATA_PYTHON,
        StageKind.TF_DATA_WORKER,
    ):
        return False
    if stage.family is OperatorFamily.SHUFFLE:
        return False
    has_threads = stage.parallelism is not None or stage.buffer_size is not None
    return (
        has_threads
        or stage.parallel
        or stage.family in (OperatorFamily.PREFETCH, OperatorFamily.MAP_AND_BATCH)
    )


def runs_in_pool(stage: Stage) -> bool:
    """Whether tf.data runs a stage in this process, its parallel calls on threads for all such stages."""
    return stage.kind in (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON)


def _is_first_of_service(stage: Stage, asker: Stage) -> bool:
    """Whether a stage is the first in the workers of a service, which call it ahead of the training."""
    return stage.kind is StageKind.TF_DATA_WORKER and asker.kind is not StageKind.TF_DATA_WORKER


def _workers_of_service(stage: Stage) -> int:
    """How many workers of a service run a stage, each with its own calls; 1 for other stages."""
    return max(stage.workers or 1, 1) if stage.kind is StageKind.TF_DATA_WORKER else 1
