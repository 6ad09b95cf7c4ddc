"""Checks what pipeprof can record on this machine, and what to install or change for the rest.

It reads files and the metadata of packages. It imports no framework and changes nothing.
"""

import contextlib
import importlib.metadata
import json
import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from pipeprof.capture.probes.stacks.py_spy import dump
from pipeprof.errors import StacksUnavailable
from pipeprof.host import machine
from pipeprof.host.cgroups import ControlGroups
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.report.numbers import few_digits, size

MIB = 1 << 20

_PYTHONS = ((3, 10), (3, 13))
_LEAST_TENSORFLOW = (2, 18)
_LEAST_XPROF = (2, 20)
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly", "tf-nightly-cpu")
_LEAST_SHM_BYTES = 1024 * MIB
_LEAST_LOG_BYTES = 200 * MIB

_SHARED_MEMORY = Path("/dev/shm")
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_NVIDIA = Path("/proc/driver/nvidia")

Versions = Mapping[str, str]


class State(Enum):
    """The result of a check."""

    GOOD = "good"
    GAP = "gap"  # pipeprof works, but sees or shows less
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """One check with its result.

    Attributes:
        name: what was checked.
        state: the result.
        found: what was found, in words for the user.
        remedy: what the user can do, or None when nothing needs to be done.
    """

    name: str
    state: State
    found: str
    remedy: str | None = None


def examine(logdir: Path) -> tuple[MachineCheck, ...]:
    """Checks everything that pipeprof needs on this machine.

    Args:
        logdir: the folder for runs.
    """
    versions = installed_versions()
    return (
        check_python(platform.system(), sys.version_info[:2]),
        check_cores(machine.core_count(), ControlGroups().cpu_limit()),
        check_shared_memory(_SHARED_MEMORY),
        check_start_method(multiprocessing.get_all_start_methods()[0]),
        check_tensorflow(versions),
        check_keras(versions, keras_backend(os.environ, home_folder())),
        check_tensorboard(versions),
        check_xprof(versions),
        check_fit(versions, needs_of(versions)),
        check_stacks(ask_py_spy(), _read(_PTRACE_SCOPE), os.geteuid()),
        check_gpus(versions, count_gpus(), _NVIDIA),
        check_log_folder(logdir),
    )


def check_python(system: str, version: tuple[int, int]) -> MachineCheck:
    """The system and its Python."""
    found = f"Python {version[0]}.{version[1]} on {system}"
    least, most = (".".join(map(str, each)) for each in _PYTHONS)
    if system != "Linux":
        return _broken("Python", found, "pipeprof records on Linux only")
    if not _PYTHONS[0] <= version <= _PYTHONS[1]:
        return _gap("Python", found, f"pipeprof is tested on Python {least} to {most}")
    return _good("Python", found)


def check_cores(cores: int, limit: float | None) -> MachineCheck:
    """The processors that a training may use."""
    if limit is None or limit >= cores:
        return _good("processors", f"{cores}, no limit below that")
    return _gap(
        "processors",
        f"{cores}, of which this container may use {few_digits(limit)} at a time",
        "set worker counts by the limit; programs that count processors start too many",
    )


def check_shared_memory(folder: Path) -> MachineCheck:
    """The shared memory that worker processes pass batches through."""
    name = "shared memory"
    try:
        size_bytes = shutil.disk_usage(folder).total
    except OSError:
        return _gap(name, f"no {folder}", "mount it: loaders with worker processes need it")
    found = f"{size(size_bytes)} in {folder}"
    if size_bytes < _LEAST_SHM_BYTES:
        return _gap(
            name,
            found,
            "loaders with worker processes may run out of it: docker run --shm-size=2g",
        )
    return _good(name, found)


def check_start_method(method: str) -> MachineCheck:
    """How worker processes start; pipeprof records them in any case."""
    return _good("worker processes", f"started by {method}, and recorded")


