"""How busy the devices of a run were, a sentence each."""

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.machine_findings import DeviceFinding
from pipeprof.report.numbers import count, duration, percent, size
from pipeprof.report.plain_text import shown

# Less than this part of what a device did is reported as the training's own: others use it as well.
_ALL_OF = 0.9


def devices(findings: Findings) -> list[str]:
    """How busy each device was, a sentence each; none of one that nothing was measured of."""
    return [_device(found) for found in findings.devices if found.busy_ratio is not None]


def _device(found: DeviceFinding) -> str:
    name = shown(found.name if found.model is None else f"{found.name} ({found.model})")
    busy = percent(found.busy_ratio or 0.0)
    if found.step_ms is None:
        own = found.own_busy_ratio
        others = own is not None and own < _ALL_OF * (found.busy_ratio or 0.0)
        whose = f", {percent(own or 0.0)} for this training" if others else ""
        return f"{name} was busy {busy} of the time{whose}, as its driver reports{_driver_report(found)}."
    copies = f", {duration(found.copy_in_ms)} of it copies to it" if found.copy_in_ms else ""
    idle = (
        f"; it stood idle {percent(found.idle_waiting_ratio)} of the time while the training waited "
        "for input"
        if found.idle_waiting_ratio
        else ""
    )
    step = f"device step {duration(found.step_ms)}{copies}"
    traced = count(found.traced_steps, "traced step")
    return f"{name} was busy {busy} of each step ({step}){idle} ({traced}){_driver_report(found)}."


def _driver_report(found: DeviceFinding) -> str:
    """Memory, power and clock, as far as they are known."""
    known = []
    used, room, own = found.memory_bytes, found.memory_room_bytes, found.own_memory_bytes
    if used is not None and room:
        others = own is not None and own < _ALL_OF * used
        whose = f" ({size(own or 0.0)} by this training)" if others else ""
        known.append(f"{size(used)} of its {size(room)} in use{whose}")
    if found.power_w is not None:
        known.append(f"{found.power_w:.0f} W")
    if found.clock_mhz is not None:
        known.append(f"{found.clock_mhz:,.0f} MHz")
    return f"; {', '.join(known)}" if known else ""
