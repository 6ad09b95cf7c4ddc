"""What each stage did for a loop in its counted time: a `StageCost` each, together with its place."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeprof.analysis.findings.findings import HotLine, StageFinding
from pipeprof.analysis.measures.copies import Copies
from pipeprof.analysis.measures.counted_time import CountedTime, without_pauses
from pipeprof.analysis.measures.placement import Key, Places, StagePlace, by_work, runs_in_pool
from pipeprof.analysis.measures.service_work import own_share_of_service
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.recording.lane import Lane
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, Loop, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import FloatArray
from pipeprof.recording.stage import STAGE_CHANNELS, OperatorFamily, Stage, StageKind

CALLS, WORK, CPU, TIMED, BYTES, TAKEN, ESTIMATED = range(len(STAGE_CHANNELS))

# A stage called less than this often per step, against the loop that calls it most, only ran on
# while the loop did: a prefetch that fills up its buffer during the validation.
_LEAST_SHARE_OF_CALLS = 0.05

# What a loop is fed by gives it one element a batch.
_ONE_A_BATCH = (
    StageKind.GENERATOR,
    StageKind.ITERABLE,
    StageKind.SEQUENCE,
    StageKind.TRANSPORT,
    StageKind.TF_DATA,
    StageKind.TF_DATA_PYTHON,
    StageKind.TF_DATA_REMOTE,
    StageKind.TF_DATA_WORKER,
)

# In a loop inside a graph, only traces show these.
_ONLY_IN_TRACES = (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON)

# Work over time may come out this much above what a place allows: bins are cut at the border of the
# warm-up as if the work in them were even.
_CONCURRENCY_SLACK = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What a loop had of a stage, all its copies together.

    Attributes:
        index: the stage's place in `Profile.stages`, of copies the first one's.
        stage: the stage, of copies the first one.
        place: where it ran.
        cost_ms: own work per step.
        calls: calls in the counted time.
        taken: elements it took from other stages in that time, or None where that is not known.
        size_bytes: bytes it gave in that time, or None.
        taken_bytes: bytes it took from other stages in that time, or None.
        cpu_ratio: own CPU time over own wall time, or None.
        at_work: its calls under way at a time, on average over the time in which steps were.
        queued_ratio: the part of its time in which its threads stood ready to run while all CPUs
            were taken; 0 where that was not read.
        estimated_ratio: the part of its work that was not counted but estimated.
        copies: how many copies of it worked in branches of the pipeline.
        native_cores: cores' worth of CPU that threads without stages used for each of its calls under way,
            or None where that is not known.
        cpu_at_least: a lower bound of ``cpu_ratio`` where that was not read, or None.
        cpu_at_most: an upper bound of it, or None.
    """

    index: int
    stage: Stage
    place: StagePlace
    cost_ms: float
    calls: int
    taken: int | None
    size_bytes: int | None
    taken_bytes: int | None
    cpu_ratio: float | None
    at_work: float
    queued_ratio: float = 0.0
    estimated_ratio: float = 0.0
    copies: int = 1
    native_cores: float | None = None
    cpu_at_least: float | None = None
    cpu_at_most: float | None = None

    @property
    def computing_ratio(self) -> float | None:
        """The part of its time in which it, or a native thread for it, was on a CPU; None if not read."""
        if self.cpu_ratio is None:
            return None
        native = min(self.native_cores or 0.0, 1.0 - self.cpu_ratio)
        return self.cpu_ratio + native

    @property
    def is_native(self) -> bool:
        """Whether threads without stages do most of its computing."""
        return (self.native_cores or 0.0) > (self.cpu_ratio or 0.0)

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
        place = self.place
        return (place.allowed or place.parallelism) if place.parallelism_known else None

    def cpu_ms(self, unread: float = 1.0) -> float:
        """Its CPU time per step, on this machine.

        Args:
            unread: the part of its work that is CPU time where that was not read.
        """
        if self.stage.kind is StageKind.TF_DATA_WORKER:
            return 0.0
        return self.cost_ms * (unread if self.cpu_ratio is None else self.cpu_ratio)

    @property
    def capacity_per_s(self) -> float | None:
        """Steps a second that it could feed alone, or None where it costs nothing."""
        return self.place.parallelism * 1e3 / self.cost_ms if self.cost_ms > 0 else None


def stage_costs(
    profile: Profile, counted_times: Sequence[CountedTime]
) -> tuple[tuple[StageCost, ...], ...]:
    """The stages that worked for each loop, dearest first."""
    sums = tuple(
        tuple(counted_time.sums(stage.work) for stage in profile.stages)
        for counted_time in counted_times
    )
    most_calls = _most_calls_per_step(sums, counted_times, len(profile.stages))
    return tuple(
        _costs_of_loop(
            profile,
            loop,
            counted_time,
            {
                index: worked
                for index, worked in enumerate(each)
                if _works_for(worked, profile.stages[index], counted_time, most_calls[index])
            },
        )
        for loop, counted_time, each in zip(profile.loops, counted_times, sums, strict=True)
    )


