"""What the whole training uses of its machine: memory, disk, network, and how crowded its CPUs are.

Read from ``/proc`` about once a second, a handful of small files for every process of the training.
A file that is not there, or may not be read, leaves its level out.
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
# What the training may use of memory hardly ever changes.
_ROOM_EVERY_NS = 60 * _SECOND_NS
_LOOPBACK = "lo"

# Columns of ``/proc/stat``: user, nice, system, idle, iowait, irq, softirq, steal.
_IDLE = (3, 4)
_KNOWN = 8

# Counts that only ever grow, of one thing each.
_Counts = Mapping[Level, int]


class ResourceSampler:
    """Records the levels of `pipeprof.recording.level_names.Level`.

    Args:
        recorder: where to record.
        children: gives the process ids of the training's child processes.
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
        self._parts: dict[Level, tuple[int, int]] = {}
        self._last_ns: int | None = None
        self._room_due_ns = 0

    def sample(self, now: int) -> None:
        """Takes one look; rates and parts are told from the second on."""
        pids = {os.getpid(), *self._children()}
        resident = [_resident_bytes(self._proc / str(pid)) for pid in pids]
        self._tell_memory_room(now)
        known = [size for size in resident if size is not None]
        if known:
            self._tell(Level.MEMORY, sum(known), now)
        self._tell_rates(self._count(pids), now)
        self._tell_part(Level.THROTTLED, self._throttled(), now)
        self._tell_part(Level.MACHINE_CPU, self._machine_cpu(), now)
        self._last_ns = now

    def _count(self, pids: Iterable[int]) -> dict[int | str, _Counts]:
        """What was counted so far, by process; network and disk count for all of them.

        What a process has read and written passes to its parent when that learns of its end.
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

    def _tell_rates(self, counts: dict[int | str, _Counts], now: int) -> None:
        """Sums what each process counted since the last look; a new one has counted all its own."""
        before, self._counts = self._counts, counts
        if self._last_ns is None or now <= self._last_ns:
            return
        since: dict[Level, int] = {}
        for key, its in counts.items():
            for level, count in its.items():
                more = max(count - before.get(key, {}).get(level, 0), 0)
                since[level] = since.get(level, 0) + more
        for level, more in since.items():
            self._tell(level, more * _SECOND_NS // (now - self._last_ns), now)

    def _tell_part(self, level: Level, count: tuple[int, int] | None, now: int) -> None:
        """Records the part that grew: of two counts, the first is of those of the second."""
        if count is None:
            return
        before = self._parts.get(level)
        self._parts[level] = count
        if before is not None and count[1] > before[1]:
            part = max(count[0] - before[0], 0) * MILLION // (count[1] - before[1])
            self._tell(level, min(part, MILLION), now)

    def _tell(self, level: Level, value: int, now: int) -> None:
        gauge = self._codes.get(level)
        if gauge is None:
            number = self.recorder.names.number(RunGauge(name=level.value))
            gauge = self._codes[level] = code(Kind.GAUGE, number)
        self.recorder.lane().write(gauge, now, now, 0, value)

    def _tell_memory_room(self, now: int) -> None:
        if now < self._room_due_ns:
            return
        self._room_due_ns = now + _ROOM_EVERY_NS
        whole = _text(self._proc / "meminfo").partition("MemTotal:")[2].split()[:1]
        if whole:
            machine = int(whole[0]) * 1024
            self._tell(Level.MEMORY_ROOM, min(self._groups.memory_limit() or machine, machine), now)

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
    """How often this process gave its CPU away, and how often it was taken from it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {Level.VOLUNTARY_SWITCHES: used.ru_nvcsw, Level.FORCED_SWITCHES: used.ru_nivcsw}


def _switches(folder: Path) -> _Counts:
    """Those of another process: its main thread's, which is where worker processes work."""
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
