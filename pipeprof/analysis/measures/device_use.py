"""How much of each step a device worked, and what it stood idle for."""

from dataclasses import replace

from pipeprof.analysis.findings.machine_findings import DeviceFinding, DeviceSource
from pipeprof.analysis.measures.counted_time import CountedTime
from pipeprof.recording.devices import Device, DeviceSteps
from pipeprof.recording.level_names import MILLION, DeviceLevel
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray

# A device that works less than this is at hand, but the training does not use it.
USED_FROM = 0.01


def device_findings(
    profile: Profile, counted_time: CountedTime | None
) -> tuple[DeviceFinding, ...]:
    """All devices, the busiest first; those of whose work nothing was measured are the last."""
    found = [_finding(device, counted_time) for device in profile.devices]
    return tuple(sorted(found, key=lambda device: -(device.busy_ratio or 0.0)))


def has_accelerator(profile: Profile, counted_time: CountedTime | None) -> bool:
    """Whether a device worked for the training; work whose process is not known counts as its own."""
    found = device_findings(profile, counted_time)
    return any((_own_use(device) or 0.0) >= USED_FROM for device in found)


def busiest_ratio(profile: Profile, counted_time: CountedTime | None) -> float | None:
    """The part of the time in which the training kept its busiest device busy; None if not measured."""
    uses = [_own_use(device) for device in device_findings(profile, counted_time)]
    return max((use for use in uses if use is not None), default=None)


def working_device(profile: Profile, counted_time: CountedTime | None) -> DeviceFinding | None:
    """The device that works most for the training, or None where none was seen to."""
    found = device_findings(profile, counted_time)
    working = [device for device in found if (_own_use(device) or 0.0) >= USED_FROM]
    return max(working, key=lambda device: _own_use(device) or 0.0, default=None)


def _own_use(device: DeviceFinding) -> float | None:
    traced = device.source is DeviceSource.TRACE
    return device.busy_ratio if traced or device.own_busy_ratio is None else device.own_busy_ratio


def _finding(device: Device, counted_time: CountedTime | None) -> DeviceFinding:
    reading = _driver_reading(device, counted_time)
    steps = device.steps
    if steps is None or not len(steps) or _length_ns(steps) <= 0:
        return reading
    return replace(
        reading,
        source=DeviceSource.TRACE,
        traced_steps=len(steps),
        step_ms=_mean_ms(steps.busy_ns),
        compute_ms=_mean_ms(steps.compute_ns),
        copy_in_ms=_mean_ms(steps.copy_in_ns),
        busy_ratio=float(steps.busy_ns.sum()) / _length_ns(steps),
        idle_waiting_ratio=float(steps.idle_waiting_ns.sum()) / _length_ns(steps),
    )


def _driver_reading(device: Device, counted_time: CountedTime | None) -> DeviceFinding:
    def mean(level: DeviceLevel, unit: float = 1.0) -> float | None:
        read = counted_time.level(device.levels.get(level)) if counted_time is not None else None
        return None if read is None else read / unit

    busy = mean(DeviceLevel.UTILISATION, MILLION)
    own_busy = mean(DeviceLevel.OWN_UTILISATION, MILLION)
    return DeviceFinding(
        kind=device.kind,
        name=device.name,
        model=device.model,
        source=DeviceSource.NONE if busy is None else DeviceSource.NVML,
        busy_ratio=None if busy is None else min(busy, 1.0),
        own_busy_ratio=None if own_busy is None else min(own_busy, 1.0),
        memory_bytes=mean(DeviceLevel.MEMORY),
        memory_room_bytes=mean(DeviceLevel.MEMORY_ROOM),
        own_memory_bytes=mean(DeviceLevel.OWN_MEMORY),
        power_w=mean(DeviceLevel.POWER, 1e3),
        clock_mhz=mean(DeviceLevel.SM_CLOCK),
    )


def _length_ns(steps: DeviceSteps) -> int:
    return int((steps.end_ns - steps.start_ns).sum())


def _mean_ms(column: IntArray) -> float:
    return float(column.mean()) / 1e6
