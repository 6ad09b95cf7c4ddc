"""What is known of the machine and of the packages on it, without loading any of them."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_PACKAGES = {
    "pipeprof": "pipeprof",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "tf_keras": "tf-keras",
    "jax": "jax",
    "torch": "torch",
    "numpy": "numpy",
}
_CGROUP = Path("/sys/fs/cgroup")


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


def _installed(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def core_count() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0))


def cpu_limit(root: Path = _CGROUP) -> float | None:
    """Cores' worth of CPU time that the container allows, or None without a limit.

    Source: ``cpu.max`` of cgroup v2, ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` of v1.
    """
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)
