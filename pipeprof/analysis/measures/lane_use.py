"""How busy threads, worker processes and processors were in a stretch of time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipeprof.analysis.findings.machine_findings import (
    CpuFinding,
    LaneFinding,
    OverheadFinding,
    ResourceFinding,
)
from pipeprof.analysis.measures.cores import used_ratio
from pipeprof.analysis.measures.counted_time import CountedTime
from pipeprof.analysis.measures.device_use import device_findings
from pipeprof.recording.lane import Cpu, Lane, LaneKind, Role
from pipeprof.recording.level_names import MILLION, Level
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import Binned
from pipeprof.recording.stage import StageKind

# From this share of what the run may use on, no core is left.
SATURATED_FROM = 0.9

# From this part of its scheduling periods on, the container's limit is what the run lacks.
THROTTLED_FROM = 0.25

# Threads that hold the GIL for less of their time than this can compute at once.
LEAVES_GIL_BELOW = 0.3


def lane_findings(profile: Profile, counted_time: CountedTime | None) -> tuple[LaneFinding, ...]:
    """All lanes, in the order of the recording; without counted time nothing is measured."""
    return tuple(
        LaneFinding(
            name=lane.name,
            role=lane.role,
            pid=lane.pid,
            tid=lane.tid,
            busy_ratio=_device_ratio(lane, profile)
            if lane.role is Role.DEVICE
            else _share_of_life(lane.busy, lane, counted_time),
            cpu_ratio=_share_of_life(lane.cpu, lane, counted_time),
            gil_ratio=gil_ratio(lane),
            stages=_stages_on(number, profile),
            batches=_batches_of(number, profile),
        )
        for number, lane in enumerate(profile.lanes)
    )


def _device_ratio(lane: Lane, profile: Profile) -> float | None:
    """A device's lane shows what was traced: the time between trace windows is not known."""
    return next((d.busy_ratio for d in device_findings(profile, None) if d.name == lane.name), None)


def gil_ratio(lane: Lane) -> float | None:
    """The part of the time in which it held the interpreter's lock, or None where nobody looked."""
    return lane.gil.held / lane.gil.samples if lane.gil and lane.gil.samples else None


def cpu_finding(profile: Profile, counted_time: CountedTime | None) -> CpuFinding:
    """The processors in that time; what was not read is None."""
    process = _process_ratio(profile.cpu, counted_time)
    machine = _part(profile, Level.MACHINE_CPU, counted_time)
    throttled = _part(profile, Level.THROTTLED, counted_time)
    found = CpuFinding(
        cores=profile.cpu.cores,
        limit=profile.cpu.limit,
        physical_cores=profile.cpu.physical_cores,
        process_ratio=process,
        saturated=None,
        machine_ratio=machine,
        throttled_ratio=throttled,
        voluntary_switches_per_s=_level(profile, Level.VOLUNTARY_SWITCHES, counted_time),
        forced_switches_per_s=_level(profile, Level.FORCED_SWITCHES, counted_time),
    )
    return replace(found, saturated=_is_saturated(found))


def resource_finding(profile: Profile, counted_time: CountedTime | None) -> ResourceFinding:
    """Memory, disk and network in that time."""
    memory = profile.gauges.get(Level.MEMORY.value)
    return ResourceFinding(
        memory_bytes=_level(profile, Level.MEMORY, counted_time),
        most_memory_bytes=counted_time.highest(memory) if counted_time is not None else None,
        disk_read_bytes_per_s=_level(profile, Level.DISK_READ, counted_time),
        disk_written_bytes_per_s=_level(profile, Level.DISK_WRITTEN, counted_time),
        received_bytes_per_s=_level(profile, Level.RECEIVED, counted_time),
        sent_bytes_per_s=_level(profile, Level.SENT, counted_time),
    )


def cpu_apart_from_functions(profile: Profile, loop: Loop, counted_time: CountedTime) -> float:
    """Cores' worth of CPU of threads that ran none of the functions given to tf.data.

    TensorFlow runs those in threads of its own, never in the one that asks for the batch; and
    pipeprof's own threads run none either.
    """
    covered_ns = sampled_ns(profile.cpu, counted_time)
    if covered_ns <= 0:
        return 0.0
    apart_ns = sum(
        float(counted_time.sums(lane.cpu)[0])
        for number, lane in enumerate(profile.lanes)
        if lane.cpu is not None and (number == loop.lane or lane.kind is LaneKind.PIPEPROF)
    )
    return apart_ns / covered_ns


