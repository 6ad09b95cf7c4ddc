"""What threads without stages compute for the input: those of TensorFlow, of BLAS, of a pool of the user's.

While a training waits for a batch, it computes nothing itself. What all threads of its process use of the
CPU in such moments, and no stage claims, is the work of threads that a stage has started or called. Where a
framework lets the device run ahead of the loop, that does not hold, and nothing is concluded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeprof.analysis.costs import StageCost
from pipeprof.analysis.counted_time import CountedTime
from pipeprof.recording.lane import LaneKind
from pipeprof.recording.loop import LOOP_CHANNELS, MOMENT_CHANNELS, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import StageKind

# Moments of less time than this together are too few.
_LEAST_NS = 20_000_000

# So much Python code that is asleep at a time may have native threads at work.
_ASLEEP_FROM = 0.1

_OF_TF_DATA = (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON)

# Keras on these returns from a step while the step is still computed.
_RUN_AHEAD = ("jax", "torch")


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
    if loop.moments_over_time is None or profile.run.backend in _RUN_AHEAD:
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
    moments = waiting_moments(profile, loop, counted_time)
    if moments is None or loop.lane is None:
        return tuple(costs)
    pid = profile.lanes[loop.lane].pid
    here = {number for number, lane in enumerate(profile.lanes) if lane.pid == pid}
    claimed = asleep = of_tf_data = 0.0
    for cost in costs:
        at_work = moments.at_work(cost)
        if _is_timed(cost, here):
            claimed += at_work * (cost.cpu_ratio or 0.0)
            asleep += at_work * (1.0 - (cost.cpu_ratio or 0.0))
        elif _is_counted(cost):
            of_tf_data += at_work
    left = max(moments.cores - claimed, 0.0)
    native = max(left - of_tf_data, 0.0)
    queue = _queue_of_natives(profile, counted_time, pid)
    found = []
    for cost in costs:
        at_work = moments.at_work(cost)
        if at_work <= 0:
            found.append(cost)
        elif _is_timed(cost, here):
            # What computes for it does so while it sleeps; of several that sleep, each has its share.
            share = (1.0 - (cost.cpu_ratio or 0.0)) / asleep if asleep > 0 else 0.0
            found.append(_with_threads(cost, native * share, queue))
        elif _is_counted(cost):
            # What Python code that sleeps has others compute may be anything.
            others = of_tf_data - at_work
            at_least = max(left - others, 0.0) / at_work if asleep < _ASLEEP_FROM else 0.0
            at_most = min(left / at_work, 1.0)
            found.append(replace(cost, cpu_at_least=min(at_least, at_most), cpu_at_most=at_most))
        else:
            found.append(cost)
    return tuple(found)


def _is_timed(cost: StageCost, here: set[int]) -> bool:
    """Whether its own CPU time was read, and it runs in the process that trains."""
    return cost.cpu_ratio is not None and here.issuperset(cost.stage.lanes)


def _is_counted(cost: StageCost) -> bool:
    """Whether tf.data counts its work, and nobody its CPU time."""
    return cost.cpu_ratio is None and cost.stage.kind in _OF_TF_DATA


def _with_threads(cost: StageCost, cores: float, queue: float) -> StageCost:
    """A stage for which native threads use so many cores; for each of these, ``queue`` more are wanted."""
    known = replace(cost, native_cores=cores)
    not_on_cpu = 1.0 - (known.computing_ratio or 0.0)
    return replace(known, queued_ratio=min(cost.queued_ratio + cores * queue, not_on_cpu))


def _queue_of_natives(profile: Profile, counted_time: CountedTime, pid: int) -> float:
    """The time that native threads stood ready without a CPU, over the time that they were on one."""
    on_cpu = queued = 0.0
    for lane in profile.lanes:
        if lane.pid == pid and lane.cpu is not None and lane.kind is LaneKind.NATIVE:
            its_cpu, its_queue = counted_time.sums(lane.cpu).tolist()
            on_cpu, queued = on_cpu + its_cpu, queued + its_queue
    return queued / on_cpu if on_cpu > 0 else 0.0
