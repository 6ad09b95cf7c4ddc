"""How much of each step a device worked, and what it stood idle for."""

from pipeprof.analysis.findings import DeviceFinding, DeviceSource
from pipeprof.analysis.windows import Window
from pipeprof.devices import Device, DeviceSteps
from pipeprof.levels import MILLION, DeviceLevel
from pipeprof.recording import Profile
from pipeprof.series import IntArray

# A device that works less than this is at hand, but the training does not use it.
USED_FROM = 0.01


def device_findings(profile: Profile, window: Window | None) -> tuple[DeviceFinding, ...]:
    """All devices, the busiest first; those of whose work nothing was measured are the last."""
    found = [_finding(device, window) for device in profile.devices]
    return tuple(sorted(found, key=lambda device: -(device.busy_ratio or 0.0)))


def has_accelerator(profile: Profile, window: Window | None) -> bool:
    """Whether a device was seen to work for the training."""
    ratios = [found.busy_ratio for found in device_findings(profile, window)]
    return any(ratio is not None and ratio >= USED_FROM for ratio in ratios)


def _finding(device: Device, window: Window | None) -> DeviceFinding:
    steps = device.steps
    if steps is not None and len(steps) and _length_ns(steps) > 0:
        return DeviceFinding(
            kind=device.kind,
            name=device.name,
            model=device.model,
            source=DeviceSource.TRACE,
            traced_steps=len(steps),
            step_ms=_mean_ms(steps.busy_ns),
            compute_ms=_mean_ms(steps.compute_ns),
            copy_in_ms=_mean_ms(steps.copy_in_ns),
            busy_ratio=float(steps.busy_ns.sum()) / _length_ns(steps),
            idle_waiting_ratio=float(steps.idle_waiting_ns.sum()) / _length_ns(steps),
        )
    busy = device.levels.get(DeviceLevel.UTILISATION)
    level = window.level(busy) if window is not None else None
    return DeviceFinding(
        kind=device.kind,
        name=device.name,
        model=device.model,
        source=DeviceSource.NONE if level is None else DeviceSource.NVML,
        busy_ratio=None if level is None else min(level / MILLION, 1.0),
    )


def _length_ns(steps: DeviceSteps) -> int:
    return int((steps.end_ns - steps.start_ns).sum())


def _mean_ms(column: IntArray) -> float:
    return float(column.mean()) / 1e6
