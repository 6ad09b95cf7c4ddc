"""The control groups of this process: how much CPU and memory its container allows.

Any group around the process may have a limit; the smallest counts. Source: Linux's
``cgroups(7)``, "Control Group v2" and "CFS bandwidth control" of the kernel's documentation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

# cgroup v1 writes 'no limit' as the largest multiple of a page in 64 bits; no machine has so much.
_NO_MEMORY_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """How often the limit on CPU stopped a group since the group was made.

    Attributes:
        periods: scheduling periods in which the group had work.
        throttled: scheduling periods in which the group was stopped until the next one.
    """

    periods: int
    throttled: int


class ControlGroups:
    """The control groups that may limit this process, innermost first.

    Args:
        proc: where the system shows its processes; for tests.
    """

    def __init__(self, proc: Path = PROC) -> None:
        self._cpu = tuple(_groups(proc, "cpu"))
        self._memory = tuple(_groups(proc, "memory"))

    def cpu_limit(self) -> float | None:
        """Cores' worth of CPU time that the container allows, or None without a limit."""
        return min((limit for limit, _ in self._cpu_limits()), default=None)

    def memory_limit(self) -> int | None:
        """Bytes of memory that the container allows, or None without a limit."""
        limits = [_memory_limit(group) for group in self._memory]
        return min((limit for limit in limits if limit is not None), default=None)

    def memory_left(self) -> int | None:
        """Bytes of memory that the container still gives, or None without a limit.

        Files that the kernel keeps in memory and has not used of late make room, and count as left.
        """
        return min((left for group in self._memory for left in _memory_left(group)), default=None)

    def throttling(self) -> Throttling | None:
        """How often the smallest limit on CPU applied so far, or None without a limit."""
        tightest = min(self._cpu_limits(), default=None)
        counts = _counts(tightest[1] / "cpu.stat") if tightest is not None else {}
        if "nr_periods" not in counts or "nr_throttled" not in counts:
            return None
        return Throttling(periods=counts["nr_periods"], throttled=counts["nr_throttled"])

    def _cpu_limits(self) -> Iterator[tuple[float, Path]]:
        for group in self._cpu:
            limit = _cpu_limit(group)
            if limit is not None:
                yield limit, group


def _groups(proc: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups with a controller, from the innermost to the mounted one."""
    for mounted, root, version in _mounts(proc, controller):
        own = _own_path(proc, controller if version == 1 else "")
        if own is None:
            continue
        # Inside a container the root of the mount may be the container's own group.
        inside = own[len(root) :] if root != "/" and own.startswith(root) else own
        group = mounted / inside.strip("/")
        if not group.is_dir():
            group = mounted
        yield group
        while group != mounted:
            group = group.parent
            yield group


def _mounts(proc: Path, controller: str) -> Iterator[tuple[Path, str, int]]:
    """Mount point, root and version of each hierarchy that may have a controller."""
    for line in _lines(proc / "self" / "mountinfo"):
        before, _, after = line.partition(" - ")
        fields, options = before.split(), after.split()
        if len(fields) < 5 or len(options) < 3:
            continue
        root, mounted = fields[3], Path(fields[4])
        if options[0] == "cgroup2":
            yield mounted, root, 2
        elif options[0] == "cgroup" and controller in options[2].split(","):
            yield mounted, root, 1


def _own_path(proc: Path, controller: str) -> str | None:
    """The path of this process's group in the hierarchy of a controller ('' for version 2), or None."""
    for line in _lines(proc / "self" / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return path
    return None


def _cpu_limit(group: Path) -> float | None:
    quota, _, period = _text(group / "cpu.max").partition(" ")
    if not quota:
        quota = _text(group / "cpu.cfs_quota_us")
        period = _text(group / "cpu.cfs_period_us")
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0 or int(quota) == 0:
        return None
    return int(quota) / int(period)


def _memory_limit(group: Path) -> int | None:
    limit = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes")
    return int(limit) if limit.isdecimal() and int(limit) < _NO_MEMORY_LIMIT else None


def _memory_left(group: Path) -> Iterator[int]:
    limit = _memory_limit(group)
    used = _text(group / "memory.current") or _text(group / "memory.usage_in_bytes")
    if limit is not None and used.isdecimal():
        counts = _counts(group / "memory.stat")
        files = counts.get("total_inactive_file", counts.get("inactive_file", 0))
        yield max(limit - max(int(used) - files, 0), 0)


def _counts(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
