"""What threads without stages compute for the input: those of TensorFlow, of BLAS, of a pool of the user's.

While a training waits for a batch, it computes nothing itself. What all threads of its process use of the
CPU in such moments, and no stage claims, is the work of threads that a stage has started or called. Where a
framework lets the device run ahead of the loop, that does not hold: there, only threads that Python
started are known to compute for the input.
"""

import math
from collections.abc import Collection, Container, Sequence
from dataclasses import replace

from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.counted_time import CountedTime, without_pauses
from pipeprof.analysis.measures.lane_use import sampled_ns
from pipeprof.recording.lane import LaneKind
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, MOMENT_CHANNELS, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import StageKind

# Moments of less time than this together are too few.
_LEAST_NS = 6_000_000

# So much Python code that is asleep at a time may have native threads at work.
_ASLEEP_FROM = 0.1

_OF_TF_DATA = (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON)

# Threads that a library made.
_LIBRARIES = (LaneKind.NATIVE, LaneKind.LIBRARY, LaneKind.TF_DATA_POOL)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMoments:
    """The moments in which a loop waited for its input.

    Attributes:
        cores: cores' worth of CPU that all threads of its process used then.
        wait_ratio: the part of its steps that such moments are.
    """

    cores: float
    wait_ratio: float

    def at_work(self, cost: StageCost) -> float:
        """Calls of a stage under way in these moments: it works then at the latest, on all of its place."""
        return min(cost.at_work / self.wait_ratio, cost.place.parallelism)


def waiting_moments(
    profile: Profile, loop: Loop, counted_time: CountedTime
) -> WaitingMoments | None:
    """What the process of a loop computed while the loop waited, or None where that is not known."""
    if loop.moments_over_time is None:
        return None
    moments = counted_time.sums(loop.moments_over_time)
    waited_ns = float(moments[MOMENT_CHANNELS.index("wait_ns")])
    steps = counted_time.sums(loop.over_time)
    measured_ns = float(steps[LOOP_CHANNELS.index("measured_ns")])
    wait_ns = float(steps[LOOP_CHANNELS.index("wait_ns")])
    if waited_ns < _LEAST_NS or measured_ns <= 0 or wait_ns <= 0:
        return None
    return WaitingMoments(
        cores=float(moments[MOMENT_CHANNELS.index("wait_cpu_ns")]) / waited_ns,
        wait_ratio=min(wait_ns / measured_ns, 1.0),
    )


def with_native_work(
    costs: Sequence[StageCost], profile: Profile, loop: Loop, counted_time: CountedTime
) -> tuple[StageCost, ...]:
    """The costs with what is known of the CPU time of their work on threads without stages.

    Args:
        costs: the stages of a loop.
        profile: the recording.
        loop: the loop.
        counted_time: its counted time.
    """
    if loop.lane is None:
        return _beside_private_threads(costs, profile, loop, counted_time)
    if profile.run.steps_return_early:
        return _with_python_threads(costs, profile, loop, counted_time)
    moments = waiting_moments(profile, loop, counted_time)
    if moments is None:
        return _beside_private_threads(costs, profile, loop, counted_time)
    pid = profile.lanes[loop.lane].pid
    here = {number for number, lane in enumerate(profile.lanes) if lane.pid == pid}
    known = _InMoments(costs, moments, here)
    queue = _queue(profile, counted_time, pid, _LIBRARIES)
    # What stands ready without a CPU would compute as well.
    waiting = _queue(profile, counted_time, pid, (*_LIBRARIES, LaneKind.THREAD))
    found = [known.of(cost, queue, waiting) for cost in costs]
    return _beside_private_threads(found, profile, loop, counted_time)


class _InMoments:
    """What the stages did in the moments in which their loop waited."""

    def __init__(
        self, costs: Sequence[StageCost], moments: WaitingMoments, here: Container[int]
    ) -> None:
        self._moments = moments
        self._here = here
        timed = [cost for cost in costs if _is_timed(cost, here)]
        claimed = math.fsum(moments.at_work(cost) * (cost.cpu_ratio or 0.0) for cost in timed)
        self._asleep = math.fsum(
            moments.at_work(cost) * (1.0 - (cost.cpu_ratio or 0.0)) for cost in timed
        )
        self._counted = math.fsum(moments.at_work(cost) for cost in costs if _is_counted(cost))
        self._left = max(moments.cores - claimed, 0.0)

    def of(self, cost: StageCost, queue: float, waiting: float) -> StageCost:
        """A stage with what computed for it.

        Args:
            cost: the stage.
            queue: time in the queue for a CPU over time on one, of native threads.
            waiting: the same of all threads that may work for the input.
        """
        at_work = self._moments.at_work(cost)
        if at_work <= 0:
            return cost
        if _is_timed(cost, self._here):
            # What computes for it does so while it sleeps; of several that sleep, each has its share.
            native = max(self._left - self._counted, 0.0)
            share = (1.0 - (cost.cpu_ratio or 0.0)) / self._asleep if self._asleep > 0 else 0.0
            return _with_threads(cost, native * share, queue)
        if not _is_counted(cost):
            return cost
        # What Python code that sleeps has others compute may be anything.
        free = self._left - (self._counted - at_work) if self._asleep < _ASLEEP_FROM else 0.0
        at_most = min(self._left * (1.0 + waiting) / at_work, 1.0)
        at_least = min(max(free, 0.0) / at_work, at_most)
        return replace(cost, cpu_at_least=at_least, cpu_at_most=at_most)


