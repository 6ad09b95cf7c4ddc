"""What of the user's own feeds a hand-written loop, known by samples only.

Threads and processes beside it, or functions and generators that it calls for its next batch.
"""

import re
from collections import Counter

from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.counted_time import CountedTime, without_pauses
from pipeprof.analysis.measures.lane_use import sampled_ns
from pipeprof.analysis.verdicts.causes import GIL_FROM, GIL_TO
from pipeprof.recording.account import FeederKind, HostSample, HostState
from pipeprof.recording.lane import Lane, LaneKind
from pipeprof.recording.level_names import MILLION, Level
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile

# On a CPU, or ready for one, for less than this part of the time, threads rather wait for something else.
_COMPUTE_FROM = 0.5
# Who asks for the GIL waits for it less than this part of the time where threads compute without it.
_CONTENDED_FROM = 0.3


def find_feeder(loop: Loop, *states: HostState) -> Feeder | None:
    """The function that most of the samples in these states met; None without any."""
    samples = [each for each in loop.account.samples if each.state in states]
    by_function = Counter[tuple[str, str]]()
    for each in samples:
        by_function[each.function, each.location.file] += each.samples
    if not by_function:
        return None
    chosen, count = max(by_function.items(), key=lambda item: (item[1], item[0]))
    its = [each for each in samples if (each.function, each.location.file) == chosen]
    busiest = max(its, key=lambda each: (each.samples, str(each.location)))
    return Feeder(
        function=busiest.function,
        location=busiest.location,
        lane=busiest.feeder,
        own_thread=busiest.state is HostState.MAKING,
        share=count / sum(by_function.values()),
        threads=len({each.feeder for each in its if _is_of_thread(each)}),
    )


def _is_of_thread(sample: HostSample) -> bool:
    return sample.feeder is not None and sample.feeder.kind is FeederKind.THREAD


def made_ratio(loop: Loop) -> float:
    """The part of a loop's sampled waits in which its own thread made the next batch."""
    made, waited = (
        sum(each.samples for each in loop.account.samples if each.state is state)
        for state in (HostState.MAKING, HostState.WAITING)
    )
    return made / (made + waited) if made else 0.0


def cause_of_maker(
    profile: Profile, counted_time: CountedTime, loop: Loop, *, making: float, computing: float
) -> Cause:
    """Why the code is slow that makes batches in the loop's own thread: it computes, or it waits.

    What the thread was on a CPU lies in both: in what it computed for the training, and in the batches.
    Half of what the first could have taken is left out.

    Args:
        profile: the recording.
        counted_time: the loop's counted time.
        loop: the loop.
        making: the part of its steps in which batches were made.
        computing: the part of its steps in which it did anything else that computes.
    """
    lane = profile.lanes[loop.lane] if loop.lane is not None else None
    steps_only = without_pauses(counted_time, loop)
    covered_ns = sampled_ns(profile.cpu, steps_only)
    if lane is None or lane.cpu is None or covered_ns <= 0 or making <= 0:
        return Cause.NONE
    on_cpu = float(steps_only.sums(lane.cpu)[0]) / covered_ns
    least, most = max(on_cpu - computing, 0.0), min(on_cpu, making)
    return Cause.CPU if (least + most) / 2 >= _COMPUTE_FROM * making else Cause.BLOCKING


def cause_of_feeder(
    feeder: Feeder, profile: Profile, counted_time: CountedTime, loop: Loop
) -> Cause:
    """Why a thread is slow that a loop waits for: it computes, or it waits itself.

    Several threads that together use one core, while whoever asks for the GIL has to wait for it, take
    turns at it. Of a process only that it is one is known: what it does stays open.
    """
    if feeder.lane is None or feeder.lane.kind is not FeederKind.THREAD:
        return Cause.NONE
    name = _numberless(feeder.lane.name or "")
    steps_only = without_pauses(counted_time, loop)
    covered_ns = sampled_ns(profile.cpu, steps_only)
    spent_ns = [
        steps_only.sums(lane.cpu)
        for lane in profile.lanes
        if _is_thread(lane) and _numberless(lane.name) == name and lane.cpu is not None
    ]
    if not spent_ns or covered_ns <= 0:
        return Cause.NONE
    on_cpu, ready = (float(sum(sums)) / covered_ns for sums in zip(*spent_ns, strict=True))
    if feeder.threads > 1 and GIL_FROM <= on_cpu <= GIL_TO and _is_contended(profile, steps_only):
        return Cause.GIL
    return Cause.CPU if on_cpu + ready >= _COMPUTE_FROM else Cause.BLOCKING


def _is_contended(profile: Profile, counted_time: CountedTime) -> bool:
    """Whether whoever asks for the GIL waits for it, or nobody measured that."""
    read = counted_time.level(profile.gauges.get(Level.GIL_CONTENTION.value))
    return read is None or read / MILLION >= _CONTENDED_FROM


def _is_thread(lane: Lane) -> bool:
    return lane.kind in (LaneKind.THREAD, LaneKind.FURTHER)


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "N", name)
