"""How the input of a loop ran: on which threads, and how much of it beside the training."""

from collections import Counter

from pipeprof.analysis.findings.input_findings import InputFinding
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.counted_time import CountedTime
from pipeprof.analysis.measures.epoch_starts import epoch_starts
from pipeprof.analysis.measures.placement import by_work, trains_on
from pipeprof.analysis.measures.step_statistics import MS, LoopTimes
from pipeprof.recording.loop import InputKind, Loop
from pipeprof.recording.profile import Profile


def describe_input(
    profile: Profile,
    loop: Loop,
    counted_time: CountedTime,
    costs: tuple[StageCost, ...],
    times: LoopTimes,
) -> InputFinding:
    """How what fed a loop ran: its threads, queue, overlap and epoch starts."""
    lanes = _input_lanes(costs)
    overlap, estimated = overlap_ratio(loop, counted_time, costs, times)
    return InputFinding(
        kind=loop.input.kind.value if loop.input.kind else None,
        on_main_thread=_on_main_thread(lanes, loop, profile),
        overlap_ratio=overlap,
        overlap_estimated=estimated,
        workers=loop.input.workers,
        multiprocessing=loop.input.multiprocessing,
        threads=tuple(profile.lanes[number].name for number in by_work(lanes)),
        queue_size=loop.input.queue_size,
        queue_mean=counted_time.level(loop.input.queue),
        queue_empty_ratio=counted_time.empty_ratio(loop.input.queue),
        head_of_line_ratio=_head_of_line_ratio(loop, counted_time, times),
        epoch_start_ms=times.epoch_starts.median_ms,
        epoch_starts=epoch_starts(profile, loop),
    )


def _head_of_line_ratio(loop: Loop, counted_time: CountedTime, times: LoopTimes) -> float | None:
    late_ns = counted_time.level(loop.input.head_of_line)
    if late_ns is None or times.wait is None or not times.wait.mean:
        return None
    return min(late_ns / MS / times.wait.mean, 1.0)


def overlap_ratio(
    loop: Loop, counted_time: CountedTime, costs: tuple[StageCost, ...], times: LoopTimes
) -> tuple[float | None, bool]:
    """The part of the input work that ran while the loop computed, and whether it is an estimate.

    Where no intervals of the work are known (tf.data records sums only), work that runs ahead is
    taken to spread evenly over the step, and all other work to lie within the wait.
    """
    worked_ns, in_wait_ns = map(float, counted_time.sums(loop.input_over_time))
    if worked_ns > 0:
        return min(max(1.0 - in_wait_ns / worked_ns, 0.0), 1.0), False
    work_ms = sum(cost.cost_ms for cost in costs)
    if loop.input.kind is not InputKind.TF_DATA or times.wait_ratio is None or not work_ms:
        return None, False
    ahead_ms = sum(cost.cost_ms for cost in costs if cost.place.ahead)
    return (1.0 - times.wait_ratio) * ahead_ms / work_ms, True


def _input_lanes(costs: tuple[StageCost, ...]) -> Counter[int]:
    lanes: Counter[int] = Counter()
    for cost in costs:
        lanes.update(cost.stage.lanes)
    return lanes


def _on_main_thread(lanes: Counter[int], loop: Loop, profile: Profile) -> bool | None:
    worked = by_work(lanes)
    if not worked:
        return None
    here = sum(lanes[number] for number in worked if trains_on(number, loop, profile.lanes))
    return 2 * here >= sum(lanes[number] for number in worked)
