"""Reads the levels of GPUs from NVIDIA's driver (NVML): utilisation, memory, power and clock.

The collector's thread reads them about twice a second. NVML starts no CUDA and changes nothing. A level
that a GPU or its driver does not support is left out.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeprof.capture.recorder.facts import DeviceGauge
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.recording.level_names import MILLION, DeviceLevel
from pipeprof.recording.light_dataclasses import dataclass

# The driver itself averages over a sixth of a second to a second, depending on the GPU.
SAMPLE_S = 0.5

DRIVER = Path("/proc/driver/nvidia")
FRAMEWORKS = ("tensorflow", "jax", "torch")
_US_PER_S = 1_000_000
# The driver records now and then which processes used a GPU. A process without a record for this long has
# not used it.
_IDLE_AFTER_NS = 2_000_000_000


def visible_devices(listed: str | None, uuids: Sequence[str]) -> list[int]:
    """The GPUs that CUDA shows to this process, in CUDA's order: the first is the training's ``GPU 0``.

    Args:
        listed: ``CUDA_VISIBLE_DEVICES``, or None where it is not set: numbers or beginnings of UUIDs; from
            the first entry that is neither, all are ignored.
        uuids: UUIDs of all GPUs in the order of their bus, which is taken for CUDA's order too.

    Returns:
        Indices in ``uuids``.
    """
    if listed is None:
        return list(range(len(uuids)))
    chosen: list[int] = []
    for entry in map(str.strip, listed.split(",")):
        if entry.isdecimal():
            matches = [int(entry)] if int(entry) < len(uuids) else []
        else:
            matches = [n for n, uuid in enumerate(uuids) if entry and uuid.startswith(entry)]
        if len(matches) != 1 or matches[0] in chosen:
            break
        chosen += matches
    return chosen


@dataclass(slots=True)
class _Gpu:
    """A GPU that the training can see.

    Attributes:
        asked_us: until when the records of its processes were read.
        used_ns: when the training was last seen to use it.
    """

    name: str
    model: str
    handle: Any
    asked_us: int = 0
    used_ns: int | None = None
    lost: bool = False


class GpuSampler:
    """Records the levels of `pipeprof.recording.level_names.DeviceLevel`.

    Args:
        recorder: where to record.
        children: returns the ids of the training's child processes.
        load: returns the module ``pynvml``; for tests.
        driver: a folder that exists where NVIDIA's driver is loaded; for tests.
    """

    def __init__(
        self,
        recorder: Recorder,
        children: Callable[[], Iterable[int]] = tuple,
        *,
        load: Callable[[], Any] | None = None,
        driver: Path = DRIVER,
    ) -> None:
        self.recorder = recorder
        self._children = children
        self._load = load or _import_nvml
        self._driver = driver
        self._nvml: Any = None
        self._gpus: list[_Gpu] = []
        self._pid = os.getpid()
        self._given_up = False
        self._codes: dict[tuple[str, DeviceLevel], int] = {}
        self._unsupported: set[tuple[str, DeviceLevel]] = set()

    def sample(self, now: int) -> None:
        """Records all levels. NVML is turned on when a framework has been imported."""
        if self._given_up or not any(name in sys.modules for name in FRAMEWORKS):
            return  # a script may still choose its devices
        if self._nvml is None and not self._turn_on():
            return
        pids = {self._pid, *self._children()}
        for gpu in self._gpus:
            if not gpu.lost:
                self._sample(gpu, pids, now)

    def finish(self, now: int) -> None:
        """Turns NVML off."""
        self._given_up = True
        if self._nvml is not None and os.getpid() == self._pid:
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
            self._nvml = None

    def _turn_on(self) -> bool:
        """Turns NVML on; returns whether it answers. Warns only where NVIDIA's driver is loaded."""
        try:
            nvml = self._load()
        except ImportError:
            self._give_up("NVML is not installed", 'pip install "pipeprof[gpu]"')
            return False
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self._give_up(f"NVML does not answer: {error}", "see what nvidia-smi says")
            return False
        self._nvml = nvml
        try:
            self._gpus = list(self._find_gpus(nvml))
        except nvml.NVMLError as error:
            self.finish(0)
            self._give_up(f"NVML does not answer: {error}", "see what nvidia-smi says")
            return False
        return True

    def _give_up(self, reason: str, remedy: str) -> None:
        self._given_up = True
        if self._driver.exists():
            self.recorder.warn(
                f"The use of the GPUs could not be read ({reason}); what to do: {remedy}."
            )

    def _find_gpus(self, nvml: Any) -> Iterator[_Gpu]:
        handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
        uuids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        visible = visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES"), uuids)
        for number, index in enumerate(visible):
            model = _text(nvml.nvmlDeviceGetName(handles[index]))
            yield _Gpu(f"GPU {number}", model, handles[index])

    # Reading one GPU.

    def _sample(self, gpu: _Gpu, pids: set[int], now: int) -> None:
        nvml, handle = self._nvml, gpu.handle
        self._ask(gpu, now, lambda: _use(nvml, handle), DeviceLevel.UTILISATION)
        self._ask(
            gpu, now, lambda: _memory(nvml, handle), DeviceLevel.MEMORY, DeviceLevel.MEMORY_ROOM
        )
        self._ask(gpu, now, lambda: _own_memory(nvml, handle, pids), DeviceLevel.OWN_MEMORY)
        self._ask(gpu, now, lambda: _own_use(nvml, gpu, pids, now), DeviceLevel.OWN_UTILISATION)
        self._ask(gpu, now, lambda: _power(nvml, handle), DeviceLevel.POWER)
        self._ask(gpu, now, lambda: _clock(nvml, handle), DeviceLevel.SM_CLOCK)

    def _ask(
        self,
        gpu: _Gpu,
        now: int,
        read: Callable[[], Mapping[DeviceLevel, int]],
        *levels: DeviceLevel,
    ) -> None:
        """Records the levels that ``read`` returns; if they are not supported, never reads them again."""
        nvml = self._nvml
        if gpu.lost or (gpu.name, levels[0]) in self._unsupported:
            return
        try:
            found = read()
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_NoPermission):
            self._unsupported.add((gpu.name, levels[0]))
        except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_ResetRequired) as error:
            gpu.lost = True
            self.recorder.warn(
                f"{gpu.name} stopped answering ({error}): later figures are missing."
            )
        except nvml.NVMLError:
            pass  # no value this time, for example because no process ran
        else:
            for level, value in found.items():
                self._record(gpu, level, value, now)

    def _record(self, gpu: _Gpu, level: DeviceLevel, value: int, now: int) -> None:
        gauge = self._codes.get((gpu.name, level))
        if gauge is None:
            facts = DeviceGauge(level=level, device=gpu.name, kind="gpu", model=gpu.model)
            number = self.recorder.names.number(facts)
            gauge = self._codes[gpu.name, level] = code(Kind.GAUGE, number)
        self.recorder.lane().write(gauge, now, now, 0, value)