def check_tensorflow(versions: Versions) -> MachineCheck:
    """TensorFlow, whichever of its packages is installed."""
    name = next((each for each in _TENSORFLOWS if each in versions), None)
    if name is None:
        return _gap("TensorFlow", "not installed", 'pip install "pipeprof[tensorflow]"')
    found = f"{name} {versions[name]}"
    if _numbers(versions[name]) < _LEAST_TENSORFLOW:
        return _gap("TensorFlow", found, f"pip install '{name}>={_dotted(_LEAST_TENSORFLOW)}'")
    return _good("TensorFlow", found)


def check_keras(versions: Versions, backend: str) -> MachineCheck:
    """Keras, and whether its chosen backend is installed."""
    legacy = f", tf-keras {versions['tf-keras']}" if "tf-keras" in versions else ""
    if "keras" not in versions:
        return _gap("Keras", f"not installed{legacy}", 'pip install "pipeprof[tensorflow]"')
    found = f"keras {versions['keras']} on {backend}{legacy}"
    packages = _TENSORFLOWS if backend == "tensorflow" else (backend,)
    if not any(package in versions for package in packages):
        return _gap("Keras", f"{found}, which is not installed", f"pip install {packages[0]}")
    return _good("Keras", found)


def check_tensorboard(versions: Versions) -> MachineCheck:
    """TensorBoard, and whether it starts with the installed setuptools.

    Up to 2.20 it imports ``pkg_resources``, which setuptools 82 dropped (tensorflow/tensorboard#7064).
    """
    version, tools = versions.get("tensorboard"), versions.get("setuptools")
    if version is None:
        return _broken("TensorBoard", "not installed", "pip install tensorboard")
    if tools and _numbers(tools) >= (82, 0) and _numbers(version) < (2, 21):
        return _broken(
            "TensorBoard",
            f"{version}, which does not start with setuptools {tools}",
            "pip install 'tensorboard>=2.21', or 'setuptools<82'",
        )
    return _good("TensorBoard", version)


def check_xprof(versions: Versions) -> MachineCheck:
    """XProf: the Profile page of TensorBoard."""
    version, former = versions.get("xprof"), versions.get("tensorboard-plugin-profile")
    if version is None:
        instead = f", but its forerunner {former}" if former else ""
        found = f"not installed{instead}: TensorBoard shows scalars and the report only"
        return _gap("XProf", found, 'pip install "pipeprof[xprof]"')
    if _numbers(version) < _LEAST_XPROF:
        return _gap("XProf", version, f"pip install 'xprof>={_dotted(_LEAST_XPROF)}'")
    return _good("XProf", version)


def check_fit(versions: Versions, needs: Mapping[str, Sequence[str]]) -> MachineCheck:
    """Whether the installed versions fit the requirements of TensorFlow, Keras, TensorBoard and XProf.

    Args:
        versions: the installed packages.
        needs: the requirements of each package, as lines of package metadata.
    """
    name = "versions"
    misfits = [
        (package, need, found)
        for package, lines in needs.items()
        for need in _requirements(lines)
        if (found := versions.get(_plain_name(need.name))) is not None
        and (need.marker is None or need.marker.evaluate({"extra": ""}))
        and not need.specifier.contains(found, prereleases=True)
    ]
    former = versions.get("tensorboard-plugin-profile")
    if misfits:
        described = (
            f"{of} {versions[of]} needs {need}, found {found}" for of, need, found in misfits
        )
        return _gap(name, "; ".join(described), f"pip install '{misfits[0][1]}'")
    if "xprof" in versions and former and _numbers(former) < _LEAST_XPROF:
        return _gap(
            name,
            f"xprof beside its forerunner tensorboard-plugin-profile {former}: both are 'Profile'",
            "pip uninstall tensorboard-plugin-profile",
        )
    return _good(name, f"{', '.join(needs) or 'none of them'} fit what is installed")


def check_stacks(refusal: StacksUnavailable | None, scope: str | None, user: int) -> MachineCheck:
    """Whether py-spy can read the stacks of a training that pipeprof runs, and of others (attach).

    Args:
        refusal: why it could not read a child process; None when it could.
        scope: the kernel's rule of which process may read which (Yama), or None without one.
        user: the id of this user, 0 for root.
    """
    name = "stacks"
    if refusal is not None:
        return _gap(
            name, f"py-spy cannot read those of a training: {refusal.reason}", refusal.remedy
        )
    if scope not in (None, "0") and user != 0:
        return _gap(
            name,
            "py-spy can read those of runs (--stacks), not of trainings that run already (attach)",
            "sudo sysctl kernel.yama.ptrace_scope=0",
        )
    return _good(name, "py-spy can read those of running trainings")


