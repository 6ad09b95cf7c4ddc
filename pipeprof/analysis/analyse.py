"""The one way from a `Profile` to its `Findings`."""

from pipeprof.analysis.autotune import find_autotune
from pipeprof.analysis.case import Seen
from pipeprof.analysis.costs import as_finding, stage_uses
from pipeprof.analysis.counted_time import counted_windows, without_pauses
from pipeprof.analysis.delivery import describe_delivery
from pipeprof.analysis.device_use import device_findings
from pipeprof.analysis.diagnosis import diagnose, make_case
from pipeprof.analysis.findings import Findings, LoopFinding
from pipeprof.analysis.hot_lines import hot_lines
from pipeprof.analysis.lane_use import (
    cpu_finding,
    lane_findings,
    overhead_finding,
    resource_finding,
)
from pipeprof.analysis.overlap import describe_input
from pipeprof.analysis.step_statistics import loop_times
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.profile import Profile


def analyse(profile: Profile) -> Findings:
    """Says of each loop whether it waits for its data, and why.

    Stages, lanes and processors are described for the main loop, the longest that trains.
    """
    windows = counted_windows(profile.loops)
    uses = stage_uses(profile, windows)
    loops, cases = [], []
    for loop, window, used in zip(profile.loops, windows, uses, strict=True):
        times = loop_times(loop)
        fed = describe_input(profile, loop, window, used, times)
        seen = Seen(
            profile=profile,
            loop=loop,
            window=window,
            times=times,
            uses=used,
            cpu=cpu_finding(profile, without_pauses(window, loop)),
            fed=fed,
        )
        cases.append(make_case(seen))
        loops.append(LoopFinding(loop=loop, diagnosis=diagnose(seen), input=fed))
    number = next(
        (number for number, loop in enumerate(profile.loops) if loop is profile.main_loop), None
    )
    lines = hot_lines(profile)
    main_window = None if number is None else windows[number]
    main_cpu = cpu_finding(profile, None) if number is None else cases[number].seen.cpu
    return Findings(
        profile=profile,
        loops=tuple(
            found
            for found in loops
            if found.loop is profile.main_loop or not _only_looks(found.loop)
        ),
        main=None if number is None else loops[number],
        stages=()
        if number is None
        else tuple(
            as_finding(use, windows[number], profile.lanes, lines.get(use.index, ()))
            for use in uses[number]
        ),
        lanes=lane_findings(profile, main_window),
        cpu=main_cpu,
        resources=resource_finding(profile, main_window),
        delivery=None
        if number is None
        else describe_delivery(profile.loops[number], profile.deliveries),
        overhead=overhead_finding(profile),
        autotune=None if number is None else find_autotune(cases[number]),
        devices=device_findings(profile, main_window),
    )


def _only_looks(loop: Loop) -> bool:
    """Whether somebody took a batch to see what is in it (``for images, labels in ds.take(1)``)."""
    return loop.kind is LoopKind.CUSTOM and loop.step_count <= 1