def _use(nvml: Any, handle: Any) -> Mapping[DeviceLevel, int]:
    percent = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    return {DeviceLevel.UTILISATION: percent * MILLION // 100}


def _memory(nvml: Any, handle: Any) -> Mapping[DeviceLevel, int]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {DeviceLevel.MEMORY: int(memory.used), DeviceLevel.MEMORY_ROOM: int(memory.total)}


def _own_memory(nvml: Any, handle: Any, pids: set[int]) -> Mapping[DeviceLevel, int]:
    """The memory of the training's processes; empty where the driver's process ids differ (containers)."""
    running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    own = [process.usedGpuMemory for process in running if process.pid in pids]
    if None in own or (running and not own):
        return {}
    return {DeviceLevel.OWN_MEMORY: sum(own)}


def _own_use(nvml: Any, gpu: _Gpu, pids: set[int], now: int) -> Mapping[DeviceLevel, int]:
    """The utilisation by the training's processes, from the driver's records since the last reading."""
    samples: Sequence[Any] = ()
    # The driver uses the time of day, which may have been set back since.
    asked_us = min(gpu.asked_us, time.time_ns() // 1000)
    with suppress(nvml.NVMLError_NotFound):  # no process used it
        samples = nvml.nvmlDeviceGetProcessUtilization(gpu.handle, asked_us)
    latest_us = max((sample.timeStamp for sample in samples), default=asked_us)
    # Older records may be of processes that have ended.
    fresh = [sample for sample in samples if sample.timeStamp > latest_us - _US_PER_S]
    gpu.asked_us = latest_us
    own = [sample for sample in fresh if sample.pid in pids]
    if not own:
        idle = gpu.used_ns is not None and now - gpu.used_ns >= _IDLE_AFTER_NS
        return {DeviceLevel.OWN_UTILISATION: 0} if idle else {}
    gpu.used_ns = now
    each: dict[int, list[int]] = {}
    for sample in own:
        each.setdefault(sample.pid, []).append(int(sample.smUtil))
    percent = sum(sum(parts) / len(parts) for parts in each.values())
    return {DeviceLevel.OWN_UTILISATION: round(min(percent, 100.0) * MILLION / 100)}


def _power(nvml: Any, handle: Any) -> Mapping[DeviceLevel, int]:
    return {DeviceLevel.POWER: int(nvml.nvmlDeviceGetPowerUsage(handle))}


def _clock(nvml: Any, handle: Any) -> Mapping[DeviceLevel, int]:
    return {DeviceLevel.SM_CLOCK: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))}


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _import_nvml() -> Any:
    import pynvml

    return pynvml
