"""GPUs sampled through a simulated NVML: the functions and errors of the real package, figures of ours."""

# ruff: noqa: N802 - the names are NVML's

import os
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pipeprof
from pipeprof.analysis.analyse import analyse
from pipeprof.capture.probes.system import gpus
from pipeprof.capture.probes.system.gpus import GpuSampler, visible_devices
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.level_names import MILLION, DeviceLevel
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import find_run
from pipeprof.surfaces.texts.terminal import render_report
from tests.builders import loop
from tests.capture.probes.recorded import events, warnings_of

pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")

SECOND = 1_000_000_000
GB = 10**9
OTHER_PROCESS = 999_999


@dataclass
class Gpu:
    """A GPU as its driver shows it; an error in place of a figure is raised."""

    uuid: str = "GPU-aaaa"
    name: str = "NVIDIA H200"
    busy_percent: Any = 40
    memory: Any = (12 * GB, 141 * GB)
    power_mw: Any = 210_000
    clock_mhz: Any = 1980
    running: Any = ()
    used: Any = ()


@dataclass
class Nvml:
    """In the place of ``pynvml``: only what is asked for is here, so nothing else can be called."""

    gpus: list[Gpu]
    init: Exception | None = None
    calls: list[str] = field(default_factory=list)
    clock_read: threading.Event = field(default_factory=threading.Event)

    NVML_CLOCK_SM = pynvml.NVML_CLOCK_SM
    NVMLError = pynvml.NVMLError
    NVMLError_NotFound = pynvml.NVMLError_NotFound
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_NoPermission = pynvml.NVMLError_NoPermission
    NVMLError_GpuIsLost = pynvml.NVMLError_GpuIsLost
    NVMLError_ResetRequired = pynvml.NVMLError_ResetRequired

    def _answer(self, call: str, figure: Any) -> Any:
        self.calls.append(call)
        if call == "clock":
            self.clock_read.set()
        if isinstance(figure, Exception):
            raise figure
        return figure

    def nvmlInit(self) -> None:
        self._answer("init", self.init)

    def nvmlShutdown(self) -> None:
        self._answer("shutdown", None)

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, gpu: Gpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetName(self, gpu: Gpu) -> str:
        return gpu.name

    def nvmlDeviceGetUtilizationRates(self, gpu: Gpu) -> Any:
        return SimpleNamespace(gpu=self._answer("use", gpu.busy_percent), memory=0)

    def nvmlDeviceGetMemoryInfo(self, gpu: Gpu) -> Any:
        used, total = self._answer("memory", gpu.memory)
        return SimpleNamespace(used=used, total=total, free=total - used)

    def nvmlDeviceGetPowerUsage(self, gpu: Gpu) -> Any:
        return self._answer("power", gpu.power_mw)

    def nvmlDeviceGetClockInfo(self, gpu: Gpu, kind: int) -> Any:
        assert kind == pynvml.NVML_CLOCK_SM
        return self._answer("clock", gpu.clock_mhz)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Gpu) -> Any:
        running = self._answer("running", gpu.running)
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in running]

    def nvmlDeviceGetProcessUtilization(self, gpu: Gpu, since_us: int) -> Any:
        used = self._answer("used", gpu.used)
        return [
            SimpleNamespace(pid=pid, timeStamp=at_us, smUtil=percent)
            for pid, at_us, percent in used
            if at_us > since_us
        ]