def _with_python_threads(
    costs: Sequence[StageCost], profile: Profile, loop: Loop, counted_time: CountedTime
) -> tuple[StageCost, ...]:
    """The costs with what Python threads without stages compute: the device has none of these."""
    steps = without_pauses(counted_time, loop)
    covered_ns = sampled_ns(profile.cpu, steps)
    training = profile.lanes[loop.lane or 0]
    at_work = {number for cost in costs for number in cost.stage.lanes}
    here = {number for number, lane in enumerate(profile.lanes) if lane.pid == training.pid}
    used_ns = sum(
        float(steps.sums(lane.cpu)[0])
        for number, lane in enumerate(profile.lanes)
        if number in here - at_work
        and lane is not training
        and lane.kind is LaneKind.THREAD
        and lane.cpu
    )
    asleep = sum(
        cost.at_work * (1.0 - (cost.cpu_ratio or 0.0)) for cost in costs if _is_timed(cost, here)
    )
    if covered_ns <= 0 or asleep <= 0:
        return tuple(costs)
    each = used_ns / covered_ns / asleep
    return tuple(
        replace(cost, native_cores=each * (1.0 - (cost.cpu_ratio or 0.0)))
        if _is_timed(cost, here)
        else cost
        for cost in costs
    )


def _beside_private_threads(
    costs: Sequence[StageCost], profile: Profile, loop: Loop, counted_time: CountedTime
) -> tuple[StageCost, ...]:
    """The costs with what tf.data's own threads show: what these compute, its functions compute.

    Where tf.data has a pool of its own for them (``threading.private_threadpool_size``), nothing else runs
    there. Where it has none, its functions may compute elsewhere.
    """
    steps = without_pauses(counted_time, loop)
    covered_ns = sampled_ns(profile.cpu, steps)
    used_ns = sum(
        float(steps.sums(lane.cpu)[0])
        for lane in profile.lanes
        if lane.cpu is not None and lane.kind is LaneKind.TF_DATA_POOL
    )
    if covered_ns <= 0 or used_ns <= 0:
        return tuple(costs)
    at_work = sum(cost.at_work for cost in costs if _is_counted(cost))
    return tuple(
        _computing_at_least(cost, used_ns / covered_ns - (at_work - cost.at_work))
        if _is_counted(cost) and cost.at_work > 0
        else cost
        for cost in costs
    )


def _computing_at_least(cost: StageCost, cores: float) -> StageCost:
    ratio = min(max(cores / cost.at_work, cost.cpu_at_least or 0.0, 0.0), 1.0)
    at_most = None if cost.cpu_at_most is None else max(cost.cpu_at_most, ratio)
    return replace(cost, cpu_at_least=ratio, cpu_at_most=at_most)


def _is_timed(cost: StageCost, here: Container[int]) -> bool:
    """Whether its own CPU time was read, and it runs in the process that trains."""
    return cost.cpu_ratio is not None and all(number in here for number in cost.stage.lanes)


def _is_counted(cost: StageCost) -> bool:
    """Whether tf.data counts its work, and nobody its CPU time."""
    return cost.cpu_ratio is None and cost.stage.kind in _OF_TF_DATA


def _with_threads(cost: StageCost, cores: float, queue: float) -> StageCost:
    """A stage with the native threads that work for it.

    Args:
        cost: the stage.
        cores: cores that these threads use.
        queue: cores that they would use besides, for each that they use, if a CPU were free.
    """
    known = replace(cost, native_cores=cores)
    not_on_cpu = 1.0 - (known.computing_ratio or 0.0)
    return replace(known, queued_ratio=min(cost.queued_ratio + cores * queue, not_on_cpu))


def _queue(
    profile: Profile, counted_time: CountedTime, pid: int, kinds: Collection[LaneKind]
) -> float:
    """The time that threads of some kinds stood ready without a CPU, over their time on one."""
    on_cpu = queued = 0.0
    for lane in profile.lanes:
        if lane.pid == pid and lane.cpu is not None and lane.kind in kinds:
            its_cpu, its_queue = counted_time.sums(lane.cpu).tolist()
            on_cpu, queued = on_cpu + its_cpu, queued + its_queue
    return queued / on_cpu if on_cpu > 0 else 0.0
