"""Child processes of the training: which there are, what they are, and what CPU time they used."""

import os
from pathlib import Path

from pipeprof.capture.recorder.facts import LaneFacts
from pipeprof.recording.lane import LaneKind, Role

PROC = Path("/proc")

# A process that does input work.
WORKER = LaneFacts(name="worker process", role=Role.WORKER, kind=LaneKind.WORKER_PROCESS)

# Nanoseconds on a CPU, and nanoseconds ready to run without being given one.
Spent = tuple[int, int]
NOTHING: Spent = (0, 0)

# Of the list of a thread's children: that of thousands.
_MOST_BYTES = 1 << 16

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

# What Python's multiprocessing says on the command lines of processes that it starts anew. The children
# of a fork server have the same as it has: only what they record tells that they work.
_SPAWNED = "from multiprocessing.spawn import"
_HELPERS = {
    "from multiprocessing.resource_tracker import": "resource tracker",
    "from multiprocessing.forkserver import": "fork server",
}


def describe_process(pid: int, proc: Path = PROC, before: LaneFacts = WORKER) -> LaneFacts:
    """A process below this one of which no record is known, without its process id.

    What was forked from this process or spawned by Python's multiprocessing is a worker; a program
    that the user calls is none, nor is what multiprocessing keeps for itself. What has ended is what
    it was ``before``, and else was most likely a worker, since Keras makes them anew at each epoch.
    """
    command = _command(pid, proc)
    for said, name in _HELPERS.items():
        if said in command:
            return LaneFacts(name=name, role=Role.OTHER, kind=LaneKind.PROGRAM)
    if not command:
        return before
    if _SPAWNED in command or command == _command(os.getpid(), proc):
        return WORKER
    try:
        name = (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        name = ""
    return LaneFacts(name=name or "process", role=Role.OTHER, kind=LaneKind.PROGRAM)


def _command(pid: int, proc: Path) -> str:
    try:
        return (
            (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def process_spent(pid: int, proc: Path = PROC) -> Spent | None:
    """CPU time of a process with all its threads, and how long its main thread stood ready.

    None when it is gone.
    """
    folder = proc / str(pid)
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        cpu_ns = (int(fields[11]) + int(fields[12])) * _TICK_NS
    except (OSError, ValueError, IndexError):
        return None
    try:
        queued_ns = int((folder / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        queued_ns = 0  # a kernel that does not count it
    return cpu_ns, queued_ns


def children_of(pid: int, proc: Path = PROC) -> set[int]:
    """All processes below a process, itself left out."""
    found: set[int] = set()
    pending = [pid]
    while pending:
        tasks = f"{proc}/{pending.pop()}/task"
        try:
            tids = os.listdir(tasks)  # noqa: PTH208 - there may be hundreds; paths are dear
        except OSError:
            continue
        for tid in tids:
            children = _children_of_thread(f"{tasks}/{tid}/children")
            pending.extend(children - found)
            found |= children
    return found


def _children_of_thread(path: str) -> set[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return set()
    try:
        return {int(child) for child in os.read(descriptor, _MOST_BYTES).split()}
    except (OSError, ValueError):
        return set()
    finally:
        os.close(descriptor)
