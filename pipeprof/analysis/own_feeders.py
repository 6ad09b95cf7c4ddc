"""Threads and processes of the user's own that feed a hand-written loop, known by samples only."""

import re
from collections import Counter
from dataclasses import dataclass

from pipeprof.analysis.counted_time import CountedTime, without_pauses
from pipeprof.analysis.lane_use import sampled_ns
from pipeprof.analysis.verdict_kinds import Cause
from pipeprof.recording.account import FeederKind, FeedingLane, HostState
from pipeprof.recording.lane import Lane, LaneKind
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import Location

# On a CPU, or ready for one, for less than this part of the time, threads rather wait for something else.
_COMPUTE_FROM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeder:
    """Where the user's own threads or processes were at work for a loop.

    Attributes:
        function: the innermost function of the user's.
        location: the line where most samples were taken.
        lane: the thread or process of most samples; None where it was not recorded.
        share: of all such samples.
    """

    function: str
    location: Location
    lane: FeedingLane | None
    share: float


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
        share=count / sum(by_function.values()),
    )


def cause_of_feeder(
    feeder: Feeder, profile: Profile, counted_time: CountedTime, loop: Loop
) -> Cause:
    """Why a thread is slow that a loop waits for: it computes, or it waits itself.

    Of a process only that it is one is known: what it does stays open.
    """
    if feeder.lane is None or feeder.lane.kind is not FeederKind.THREAD:
        return Cause.NONE
    name = _numberless(feeder.lane.name or "")
    steps_only = without_pauses(counted_time, loop)
    covered_ns = sampled_ns(profile.cpu, steps_only)
    spent_ns = [
        float(steps_only.sums(lane.cpu).sum())
        for lane in profile.lanes
        if _is_thread(lane) and _numberless(lane.name) == name and lane.cpu is not None
    ]
    if not spent_ns or covered_ns <= 0:
        return Cause.NONE
    return Cause.CPU if sum(spent_ns) / covered_ns >= _COMPUTE_FROM else Cause.BLOCKING


def _is_thread(lane: Lane) -> bool:
    return lane.kind in (LaneKind.THREAD, LaneKind.FURTHER)


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "N", name)
