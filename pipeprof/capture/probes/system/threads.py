"""Records the CPU time of every thread and child process, read from ``/proc`` a few times a second."""

import contextlib
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from pipeprof.capture.probes.system import own_processes
from pipeprof.capture.probes.system.processes import (
    NOTHING,
    PROC,
    WORKER,
    Spent,
    children_of,
    describe_process,
    process_spent,
)
from pipeprof.capture.recorder.facts import LaneFacts
from pipeprof.capture.recorder.recorder import (
    Recorder,
    kind_of_library_thread,
    kind_of_thread,
    thread_comm,
)
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.light_dataclasses import dataclass

SAMPLE_HZ = 10.0

# Children are looked for at this interval, or, as every thread may have some, after this many times the
# cost of the last look.
_LOOK_FOR_CHILDREN_NS = 1_000_000_000
CHILDREN_REST = 2000
# After this time all records of an ended child are read, and another child may have its lane's number.
_LANE_REST_NS = 10_000_000_000
# At most this many files are kept open, to read them faster; the training needs descriptors too.
MOST_FILES = 256

# Roles of threads by the beginnings of their system names (cut at 15 characters).
_ROLES = (
    ("tf_data", Role.INPUT),
    ("tf_", Role.TRAINING),
    ("Eigen", Role.TRAINING),
    ("jax", Role.TRAINING),
)


@dataclass(slots=True)
class _Thread:
    """The last reading of a thread of this process."""

    descriptor: int | None
    spent: Spent = NOTHING
    shared_lane: int | None = None