def _process_ratio(cpu: Cpu, counted_time: CountedTime | None) -> float | None:
    room = min(cpu.cores, cpu.limit) if cpu.limit is not None else cpu.cores
    if counted_time is None or cpu.used is None or room <= 0:
        return None
    covered_ns = sampled_ns(cpu, counted_time)
    if covered_ns <= 0:
        return None
    return min(float(counted_time.sums(cpu.used)[0]) / covered_ns / room, 1.0)


def most_at_once(lanes: Sequence[Lane]) -> int:
    """The largest number of these lanes that existed at one time; there is at least one of them."""
    begins = np.array([lane.first_ns for lane in lanes])
    ends = np.array([max(lane.last_ns, lane.first_ns) for lane in lanes])
    return max(int(((begins <= begin) & (begin <= ends)).sum()) for begin in begins)


def sampled_ns(cpu: Cpu, counted_time: CountedTime) -> float:
    """How much of the time was looked at."""
    return (
        float(counted_time.sums(cpu.sampled)[0])
        if cpu.sampled is not None
        else counted_time.length_ns
    )


def _is_saturated(cpu: CpuFinding) -> bool | None:
    if cpu.throttled_ratio is not None and cpu.throttled_ratio >= THROTTLED_FROM:
        return True
    ratios = [ratio for ratio in (cpu.process_ratio, cpu.machine_ratio) if ratio is not None]
    return used_ratio(max(ratios), cpu) >= SATURATED_FROM if ratios else None


def _level(profile: Profile, level: Level, counted_time: CountedTime | None) -> float | None:
    return counted_time.level(profile.gauges.get(level.value)) if counted_time is not None else None


def _part(profile: Profile, level: Level, counted_time: CountedTime | None) -> float | None:
    millionths = _level(profile, level, counted_time)
    return None if millionths is None else min(millionths / MILLION, 1.0)


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


def _share_of_life(
    spent: Binned | None, lane: Lane, counted_time: CountedTime | None
) -> float | None:
    """Its share of the counted time in which the lane lived: workers come and go with epochs."""
    if spent is None or counted_time is None:
        return None
    lived_ns = counted_time.overlap_ns(lane.first_ns, lane.last_ns)
    for start_ns, end_ns in counted_time.holes:
        lived_ns -= max(min(lane.last_ns, end_ns) - max(lane.first_ns, start_ns), 0)
    return min(float(counted_time.sums(spent)[0]) / lived_ns, 1.0) if lived_ns > 0 else None


def _stages_on(number: int, profile: Profile) -> tuple[str, ...]:
    worked = [stage for stage in profile.stages if stage.lanes.get(number, 0) > 0]
    if not worked and profile.lanes[number].kind is LaneKind.PROGRAM:
        return _served_by(profile.lanes[number].pid, profile)
    return tuple(stage.name for stage in sorted(worked, key=lambda stage: -stage.lanes[number]))


def _served_by(pid: int, profile: Profile) -> tuple[str, ...]:
    """The stages that ran in a worker of a tf.data service when it was traced, dearest first."""
    work_ns: Counter[int] = Counter()
    for worker in profile.data_workers:
        for window in worker.windows if worker.pid == pid else ():
            for seen in window.stages:
                work_ns[seen.stage] += seen.work_ns
    return tuple(profile.stages[stage].name for stage, ns in work_ns.most_common() if ns)


def _batches_of(number: int, profile: Profile) -> int | None:
    """What a worker made of what gives a batch at each call."""
    if profile.lanes[number].role is not Role.WORKER:
        return None
    made = [s.lane_calls.get(number, 0) for s in profile.stages if s.kind is StageKind.SEQUENCE]
    return sum(made) if made else None


def gil_held_ratio(profile: Profile, lanes: Iterable[int]) -> float | None:
    """The part of the samples of some lanes in which they held the GIL; None where nobody looked.

    Args:
        profile: the recording.
        lanes: their numbers.
    """
    found = [gil for number in set(lanes) if (gil := profile.lanes[number].gil) is not None]
    samples = sum(gil.samples for gil in found)
    return sum(gil.held for gil in found) / samples if samples else None
