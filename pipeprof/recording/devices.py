"""What devices (GPUs, TPUs) did while a training ran: part of a recording.

A device is measured in two ways: TensorFlow's profiler measures it step by step in trace windows, and
its driver reports levels over time. Either may be missing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field

from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import Gauge, IntArray
from pipeprof.recording.series_checks import check_columns, check_gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSteps:
    """What a device did in each traced step; arrays with one entry a step, in the order of time.

    Time in which several streams work at once counts once.

    Attributes:
        start_ns: begins of the steps.
        end_ns: their ends.
        compute_ns: how long kernels ran. XProf's 'device compute' adds the few copies that belong
            to an operation of the step.
        copy_in_ns: how long data was copied from the host to the device.
        busy_ns: how long kernels or copies of any direction ran.
        idle_waiting_ns: how long none of them ran while the training waited for its next batch.
    """

    start_ns: IntArray
    end_ns: IntArray
    compute_ns: IntArray
    copy_in_ns: IntArray
    busy_ns: IntArray
    idle_waiting_ns: IntArray

    def __len__(self) -> int:
        return len(self.start_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that the training may have used.

    Attributes:
        kind: ``gpu``, ``tpu``, …
        name: name to show to a reader, with its number: ``GPU 0``.
        model: its driver's name for the model (``NVIDIA H200``), or None where the driver was not read.
        steps: its work in the traced steps, or None where no step was traced.
        levels: what its driver reported, over time.
    """

    kind: str
    name: str
    model: str | None = None
    steps: DeviceSteps | None = None
    levels: Mapping[DeviceLevel, Gauge] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWindow:
    """Some steps of a loop that TensorFlow's profiler traced.

    The arrays have one entry for each traced step that was kept one by one.

    Attributes:
        run: name of the profile run that holds the trace, beside that of the whole run.
        loop: index of the loop in `Profile.loops`.
        start_ns: when the profiler was on.
        end_ns: when the profiler was asked to stop.
        first_step: ordinal in the loop of the window's first step.
        step_count: steps in the window.
        ordinal: number in the loop of each kept step.
        wait_ns: how long each kept step fetched its batches, by the trace.
    """

    run: str
    loop: int
    start_ns: int
    end_ns: int
    first_step: int
    step_count: int
    ordinal: IntArray
    wait_ns: IntArray


def check_devices(devices: tuple[Device, ...]) -> Iterator[str]:
    """What is missing or out of range in devices, one sentence each; nothing where all is well."""
    for number, device in enumerate(devices):
        name = f"device {number} ({device.name})"
        if device.steps is not None:
            yield from check_columns(name, device.steps)
        for gauge in device.levels.values():
            yield from check_gauge(name, gauge)


def check_windows(windows: tuple[TraceWindow, ...], loops: int) -> Iterator[str]:
    """What is missing or out of range in trace windows, one sentence each.

    Args:
        windows: the windows of a recording.
        loops: how many loops the recording has.
    """
    for number, window in enumerate(windows):
        yield from check_columns(f"window {number}", window)
        if not 0 <= window.loop < loops:
            yield f"window {number}: no loop {window.loop} whose steps it traced"
