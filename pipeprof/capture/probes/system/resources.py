"""Records the memory, disk and network that the whole training uses, and how busy the CPUs are.

They are read from ``/proc`` about once a second, from a few small files for each process of the training.
Where a file is missing or cannot be read, its level is left out.
"""

import os
import resource
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipeprof.capture.recorder.facts import RunGauge
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.host.cgroups import ControlGroups
from pipeprof.recording.level_names import MILLION, Level

SAMPLE_S = 1.0
PROC = Path("/proc")

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SECOND_NS = 1_000_000_000
# The limit of memory hardly ever changes.
_ROOM_EVERY_NS = 60 * _SECOND_NS
_LOOPBACK = "lo"

# Columns of ``/proc/stat``: user, nice, system, idle, iowait, irq, softirq, steal.
_IDLE = (3, 4)
_KNOWN = 8

# Counters by level; they never decrease.
_Counts = Mapping[Level, int]


class ResourceSampler:
    """Records the levels of `pipeprof.recording.level_names.Level`.

    Args:
        recorder: where to record.
        children: returns the ids of the training's child processes.
        groups: the control groups of this process.
        proc: where the system shows its processes; for tests.
    """

    def __init__(
        self,
        recorder: Recorder,
        children: Callable[[], Iterable[int]] = tuple,
        *,
        groups: ControlGroups | None = None,
        proc: Path = PROC,
    ) -> None:
        self.recorder = recorder
        self._children = children
        self._groups = groups or ControlGroups(proc)
        self._proc = proc
        self._cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        self._codes: dict[Level, int] = {}
        self._counts: dict[int | str, _Counts] = {}
        self._ratio_counts: dict[Level, tuple[int, int]] = {}
        self._last_ns: int | None = None
        self._room_due_ns = 0

    def sample(self, now: int) -> None:
        """Records all levels; rates and ratios from the second call on."""
        pids = {os.getpid(), *self._children()}
        resident = [_resident_bytes(self._proc / str(pid)) for pid in pids]
        self._record_memory_room(now)
        known = [size for size in resident if size is not None]
        if known:
            self._record(Level.MEMORY, sum(known), now)
        self._record_rates(self._count(pids), now)
        self._record_ratio(Level.THROTTLED, self._throttled(), now)
        self._record_ratio(Level.MACHINE_CPU, self._machine_cpu(), now)
        self._last_ns = now

    def _count(self, pids: Iterable[int]) -> dict[int | str, _Counts]:
        """The counters so far, by process; those of network and disk for all processes together.

        When a process has ended and its parent waits for it, its disk counters are added to the parent's.
        """
        counts: dict[int | str, _Counts] = {"network": _network_bytes(self._proc / "self")}
        disk: dict[Level, int] = {}
        for pid in pids:
            own = pid == os.getpid()
            folder = self._proc / ("self" if own else str(pid))
            counts[pid] = own_switches() if own else _switches(folder)
            for level, count in _disk_bytes(folder).items():
                disk[level] = disk.get(level, 0) + count
        return counts | {"disk": disk}

    def _record_rates(self, counts: dict[int | str, _Counts], now: int) -> None:
        """Records the rates since the last call; a new process counts with all that it has counted."""
        before, self._counts = self._counts, counts
        if self._last_ns is None or now <= self._last_ns:
            return
        since: dict[Level, int] = {}
        for key, its in counts.items():
            for level, count in its.items():
                more = max(count - before.get(key, {}).get(level, 0), 0)
                since[level] = since.get(level, 0) + more
        for level, more in since.items():
            self._record(level, more * _SECOND_NS // (now - self._last_ns), now)

    def _record_ratio(self, level: Level, count: tuple[int, int] | None, now: int) -> None:
        """Records a ratio over the time since the last call.

        Args:
            level: which level it is.
            count: two counters; the first counts some of what the second counts.
            now: the time.
        """
        if count is None:
            return
        before = self._ratio_counts.get(level)
        self._ratio_counts[level] = count
        if before is not None and count[1] > before[1]:
            part = max(count[0] - before[0], 0) * MILLION // (count[1] - before[1])
            self._record(level, min(part, MILLION), now)

    def _record(self, level: Level, value: int, now: int) -> None:
        gauge = self._codes.get(level)
        if gauge is None:
            number = self.recorder.names.number(RunGauge(name=level.value))
            gauge = self._codes[level] = code(Kind.GAUGE, number)
        self.recorder.lane().write(gauge, now, now, 0, value)

    def _record_memory_room(self, now: int) -> None:
        if now < self._room_due_ns:
            return
        self._room_due_ns = now + _ROOM_EVERY_NS
        whole = _text(self._proc / "meminfo").partition("MemTotal:")[2].split()[:1]
        if whole:
            machine = int(whole[0]) * 1024
            self._record(
                Level.MEMORY_ROOM, min(self._groups.memory_limit() or machine, machine), now
            )

    def _throttled(self) -> tuple[int, int] | None:
        seen = self._groups.throttling()
        return None if seen is None else (seen.throttled, seen.periods)

    def _machine_cpu(self) -> tuple[int, int] | None:
        """Ticks in use and all ticks so far, of the processors that this process may run on."""
        busy = whole = 0
        for line in _lines(self._proc / "stat"):
            name, *ticks = line.split()
            if name in self._cores and len(ticks) >= _KNOWN:
                all_ticks = [int(tick) for tick in ticks[:_KNOWN]]
                whole += sum(all_ticks)
                busy += sum(all_ticks) - sum(all_ticks[column] for column in _IDLE)
        return (busy, whole) if whole else None


def _resident_bytes(folder: Path) -> int | None:
    fields = _text(folder / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else None


def _disk_bytes(folder: Path) -> _Counts:
    counts = _named_numbers(folder / "io")
    levels = ((Level.DISK_READ, "read_bytes"), (Level.DISK_WRITTEN, "write_bytes"))
    return {level: counts[name] for level, name in levels if name in counts}


def own_switches() -> _Counts:
    """How often the threads of this process gave up their CPU, and how often they had to."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {Level.VOLUNTARY_SWITCHES: used.ru_nvcsw, Level.FORCED_SWITCHES: used.ru_nivcsw}


def _switches(folder: Path) -> _Counts:
    """The context switches of another process's main thread, in which worker processes work."""
    counts = _named_numbers(folder / "status")
    levels = (
        (Level.VOLUNTARY_SWITCHES, "voluntary_ctxt_switches"),
        (Level.FORCED_SWITCHES, "nonvoluntary_ctxt_switches"),
    )
    return {level: counts[name] for level, name in levels if name in counts}


def _network_bytes(folder: Path) -> _Counts:
    received = sent = 0
    lines = _lines(folder / "net" / "dev")[2:]
    for line in lines:
        name, _, counts = line.partition(":")
        fields = counts.split()
        if name.strip() != _LOOPBACK and len(fields) > 8:
            received += int(fields[0])
            sent += int(fields[8])
    return {Level.RECEIVED: received, Level.SENT: sent} if lines else {}


def _named_numbers(path: Path) -> dict[str, int]:
    pairs = (line.partition(":") for line in _lines(path))
    return {name: int(value) for name, _, value in pairs if value.strip().isdecimal()}


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
