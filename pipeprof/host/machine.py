"""The machine and the versions of the packages on it, found without loading any package."""

import ctypes
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_PR_SET_PTRACER = 0x59616D61
# Looked up at import: a process that was forked while another thread loaded a library dies if it uses the
# dynamic loader.
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)

_CPUS = Path("/sys/devices/system/cpu")

_PACKAGES = {
    "pipeprof": "pipeprof",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "tf_keras": "tf-keras",
    "jax": "jax",
    "torch": "torch",
    "grain": "grain",
    "numpy": "numpy",
}


def loaded_versions() -> Mapping[str, str]:
    """Versions of Python, of pipeprof and of the frameworks that this process has loaded."""
    versions = {"python": platform.python_version()}
    for module, distribution in _PACKAGES.items():
        loaded = sys.modules.get(module)
        if loaded is None:
            continue
        version = getattr(loaded, "__version__", None) or _installed(distribution)
        if isinstance(version, str):
            versions[module] = version
    return versions


def jax_computes() -> bool:
    """Whether JAX has begun to compute in this process; TensorFlow imports it and leaves it at that."""
    backends = sys.modules.get("jax._src.xla_bridge")
    if backends is None:
        return False
    begun = getattr(
        backends, "backends_are_initialized", None
    )  # not public; JAX is taken to compute without it
    return bool(begun()) if callable(begun) else True


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def core_count() -> int:
    """Processors that this process may run on."""
    if not hasattr(os, "sched_getaffinity"):  # no Linux
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


def physical_core_count(cpus: Path = _CPUS) -> int | None:
    """Cores that these processors are hardware threads of, or None where the system does not show that.

    Args:
        cpus: where the system shows its processors; for tests.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    threads = {
        _text(cpus / f"cpu{number}" / "topology" / "thread_siblings_list")
        for number in os.sched_getaffinity(0)
    }
    return None if "" in threads else len(threads)


def memory_bytes(limit: int | None) -> int | None:
    """Memory that a process may use at most: the machine's, or the container's limit."""
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return limit
    return whole if limit is None else min(limit, whole)


def system() -> str:
    """Name and release of the operating system: ``Linux 6.1.0``."""
    return f"{platform.system()} {platform.release()}"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def allow_ptrace(pid: int) -> None:
    """Permits a process and its children to read this one's memory, where the kernel restricts it (Yama).

    py-spy runs as a child of the process that it reads; Yama permits only a parent to read its child.
    Without Yama this does nothing. Source: Linux's ``Documentation/admin-guide/LSM/Yama.rst``.
    """
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)
