"""The processes that a stage of the user's waits for: those of a pool, of joblib, a program that it called.

They record nothing. That a stage waits for them is seen in the frames of its threads, and that they work
for it in their CPU time: processes that idle used none.
"""

from collections.abc import Sequence

from pipeprof.analysis.findings.helper_finding import Helpers
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.counted_time import CountedTime
from pipeprof.analysis.measures.lane_use import most_at_once
from pipeprof.recording.lane import Lane, LaneKind
from pipeprof.recording.profile import Profile

# From this part of the samples on in which a stage waited for other processes, it waits for these.
_WAITS_FROM = 0.5

# In fewer samples, nothing is seen.
_LEAST_SAMPLES = 5

# Processes that together use less of a core than this do nothing for a training that waits for them.
_AT_WORK_FROM = 0.005


def find_helpers(profile: Profile, counted_time: CountedTime, covered_ns: float) -> Helpers | None:
    """The processes without stages that used a CPU in that time, or None without any.

    Args:
        profile: the recording.
        counted_time: the time in question.
        covered_ns: how much of it the readings of CPU time cover.
    """
    at_work = {number for stage in profile.stages for number in stage.lanes}
    serving = {worker.pid for worker in profile.data_workers}
    lanes = []
    used_ns = 0.0
    for number, lane in enumerate(profile.lanes):
        if lane.kind not in (LaneKind.WORKER_PROCESS, LaneKind.PROGRAM) or number in at_work:
            continue
        if lane.pid in serving:  # a tf.data service's, which has stages of its own
            continue
        its_ns = float(counted_time.sums(lane.cpu)[0]) if lane.cpu is not None else 0.0
        if its_ns > 0:
            lanes.append(lane)
            used_ns += its_ns
    if covered_ns <= 0 or used_ns < _AT_WORK_FROM * covered_ns:
        return None
    return Helpers(count=most_at_once(lanes), cores=used_ns / covered_ns)


def waits_for_helpers(cost: StageCost, lanes: Sequence[Lane]) -> bool:
    """Whether the threads of a stage were mostly seen to wait for another process, or for a pool."""
    seen = [lane for number in cost.stage.lanes if (lane := lanes[number].in_stages) is not None]
    samples = sum(each.samples for each in seen)
    waiting = sum(each.waiting for each in seen)
    return samples >= _LEAST_SAMPLES and waiting >= _WAITS_FROM * samples