def check_gpus(versions: Versions, gpus: int | None, driver: Path) -> MachineCheck:
    """Whether the use of NVIDIA GPUs can be read.

    Args:
        versions: the installed packages.
        gpus: how many GPUs NVML reports; None when NVML does not answer.
        driver: a folder that exists where NVIDIA's driver is loaded.
    """
    if gpus is not None:
        return _good("GPUs", f"{gpus} by NVML")
    if not driver.exists():
        return _good("GPUs", "no NVIDIA driver")
    if "nvidia-ml-py" not in versions:
        return _gap("GPUs", "NVIDIA driver, but no NVML", 'pip install "pipeprof[gpu]"')
    return _gap(
        "GPUs",
        "NVIDIA driver, but NVML does not answer",
        "see what nvidia-smi says; in a container: docker run --gpus all",
    )


def check_log_folder(folder: Path) -> MachineCheck:
    """Whether runs can be written to a folder."""
    name, remedy = "log folder", "choose another one with --logdir"
    nearest = folder.absolute()
    try:
        while not nearest.exists():
            nearest = nearest.parent
    except OSError as error:  # the path may not be read
        return _broken(name, f"{folder} cannot be written ({error.strerror})", remedy)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return _broken(name, f"{folder} cannot be written", remedy)
    free_bytes = shutil.disk_usage(nearest).free
    found = f"{folder} can be written, {size(free_bytes)} free"
    return _gap(name, found, remedy) if free_bytes < _LEAST_LOG_BYTES else _good(name, found)


def _good(name: str, found: str) -> MachineCheck:
    return MachineCheck(name=name, state=State.GOOD, found=found)


def _gap(name: str, found: str, remedy: str) -> MachineCheck:
    return MachineCheck(name=name, state=State.GAP, found=found, remedy=remedy)


def _broken(name: str, found: str, remedy: str) -> MachineCheck:
    return MachineCheck(name=name, state=State.BROKEN, found=found, remedy=remedy)


# Reading the machine


def installed_versions() -> Versions:
    """The versions of all installed packages, by name in lower case with dashes."""
    return {
        _plain_name(about["Name"]): about["Version"]
        for about in (package.metadata for package in importlib.metadata.distributions())
        if "Name" in about and "Version" in about
    }


def _plain_name(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _requirements(lines: Sequence[str]) -> Iterator[Requirement]:
    """The requirements in package metadata; lines that are not valid are skipped."""
    for line in lines:
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(line)


def home_folder() -> Path:
    """The home folder as Keras finds it; it need not exist, as in a container without that user."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - pathlib refuses


def keras_backend(environment: Mapping[str, str], home: Path) -> str:
    """The backend that Keras will use: from the environment, its configuration file, or its default."""
    chosen = environment.get("KERAS_BACKEND")
    if not chosen:
        folder = Path(environment.get("KERAS_HOME") or home / ".keras")
        try:
            chosen = json.loads((folder / "keras.json").read_text()).get("backend")
        except (OSError, ValueError, AttributeError):
            chosen = None
    return chosen if isinstance(chosen, str) and chosen else "tensorflow"


def needs_of(versions: Versions) -> Mapping[str, Sequence[str]]:
    """The requirements of the installed packages whose versions must fit each other."""
    packages = (*_TENSORFLOWS, "keras", "tf-keras", "tensorboard", "xprof")
    return {
        package: importlib.metadata.requires(package) or ()
        for package in packages
        if package in versions
    }


def ask_py_spy() -> StacksUnavailable | None:
    """Lets py-spy read the stacks of a child process; returns why it failed, or None when it worked."""
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            dump(child.pid)
        except StacksUnavailable as error:
            return error
        finally:
            child.kill()
    return None


def count_gpus() -> int | None:
    """How many GPUs NVML reports; None when NVML does not answer."""
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # NVML's own errors derive from nothing narrower, and pynvml may be missing
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