def as_finding(
    cost: StageCost,
    counted_time: CountedTime,
    lanes: Sequence[Lane],
    lines: tuple[HotLine, ...] = (),
) -> StageFinding:
    """A row of the report's table of stages."""
    stage = cost.stage
    return StageFinding(
        stage=stage,
        index=cost.index,
        cost_ms=cost.cost_ms,
        calls=cost.calls if cost.taken is None or not stage.function else cost.taken,
        elements=cost.calls,
        elements_taken=cost.taken,
        copies=cost.copies,
        native_cores=cost.native_cores,
        size_bytes=cost.size_bytes,
        taken_bytes=cost.taken_bytes,
        parallelism=cost.parallelism,
        most_parallelism=stage.most_parallelism,
        autotuned=stage.autotuned,
        buffer_size=counted_time.highest(stage.buffer_size),
        buffer_mean=counted_time.level(stage.buffer),
        cpu_ratio=cost.cpu_ratio,
        lanes=tuple(lanes[number].name for number in by_work(stage.lanes)),
        capacity_per_s=cost.capacity_per_s,
        hot_lines=lines,
        estimated_ratio=cost.estimated_ratio,
    )


def _most_calls_per_step(
    sums: Sequence[Sequence[FloatArray]], counted_times: Sequence[CountedTime], stages: int
) -> tuple[float, ...]:
    return tuple(
        max(
            (
                float(each[index][CALLS]) / counted_time.steps
                for each, counted_time in zip(sums, counted_times, strict=True)
                if counted_time.steps
            ),
            default=0.0,
        )
        for index in range(stages)
    )


def _works_for(
    worked: FloatArray, stage: Stage, counted_time: CountedTime, most_calls: float
) -> bool:
    if not counted_time.steps or not (worked[CALLS] > 0 or worked[WORK] > 0):
        return False
    if stage.kind is StageKind.EPOCH_START:
        return True
    return bool(worked[CALLS] >= _LEAST_SHARE_OF_CALLS * most_calls * counted_time.steps)


def _costs_of_loop(
    profile: Profile, loop: Loop, counted_time: CountedTime, worked: Mapping[int, FloatArray]
) -> tuple[StageCost, ...]:
    own_places = Places(profile=profile, loop=loop, counted_time=counted_time)
    copies = Copies(profile.stages, worked)
    together = copies.places({index: own_places.of(index) for index in worked})
    threads = own_places.pool_threads
    places = {
        first: place.on_threads(threads) if runs_in_pool(profile.stages[first]) else place
        for first, place in together.items()
    }
    at_steps = without_pauses(counted_time, loop)
    length_ns = max(at_steps.length_ns, 1)
    traced = _traced_ratio(loop, counted_time)
    seen = {
        first: traced if profile.stages[first].kind in _ONLY_IN_TRACES else None
        for first in copies.groups
    }
    under_way = {
        first: math.fsum(
            float(at_steps.sums(profile.stages[index].work)[WORK])
            / length_ns
            / (seen[first] or 1.0)
            for index in alike
        )
        for first, alike in copies.groups.items()
    }
    at_work: dict[Key, list[float]] = defaultdict(list)
    for first, calls in under_way.items():
        at_work[places[first].key].append(calls)
    costs = []
    # What its workers wait for their own stages is the cost of those.
    of_service = own_share_of_service(profile)
    for first, alike in copies.groups.items():
        filled_before = max(_filled_before(profile.stages, worked, index) for index in alike)
        sums = np.sum([worked[index] for index in alike], axis=0)
        own = of_service.get(first, 1.0)
        traced = seen[first]
        steps_fed = (
            _steps_fed(profile, loop, counted_time, worked, first)
            if traced is None
            else counted_time.steps * traced
        )
        taken = [_taken(profile.stages, worked, index) for index in alike]
        queued_ratio = _queued_ratio(profile, counted_time, profile.stages[first], _cpu_ratio(sums))
        costs.append(
            StageCost(
                index=first,
                stage=copies.stage(first),
                # The same to the last digit in any order of the stages.
                place=_at_least(places[first], math.fsum(at_work[places[first].key])),
                cost_ms=own * float(sums[WORK]) * filled_before / steps_fed / MS,
                calls=round(float(sums[CALLS])),
                taken=None if None in taken else sum(each or 0 for each in taken),
                size_bytes=round(float(sums[BYTES])) or None,
                taken_bytes=round(float(sums[TAKEN])) or None,
                cpu_ratio=_cpu_ratio(sums),
                at_work=own * under_way[first],
                queued_ratio=queued_ratio,
                estimated_ratio=1.0
                - (1.0 - _estimated_ratio(sums)) * (traced or 1.0) / filled_before,
                copies=len(alike),
            )
        )
    return tuple(sorted(costs, key=lambda cost: (-cost.cost_ms, cost.order)))


