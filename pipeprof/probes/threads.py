"""CPU time of every thread and child process, by role, read from ``/proc`` a few times a second."""

import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeprof.recorder import WORKER_PROCESS, Recorder, thread_comm
from pipeprof.recording import Role
from pipeprof.records import Kind, code

SAMPLE_HZ = 10.0
_LOOK_FOR_CHILDREN_NS = 1_000_000_000
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

# What the system's names of TensorFlow's threads say of them (cut at 15 characters).
_ROLES = (
    ("tf_data", Role.INPUT),
    ("tf_", Role.TRAINING),
    ("Eigen", Role.TRAINING),
    ("jax", Role.TRAINING),
)


class ThreadSampler:
    """Records how much CPU each lane used since the last look.

    Threads that record have lanes of their own; others share one by name (``tf_Compute``).

    Args:
        recorder: where to record.
        workers: gives the process ids of child processes that are known to record.
    """

    def __init__(self, recorder: Recorder, workers: Callable[[], set[int]] = set) -> None:
        self._recorder = recorder
        self._workers = workers
        self._files: dict[int, int] = {}
        self._threads: dict[int, int] = {}
        self._children: dict[int, int] = {}
        self._names: dict[int, int] = {}
        self._look_at_ns = 0
        self._process_ns = time.process_time_ns()
        self._last_ns: int | None = None

    def sample(self, now: int) -> None:
        """Takes one look; the first only notes where everything stands."""
        used = self._sample_threads()
        process_ns = time.process_time_ns()
        total = process_ns - self._process_ns
        self._process_ns = process_ns
        for pid, spent_ns in self._sample_children(now).items():
            facts = {"type": "lane", "pid": pid, "name": WORKER_PROCESS, "role": Role.WORKER.value}
            lane = self._recorder.names.number(facts)
            used[lane] = used.get(lane, 0) + spent_ns
            total += spent_ns
        if self._last_ns is not None:
            write = self._recorder.lane().write
            for lane, spent_ns in used.items():
                write(code(Kind.CPU, lane), self._last_ns, now, 0, spent_ns)
            write(code(Kind.PROCESS_CPU, 0), self._last_ns, now, 0, total)
        self._last_ns = now

    def close(self) -> None:
        """Gives the open files back."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _sample_threads(self) -> dict[int, int]:
        own = {lane.native_id: lane.subject for lane in list(self._recorder.lanes.values())}
        used: dict[int, int] = {}
        alive = [int(path.name) for path in Path("/proc/self/task").iterdir()]
        for tid in alive:
            spent_ns = self._thread_ns(tid)
            if spent_ns is None:
                continue
            # A thread born since the first look has used all its time since then.
            before = self._threads.get(tid, 0 if self._last_ns is not None else spent_ns)
            self._threads[tid] = spent_ns
            lane = own.get(tid) or self._shared_lane(tid)
            used[lane] = used.get(lane, 0) + spent_ns - before
        for tid in self._threads.keys() - set(alive):
            del self._threads[tid]
            self._names.pop(tid, None)
            descriptor = self._files.pop(tid, None)
            if descriptor is not None:
                os.close(descriptor)
        return used

    def _thread_ns(self, tid: int) -> int | None:
        """CPU time of a thread: the first figure of its ``schedstat``."""
        try:
            descriptor = self._files.get(tid)
            if descriptor is None:
                path = f"/proc/self/task/{tid}/schedstat"
                descriptor = self._files[tid] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return int(os.pread(descriptor, 64, 0).split(maxsplit=1)[0])
        except (OSError, ValueError, IndexError):
            return None

    def _shared_lane(self, tid: int) -> int:
        lane = self._names.get(tid)
        if lane is None:
            name, role = _describe(tid)
            facts = {"type": "lane", "name": name, "role": role.value}
            lane = self._names[tid] = self._recorder.names.number(facts)
        return lane

    def _sample_children(self, now: int) -> dict[int, int]:
        if now >= self._look_at_ns:
            self._look_at_ns = now + _LOOK_FOR_CHILDREN_NS
            for pid in children_of(os.getpid()) | self._workers():
                self._children.setdefault(pid, -1)
        used = {}
        for pid, before in list(self._children.items()):
            spent_ns = process_ns(pid)
            if spent_ns is None:
                del self._children[pid]
                continue
            if before < 0:
                before = 0 if self._last_ns is not None else spent_ns
            self._children[pid] = spent_ns
            used[pid] = spent_ns - before
        return used


def _describe(tid: int) -> tuple[str, Role]:
    if tid == os.getpid():
        return "main", Role.MAIN
    for thread in threading.enumerate():
        if thread.native_id == tid:
            return re.sub(r"\d+", "N", thread.name), Role.OTHER
    name = thread_comm(tid)
    role = next((role for prefix, role in _ROLES if name.startswith(prefix)), Role.OTHER)
    return re.sub(r"\d+", "N", name), role


def process_ns(pid: int) -> int | None:
    """CPU time of a process with all its threads, in nanoseconds, or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_NS
    except (OSError, ValueError, IndexError):
        return None


def children_of(pid: int) -> set[int]:
    """All processes below a process, itself left out."""
    found: set[int] = set()
    pending = [pid]
    while pending:
        for path in Path(f"/proc/{pending.pop()}/task").glob("*/children"):
            try:
                children = {int(child) for child in path.read_text().split()}
            except (OSError, ValueError):
                continue
            pending.extend(children - found)
            found |= children
    return found
