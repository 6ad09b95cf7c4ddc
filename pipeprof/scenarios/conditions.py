"""Under what a measurement was made: versions and machine, in one sentence."""

import os
import platform
from importlib.metadata import version

_PACKAGES = ("pipeprof", "tensorflow", "keras", "numpy")


def describe_conditions() -> str:
    """Versions of what matters, and the machine."""
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"{versions}; {machine}, {len(os.sched_getaffinity(0))} cores."