def _traced_ratio(loop: Loop, counted_time: CountedTime) -> float | None:
    """The part of the counted steps whose work of tf.data was traced; None where it needs no trace.

    Of a loop inside a graph only traced calls show it, and how many batches they took; the others are taken
    to be like these.
    """
    if not loop.kind.hand_written or loop.waits_by is not WaitSource.TRACE:
        return None
    if len(loop.steps) == loop.step_count:
        after = loop.steps.ordinal >= (loop.warmup_steps if counted_time.past_warmup else 0)
        steps, measured = float(after.sum()), float((after & loop.steps.measured).sum())
    else:  # of many steps no border of a bin cuts off much
        sums = dict(zip(LOOP_CHANNELS, counted_time.sums(loop.over_time).tolist(), strict=True))
        steps, measured = sums["steps"], sums["measured"]
    return min(measured / steps, 1.0) if measured > 0 and steps > 0 else None


def _estimated_ratio(sums: FloatArray) -> float:
    return min(float(sums[ESTIMATED]) / float(sums[WORK]), 1.0) if sums[WORK] > 0 else 0.0


def _filled_before(stages: Sequence[Stage], worked: Mapping[int, FloatArray], index: int) -> float:
    """What the work of a stage beneath a shuffle has to be multiplied with to feed the counted steps.

    A shuffle that filled up before the counted time began gives in it what was made before. What it gives
    above what it takes shows how much of the work is missing there: never less than nothing, since a
    buffer that is filled in the counted time may be thrown away.
    """
    factor = 1.0
    seen = {index}
    while (parent := stages[index].parent) is not None and parent in worked and parent not in seen:
        if stages[parent].family is OperatorFamily.SHUFFLE and worked[index][CALLS] > 0:
            factor *= max(float(worked[parent][CALLS] / worked[index][CALLS]), 1.0)
        index = parent
        seen.add(index)
    return factor


def _steps_fed(
    profile: Profile,
    loop: Loop,
    counted_time: CountedTime,
    worked: Mapping[int, FloatArray],
    index: int,
) -> float:
    """The number of steps that a stage worked for in the counted time.

    The calls of what gives one element a batch show it: it may have worked ahead before the counted
    time began, or for steps after it, which matters in a short run. Otherwise it is the steps themselves.
    """
    top = index
    seen = {top}
    while (parent := profile.stages[top].parent) is not None:
        if parent in seen or parent not in worked:
            break
        top = parent
        seen.add(top)
    batches_a_step = max(loop.batch_count, 1) / max(loop.step_count, 1)
    fed = float(worked[top][CALLS]) / batches_a_step
    one_each = profile.stages[top].kind in _ONE_A_BATCH and 0.75 <= fed / counted_time.steps <= 1.25
    return fed if one_each else counted_time.steps


def _taken(stages: Sequence[Stage], worked: Mapping[int, FloatArray], index: int) -> int | None:
    """How many elements a tf.data stage took from the stages that it asks."""
    if stages[index].runs_as is None:
        return None
    takes = stages[index].takes
    if takes:
        return round(float(worked[index][CALLS]) * takes)
    below = [number for number in worked if stages[number].parent == index]
    # An interleave takes from several: the inputs that it opens come behind what they are made of.
    return round(float(worked[min(below)][CALLS])) if below else None


def _cpu_ratio(sums: FloatArray) -> float | None:
    return min(float(sums[CPU] / sums[TIMED]), 1.0) if sums[TIMED] > 0 else None


def _queued_ratio(
    profile: Profile, counted_time: CountedTime, stage: Stage, cpu_ratio: float | None
) -> float:
    """The part of the time that its lanes were busy in which they stood in the queue for a CPU.

    A thread or process that does other work queues for that too (a worker that is starting, for example):
    what it queued is split as its CPU time is. What the stage was on a CPU, it was not in the queue.
    """
    busy_ns = queued_ns = 0.0
    for lane in (profile.lanes[number] for number in by_work(stage.lanes)):
        if lane.cpu is None:
            continue
        lane_cpu_ns, lane_queued_ns = counted_time.sums(lane.cpu).tolist()
        lane_busy_ns = float(counted_time.sums(lane.busy)[0])
        share = 1.0
        if cpu_ratio is not None and lane_cpu_ns > 0:
            share = min(cpu_ratio * lane_busy_ns / lane_cpu_ns, 1.0)
        busy_ns += lane_busy_ns
        queued_ns += min(share * lane_queued_ns, lane_busy_ns)
    not_on_cpu = 1.0 - (cpu_ratio or 0.0)
    return min(queued_ns / busy_ns, not_on_cpu) if busy_ns > 0 else 0.0


def _at_least(place: StagePlace, at_work: float) -> StagePlace:
    """A place with the observed number of calls at once, where that is more than its parallelism."""
    if at_work <= place.parallelism * _CONCURRENCY_SLACK:
        return place
    allowed = place.allowed if place.allowed is not None and at_work < place.allowed else None
    return replace(place, parallelism=at_work, parallelism_known=True, allowed=allowed)
