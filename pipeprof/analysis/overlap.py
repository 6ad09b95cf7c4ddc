"""How the input of a loop ran: on which threads, and how much of it beside the training."""

from collections import Counter

from pipeprof.analysis.costs import Use
from pipeprof.analysis.counted_time import Window
from pipeprof.analysis.epoch_starts import epoch_starts
from pipeprof.analysis.input_findings import InputFinding
from pipeprof.analysis.placement import by_work, trains_on
from pipeprof.analysis.step_statistics import MS, LoopTimes
from pipeprof.recording.loop import InputKind, Loop
from pipeprof.recording.profile import Profile


def describe_input(
    profile: Profile, loop: Loop, window: Window, uses: tuple[Use, ...], times: LoopTimes
) -> InputFinding:
    """All that is said of what fed a loop."""
    lanes = _input_lanes(uses)
    overlap, estimated = overlap_ratio(loop, window, uses, times)
    return InputFinding(
        kind=loop.input.kind.value if loop.input.kind else None,
        on_main_thread=_on_main_thread(lanes, loop, profile),
        overlap_ratio=overlap,
        overlap_estimated=estimated,
        workers=loop.input.workers,
        multiprocessing=loop.input.multiprocessing,
        threads=tuple(profile.lanes[number].name for number in by_work(lanes)),
        queue_size=loop.input.queue_size,
        queue_mean=window.level(loop.input.queue),
        queue_empty_ratio=window.empty_ratio(loop.input.queue),
        head_of_line_ratio=_head_of_line_ratio(loop, window, times),
        epoch_start_ms=times.stalls.median_ms,
        epoch_starts=epoch_starts(profile, loop),
    )


def _head_of_line_ratio(loop: Loop, window: Window, times: LoopTimes) -> float | None:
    late_ns = window.level(loop.input.head_of_line)
    if late_ns is None or times.wait is None or not times.wait.mean:
        return None
    return min(late_ns / MS / times.wait.mean, 1.0)


def overlap_ratio(
    loop: Loop, window: Window, uses: tuple[Use, ...], times: LoopTimes
) -> tuple[float | None, bool]:
    """The part of the input work that ran while the loop computed, and whether it is an estimate.

    Where no intervals of the work are known (tf.data tells sums only), work that runs ahead is
    taken to spread evenly over the step, and all other work to lie within the wait.
    """
    worked_ns, in_wait_ns = map(float, window.sums(loop.input_over_time))
    if worked_ns > 0:
        return min(max(1.0 - in_wait_ns / worked_ns, 0.0), 1.0), False
    work_ms = sum(use.cost_ms for use in uses)
    if loop.input.kind is not InputKind.TF_DATA or times.wait_ratio is None or not work_ms:
        return None, False
    ahead_ms = sum(use.cost_ms for use in uses if use.place.ahead)
    return (1.0 - times.wait_ratio) * ahead_ms / work_ms, True


def _input_lanes(uses: tuple[Use, ...]) -> Counter[int]:
    lanes: Counter[int] = Counter()
    for use in uses:
        lanes.update(use.stage.lanes)
    return lanes


def _on_main_thread(lanes: Counter[int], loop: Loop, profile: Profile) -> bool | None:
    worked = by_work(lanes)
    if not worked:
        return None
    here = sum(lanes[number] for number in worked if trains_on(number, loop, profile.lanes))
    return 2 * here >= sum(lanes[number] for number in worked)
