"""Observes a running training from outside: its processes, the CPU time of threads, Python stacks.

The training needs no preparation and is not halted.
"""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeprof.attach.observation import Observation, ObservedProcess, ObservedThread
from pipeprof.capture.probes.python.source_lines import line_text
from pipeprof.capture.probes.stacks.py_spy import Recording, dump
from pipeprof.capture.probes.system.processes import NOTHING, Spent, children_of
from pipeprof.errors import StacksUnavailable
from pipeprof.host.machine import core_count
from pipeprof.recording.python_stacks import SampledStack

_PROC = Path("/proc")
_MOST_COMMAND = 200
_LOOK_S = 0.2
_NS = 1_000_000_000


def observe(pid: int, seconds: int) -> Observation:
    """Observes a process and its children for some seconds.

    Args:
        pid: the process.
        seconds: how long to observe it.

    Raises:
        StacksUnavailable: there is no such process, it runs no Python, or the system refuses access.
    """
    dump(pid)  # raises at once if anything is wrong
    every = Recording(pid, seconds=seconds, subprocesses=True)
    try:
        holding = Recording(pid, seconds=seconds, subprocesses=True, gil=True)
    except StacksUnavailable:
        every.close()
        raise
    try:
        begun_ns, tree = time.perf_counter_ns(), _Tree(pid)
        while not every.done and time.perf_counter_ns() - begun_ns < seconds * _NS:
            time.sleep(_LOOK_S)
            tree.look()
        lasted_ns = time.perf_counter_ns() - begun_ns
        stacks, holders = every.collect(), holding.collect()
    finally:
        every.close()
        holding.close()
    threads = tree.threads()
    return Observation(
        pid=pid,
        cores=core_count(),
        duration_ns=lasted_ns,
        processes=tuple(
            ObservedProcess(
                pid=each,
                command=command,
                cpu_ns=sum(thread.cpu_ns for thread in threads if thread.pid == each),
            )
            for each, command in tree.commands.items()
        ),
        threads=threads,
        stacks=stacks,
        holders=holders,
        texts=_texts(stacks),
    )


class _Tree:
    """A process and all processes below it, read again and again, as Keras starts new workers each epoch.

    Attributes:
        commands: the command line of each process that was seen.
    """

    def __init__(self, pid: int) -> None:
        self.commands: dict[int, str] = {}
        self._pid = pid
        self._looks = 0
        self._names: dict[tuple[int, int], str] = {}
        self._spent: dict[tuple[int, int], Spent] = {}
        self._before: dict[tuple[int, int], Spent] = {}
        self._seen: Counter[tuple[int, int]] = Counter()
        self.look()

    def look(self) -> None:
        """Reads all threads and adds their CPU time since the last call."""
        self._looks += 1
        for pid in [self._pid, *sorted(children_of(self._pid))]:
            for tid, name, spent in _threads_of(pid):
                key = pid, tid
                if key not in self._names:
                    self._names[key] = name
                    # A new thread used all its CPU time since the last call; the first call only reads.
                    self._before[key] = spent if self._looks == 1 else NOTHING
                self._spent[key] = spent
                self._seen[key] += 1
                if pid not in self.commands:
                    self.commands[pid] = _command(pid)

    def threads(self) -> tuple[ObservedThread, ...]:
        """All threads that were seen."""
        return tuple(
            ObservedThread(
                pid=key[0],
                tid=key[1],
                name=name,
                cpu_ns=max(self._spent[key][0] - self._before[key][0], 0),
                queued_ns=max(self._spent[key][1] - self._before[key][1], 0),
                lived_ratio=self._seen[key] / self._looks,
            )
            for key, name in sorted(self._names.items())
        )


def _threads_of(pid: int) -> Iterator[tuple[int, str, Spent]]:
    """Number, name and CPU time of each thread of a process; nothing if the process has ended."""
    tids: list[str] = []
    with contextlib.suppress(OSError):
        tids = os.listdir(_PROC / str(pid) / "task")  # noqa: PTH208 - names, not paths
    for tid in tids:
        folder = _PROC / str(pid) / "task" / tid
        with contextlib.suppress(OSError, ValueError):
            name = (folder / "comm").read_text(errors="replace").strip()
            cpu_ns, queued_ns, *_ = map(int, (folder / "schedstat").read_text().split())
            yield int(tid), name, (cpu_ns, queued_ns)


def _command(pid: int) -> str:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()[:_MOST_COMMAND]


def _texts(stacks: tuple[SampledStack, ...]) -> dict[tuple[str, int], str]:
    lines = {
        (frame.file, frame.line) for stack in stacks for frame in stack.frames if frame.is_users
    }
    return {(file, line): line_text(file, line) for file, line in lines}
