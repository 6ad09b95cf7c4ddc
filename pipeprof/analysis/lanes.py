"""How busy threads, worker processes and processors were in a stretch of time."""

from pipeprof.analysis.findings import CpuFinding, LaneFinding, OverheadFinding
from pipeprof.analysis.windows import Window
from pipeprof.recording import Cpu, Lane, Profile
from pipeprof.series import Binned

# From this share of what the run may use on, no core is left.
SATURATED_FROM = 0.9


def lane_findings(profile: Profile, window: Window | None) -> tuple[LaneFinding, ...]:
    """All lanes, in the order of the recording; without a window nothing is measured."""
    return tuple(
        LaneFinding(
            name=lane.name,
            role=lane.role,
            pid=lane.pid,
            tid=lane.tid,
            busy_ratio=_share_of_life(lane.busy, lane, window),
            cpu_ratio=_share_of_life(lane.cpu, lane, window),
            gil_ratio=None,
            stages=_stages_on(number, profile),
        )
        for number, lane in enumerate(profile.lanes)
    )


def cpu_finding(cpu: Cpu, window: Window | None) -> CpuFinding:
    """The processors in that time; ``process_ratio`` is None where nothing was read."""
    ratio = None
    room = min(cpu.cores, cpu.limit) if cpu.limit is not None else cpu.cores
    if window is not None and cpu.used is not None and room > 0:
        covered_ns = (
            float(window.sums(cpu.sampled)[0]) if cpu.sampled is not None else window.length_ns
        )
        if covered_ns > 0:
            ratio = min(float(window.sums(cpu.used)[0]) / covered_ns / room, 1.0)
    return CpuFinding(
        cores=cpu.cores,
        limit=cpu.limit,
        process_ratio=ratio,
        saturated=None if ratio is None else ratio >= SATURATED_FROM,
    )


def overhead_finding(profile: Profile) -> OverheadFinding:
    """What the looking cost, as if all of it had stood in the training's way: an upper bound."""
    overhead = profile.overhead
    lasted_ns = profile.run.end_ns - profile.run.start_ns
    ratio = None
    if overhead.probe_ns is not None and lasted_ns > 0:
        spent_ns = overhead.probe_ns * overhead.events + overhead.collector_ns
        ratio = min(spent_ns / lasted_ns, 1.0)
    return OverheadFinding(
        probe_ns=overhead.probe_ns,
        events=overhead.events,
        events_dropped=overhead.dropped,
        ratio=ratio,
    )


def _share_of_life(spent: Binned | None, lane: Lane, window: Window | None) -> float | None:
    """Its share of the window's time in which the lane lived: workers come and go with epochs."""
    if spent is None or window is None:
        return None
    lived_ns = window.overlap_ns(lane.first_ns, lane.last_ns)
    for start_ns, end_ns in window.holes:
        lived_ns -= max(min(lane.last_ns, end_ns) - max(lane.first_ns, start_ns), 0)
    return min(float(window.sums(spent)[0]) / lived_ns, 1.0) if lived_ns > 0 else None


def _stages_on(number: int, profile: Profile) -> tuple[str, ...]:
    worked = [stage for stage in profile.stages if stage.lanes.get(number, 0) > 0]
    return tuple(stage.name for stage in sorted(worked, key=lambda stage: -stage.lanes[number]))