class ThreadSampler:
    """Records how much CPU time each lane used since the last call.

    Threads that record have lanes of their own; other threads share a lane by name (``tf_Compute``).

    Args:
        recorder: where to record.
        workers: returns the ids of the child processes that record.
        proc: where the system shows its processes; for tests.
    """

    def __init__(
        self,
        recorder: Recorder,
        workers: Callable[[], Iterable[int]] = tuple,
        *,
        proc: Path = PROC,
    ) -> None:
        self.recorder = recorder
        self._workers = workers
        self._proc = proc
        self._tasks = f"{proc}/self/task"
        self._threads: dict[int, _Thread] = {}
        self._files = 0
        self._children: dict[int, Spent] = {}
        self._kinds: dict[int, LaneFacts] = {}
        self._lanes: dict[int, tuple[int, LaneFacts]] = {}
        self._free_lanes: deque[tuple[int, int]] = deque()
        self._children_due_ns = 0
        self._process_ns = time.process_time_ns()
        self._last_ns: int | None = None

    def sample(self, now: int) -> None:
        """Records the CPU times since the last call; the first call only reads them."""
        used = self._sample_threads()
        process_ns = time.process_time_ns()
        total = process_ns - self._process_ns
        self._process_ns = process_ns
        recording = frozenset(self._workers())
        for pid, spent in self._sample_children(now, recording).items():
            lane = self._process_lane(pid, WORKER if pid in recording else self._kinds[pid], now)
            used[lane] = _sum(used.get(lane, NOTHING), spent)
            total += spent[0]
        if self._last_ns is not None:
            write = self.recorder.lane().write
            for lane, (cpu_ns, queued_ns) in used.items():
                write(code(Kind.CPU, lane), self._last_ns, now, queued_ns, cpu_ns)
            write(code(Kind.PROCESS_CPU, 0), self._last_ns, now, 0, total)
        self._last_ns = now

    def children(self) -> tuple[int, ...]:
        """Ids of the child processes that were alive at the last call of `sample`."""
        return tuple(self._children)

    def close(self) -> None:
        """Closes the open files."""
        for tid in list(self._threads):
            self._forget(tid)

    # Threads.

    def _sample_threads(self) -> dict[int, Spent]:
        own = {lane.native_id: lane.subject for lane in list(self.recorder.lanes.values())}
        known: dict[int, PythonThread] | None = None
        used: dict[int, Spent] = {}
        alive = set(map(int, os.listdir(self._tasks)))  # noqa: PTH208 - a path a thread is dear
        for tid in self._threads.keys() - alive:
            self._forget(tid)
        for tid in alive:
            thread = self._threads.get(tid) or self._open_thread(tid)
            spent = self._read(tid, thread)
            if spent is None:
                self._forget(tid)  # its number may go to another thread
                continue
            lane = own.get(tid) or thread.shared_lane
            if lane is None:
                known = known or python_threads()
                facts = describe_thread(tid, known.get(tid))
                lane = thread.shared_lane = self.recorder.names.number(facts)
            used[lane] = _sum(used.get(lane, NOTHING), _since(thread.spent, spent))
            thread.spent = spent
        return used

    def _open_thread(self, tid: int) -> _Thread:
        descriptor = None
        if self._files < MOST_FILES:
            with contextlib.suppress(OSError):
                descriptor = self._open(tid)
                self._files += 1
        thread = self._threads[tid] = _Thread(descriptor)
        # A thread that began after the last call has used all its CPU time since then.
        if self._last_ns is None:
            thread.spent = self._read(tid, thread) or NOTHING
        return thread

    def _read(self, tid: int, thread: _Thread) -> Spent | None:
        """CPU time and waiting time of a thread: the first two numbers of its ``schedstat``."""
        try:
            if thread.descriptor is not None:
                return _first_numbers(thread.descriptor)
            descriptor = self._open(tid)
            try:
                return _first_numbers(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, ValueError, IndexError):
            return None

    def _open(self, tid: int) -> int:
        return os.open(f"{self._tasks}/{tid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def _forget(self, tid: int) -> None:
        descriptor = self._threads.pop(tid).descriptor
        if descriptor is not None:
            os.close(descriptor)
            self._files -= 1

    # Child processes.

    def _sample_children(self, now: int, recording: Collection[int]) -> dict[int, Spent]:
        """CPU time and waiting time of each child process since its last reading, or since its start."""
        if now >= self._children_due_ns:
            begun_ns = time.thread_time_ns()
            for pid in {*children_of(os.getpid(), self._proc), *recording}:
                if pid not in self._children and pid not in own_processes.running:
                    spent = process_spent(pid, self._proc) if self._last_ns is None else NOTHING
                    self._children[pid] = spent or NOTHING
            # Described again each time: a process that was just forked may become another program.
            self._kinds = {
                pid: describe_process(pid, self._proc, self._kinds.get(pid, WORKER))
                for pid in self._children
            }
            cost_ns = time.thread_time_ns() - begun_ns
            self._children_due_ns = now + max(_LOOK_FOR_CHILDREN_NS, CHILDREN_REST * cost_ns)
        used = {}
        for pid, before in list(self._children.items()):
            spent = process_spent(pid, self._proc)
            if spent is None:
                del self._children[pid]
                self._give_up_lane(pid, now)
            else:
                self._children[pid] = spent
                used[pid] = _since(before, spent)
        return used

    def _process_lane(self, pid: int, kind: LaneFacts, now: int) -> int:
        """The number of a child's lane, taken over from an ended child where there is one.

        This keeps lanes few: new workers may start at every epoch, and a program may run for every file.
        """
        lane = self._lanes.get(pid)
        if lane is not None and lane[1] == kind:
            return lane[0]
        self._give_up_lane(pid, now)
        names = self.recorder.names
        facts = replace(kind, pid=pid)
        if self._free_lanes and self._free_lanes[0][0] <= now:
            number = self._free_lanes.popleft()[1]
            names.add(number, facts)
        else:
            number = names.new(facts)
        self._lanes[pid] = number, kind
        return number

    def _give_up_lane(self, pid: int, now: int) -> None:
        lane = self._lanes.pop(pid, None)
        if lane is not None:
            self._free_lanes.append((now + _LANE_REST_NS, lane[0]))


def _first_numbers(descriptor: int) -> Spent:
    cpu_ns, queued_ns, *_ = os.pread(descriptor, 64, 0).split()
    return int(cpu_ns), int(queued_ns)


def _sum(one: Spent, other: Spent) -> Spent:
    return one[0] + other[0], one[1] + other[1]


def _since(before: Spent, now: Spent) -> Spent:
    return max(now[0] - before[0], 0), max(now[1] - before[1], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonThread:
    """A thread that Python knows, also when it has ended."""

    name: str
    kind: LaneKind


def python_threads() -> dict[int, PythonThread]:
    """The threads that Python knows now, by the system's number."""
    return {
        thread.native_id or 0: PythonThread(name=thread.name, kind=kind_of_thread(thread))
        for thread in threading.enumerate()
    }


def describe_thread(tid: int, python: PythonThread | None) -> LaneFacts:
    """Facts about a thread of this process that has no lane of its own.

    Threads whose names differ only by a number get equal facts.

    Args:
        tid: the system's number of the thread.
        python: the thread as Python knows it, or None where it does not.
    """
    if tid == os.getpid():
        return LaneFacts(name="main", role=Role.MAIN)
    if python is not None:
        name = re.sub(r"\d+", "N", python.name)
        return LaneFacts(name=name, role=Role.OTHER, kind=python.kind)
    name = thread_comm(tid)
    if name == thread_comm(os.getpid()):
        return LaneFacts(name=name, role=Role.OTHER, kind=LaneKind.NATIVE)
    role = next((role for prefix, role in _ROLES if name.startswith(prefix)), Role.OTHER)
    kind = kind_of_library_thread(name)
    return LaneFacts(name=re.sub(r"\d+", "N", name), role=role, kind=kind)