@pytest.fixture(autouse=True)
def framework(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FRAMEWORKS", ("os",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_simulated_nvml_has_nothing_that_the_real_one_has_not() -> None:
    names = [name for name in vars(Nvml) if name.lower().startswith("nvml")]
    assert len(names) > 12
    assert [name for name in names if not hasattr(pynvml, name)] == []


def sampler(nvml: Any, driver: Path = Path("/")) -> GpuSampler:
    return GpuSampler(Recorder(None), load=lambda: nvml, driver=driver)


def reported(tried: GpuSampler) -> dict[tuple[str, DeviceLevel], list[int]]:
    """The readings of each level of each device."""
    found: dict[tuple[str, DeviceLevel], list[int]] = {}
    for event in events(tried.recorder, Kind.GAUGE):
        key = event.subject.device, event.subject.level
        found.setdefault(key, []).append(event.value)
    return found


def test_use_memory_power_and_clock_are_read() -> None:
    tried = sampler(Nvml([Gpu()]))
    tried.sample(1 * SECOND)
    assert reported(tried) == {
        ("GPU 0", DeviceLevel.UTILISATION): [400_000],
        ("GPU 0", DeviceLevel.MEMORY): [12 * GB],
        ("GPU 0", DeviceLevel.MEMORY_ROOM): [141 * GB],
        ("GPU 0", DeviceLevel.OWN_MEMORY): [0],
        ("GPU 0", DeviceLevel.POWER): [210_000],
        ("GPU 0", DeviceLevel.SM_CLOCK): [1980],
    }
    (model,) = {event.subject.model for event in events(tried.recorder, Kind.GAUGE)}
    assert model == "NVIDIA H200"


def test_what_the_training_uses_is_distinguished_from_others() -> None:
    own = os.getpid()
    gpu = Gpu(
        running=[(own, 3 * GB), (OTHER_PROCESS, 8 * GB)],
        used=[(own, 1_000_000, 20), (own, 1_500_000, 30), (OTHER_PROCESS, 1_500_000, 60)],
    )
    tried = sampler(Nvml([gpu]))
    tried.sample(1 * SECOND)
    gpu.used = [*gpu.used, (own, 2_500_000, 50)]
    tried.sample(2 * SECOND)
    found = reported(tried)
    assert found["GPU 0", DeviceLevel.OWN_MEMORY] == [3 * GB, 3 * GB]
    assert found["GPU 0", DeviceLevel.OWN_UTILISATION] == [MILLION // 4, MILLION // 2]


@pytest.mark.parametrize(
    "running",
    [
        [(OTHER_PROCESS, 8 * GB)],  # in a container the driver's numbers may mean other processes
        [(os.getpid(), None)],
    ],
)
def test_memory_that_cannot_be_distinguished_is_not_reported(running: Any) -> None:
    tried = sampler(Nvml([Gpu(running=running)]))
    tried.sample(1 * SECOND)
    assert ("GPU 0", DeviceLevel.OWN_MEMORY) not in reported(tried)


def test_what_a_gpu_does_not_support_is_left_out_and_not_asked_for_again() -> None:
    nvml = Nvml([Gpu(power_mw=pynvml.NVMLError_NotSupported(), clock_mhz=1500)])
    tried = sampler(nvml)
    for second in range(1, 4):
        tried.sample(second * SECOND)
    found = reported(tried)
    assert ("GPU 0", DeviceLevel.POWER) not in found
    assert found["GPU 0", DeviceLevel.SM_CLOCK] == [1500] * 3
    assert nvml.calls.count("power") == 1
    assert warnings_of(tried.recorder) == []


def test_a_failure_that_passes_leaves_a_gap() -> None:
    gpu = Gpu(used=pynvml.NVMLError_NotFound())  # no process ran
    tried = sampler(Nvml([gpu]))
    tried.sample(1 * SECOND)
    gpu.used = [(os.getpid(), 5_000_000, 10)]
    tried.sample(2 * SECOND)
    assert reported(tried)["GPU 0", DeviceLevel.OWN_UTILISATION] == [100_000]


@pytest.mark.parametrize("others", [(), [(OTHER_PROCESS, at, 90) for at in range(1_000, 9_000)]])
def test_a_training_that_was_seen_to_use_a_gpu_and_no_longer_is_does_not_use_it(
    others: Any,
) -> None:
    gpu = Gpu(used=others or pynvml.NVMLError_NotFound())
    tried = sampler(Nvml([gpu]))
    tried.sample(0)  # it may have another number to the driver: not known
    gpu.used = [*others, (os.getpid(), 9_000, 80)]
    tried.sample(1 * SECOND)
    gpu.used = others or pynvml.NVMLError_NotFound()
    for tenths in (15, 25, 30, 35):  # at first the driver may just not have looked again
        tried.sample(tenths * SECOND // 10)
    assert reported(tried)["GPU 0", DeviceLevel.OWN_UTILISATION] == [800_000, 0, 0]


def test_a_clock_that_is_set_back_hides_no_use() -> None:
    gpu = Gpu(used=[(os.getpid(), time.time_ns() // 1000 + 3600 * 1_000_000, 10)])  # an hour ahead
    tried = sampler(Nvml([gpu]))
    tried.sample(1 * SECOND)
    gpu.used = [(os.getpid(), time.time_ns() // 1000 + 1_000_000, 50)]
    tried.sample(2 * SECOND)
    assert reported(tried)["GPU 0", DeviceLevel.OWN_UTILISATION] == [100_000, 500_000]


def test_a_gpu_that_is_lost_is_reported_once_and_others_go_on() -> None:
    lost, other = Gpu(), Gpu(uuid="GPU-bbbb")
    nvml = Nvml([lost, other])
    tried = sampler(nvml)
    tried.sample(1 * SECOND)
    lost.busy_percent = pynvml.NVMLError_GpuIsLost()
    for second in range(2, 4):
        tried.sample(second * SECOND)
    found = reported(tried)
    assert len(found["GPU 0", DeviceLevel.MEMORY]) == 1
    assert len(found["GPU 1", DeviceLevel.MEMORY]) == 3
    (warning,) = warnings_of(tried.recorder)
    assert warning.startswith("GPU 0 stopped answering (")


@pytest.mark.parametrize("driver", [True, False])
@pytest.mark.parametrize("installed", [True, False])
def test_without_nvml_there_is_a_remark_only_where_a_driver_is(
    installed: bool, driver: bool, tmp_path: Path
) -> None:
    loads = []

    def load() -> Any:
        loads.append(1)
        if installed:
            return Nvml([], init=pynvml.NVMLError_LibraryNotFound())
        raise ImportError

    folder = tmp_path if driver else tmp_path / "missing"
    tried = GpuSampler(Recorder(None), load=load, driver=folder)
    tried.sample(1 * SECOND)
    tried.sample(2 * SECOND)
    tried.finish(3 * SECOND)
    remedy = "nvidia-smi" if installed else 'pip install "pipeprof[gpu]"'
    assert len(loads) == 1
    assert [remedy in text for text in warnings_of(tried.recorder)] == [True] * driver


def test_nothing_is_asked_before_a_framework_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FRAMEWORKS", ("no such module",))
    nvml = Nvml([Gpu()])
    tried = sampler(nvml)
    tried.sample(1 * SECOND)
    assert nvml.calls == []
    monkeypatch.setattr(gpus, "FRAMEWORKS", ("os",))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    tried.sample(2 * SECOND)
    assert nvml.calls == ["init"]


def test_nvml_is_given_back_once_and_only_by_the_process_that_took_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml = Nvml([Gpu()])
    tried = sampler(nvml)
    tried.sample(1 * SECOND)
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: OTHER_PROCESS)
        sampler(nvml).finish(2 * SECOND)
        tried.finish(2 * SECOND)
    assert "shutdown" not in nvml.calls
    tried.finish(3 * SECOND)
    tried.finish(4 * SECOND)
    assert nvml.calls.count("shutdown") == 1


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("", []),
        ("-1", []),
        ("1,7,0", [1]),
        ("1,1", [1]),
        ("GPU-cc, 0", [2, 0]),
        ("GPU-", []),
        ("MIG-cccc", []),
    ],
)
def test_gpus_are_numbered_as_cuda_shows_them(listed: str | None, chosen: list[int]) -> None:
    assert visible_devices(listed, ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]) == chosen


def test_a_run_shows_what_its_driver_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = os.getpid()
    gpu = Gpu(running=[(own, 3 * GB)], used=[(own, 10**12, 15)])
    nvml = Nvml([gpu])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with pipeprof.profile(logdir=tmp_path) as prof:
        assert nvml.clock_read.wait(30)
    assert nvml.calls[-1] == "shutdown"
    (seen,) = prof.result.devices
    assert (seen.kind, seen.name, seen.model) == ("gpu", "GPU 0", "NVIDIA H200")
    read = read_run(find_run(tmp_path))
    assert read.devices[0].levels.keys() == seen.levels.keys()
    (found,) = analyse(replace(read, loops=(loop(),))).devices
    assert (found.busy_ratio, found.own_busy_ratio) == (0.4, 0.15)
    reported = prof.report(width=200)
    assert "GPU 0 (NVIDIA H200)" not in reported  # no loop ran, so there is no time to speak of
    shown = render_report(analyse(replace(read, loops=(loop(),))), width=400)
    assert (
        "GPU 0 (NVIDIA H200) was busy 40 % of the time, 15 % for this training, as its driver reports; "
        "12.0 GB of its 141 GB in use (3.0 GB by this training), 210 W, 1,980 MHz." in shown
    )
