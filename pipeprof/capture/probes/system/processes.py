"""Child processes of the training: their ids, what they are, and the CPU time that they used."""

import os
from pathlib import Path

from pipeprof.capture.recorder.facts import LaneFacts
from pipeprof.recording.lane import LaneKind, Role

PROC = Path("/proc")

# A process that does input work.
WORKER = LaneFacts(name="worker process", role=Role.WORKER, kind=LaneKind.WORKER_PROCESS)

# Nanoseconds on a CPU, and nanoseconds ready to run while no CPU was free.
Spent = tuple[int, int]
NOTHING: Spent = (0, 0)

# Read at most this much of the list of a thread's children: thousands of ids.
_MOST_BYTES = 1 << 16

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

# Text in the command lines of processes that Python's multiprocessing starts. The children of a fork
# server have its command line: they are known as workers only when they record.
_SPAWNED = "from multiprocessing.spawn import"
_HELPERS = {
    "from multiprocessing.resource_tracker import": "resource tracker",
    "from multiprocessing.forkserver import": "fork server",
}


# Names of child processes that work for the input without recording anything, by their ids.
input_programs: dict[int, str] = {}


def describe_process(pid: int, proc: Path = PROC, before: LaneFacts = WORKER) -> LaneFacts:
    """Facts about a child process that has recorded nothing, without its process id.

    A process that was forked from this one or spawned by Python's multiprocessing is a worker. A program
    that the user calls and multiprocessing's own processes are not.

    Args:
        pid: the process.
        proc: where the system shows its processes; for tests.
        before: earlier facts about the process, the result if it has ended. Most likely an ended process
            was a worker, because Keras starts new ones at each epoch.
    """
    if pid in input_programs:
        return LaneFacts(name=input_programs[pid], role=Role.INPUT, kind=LaneKind.PROGRAM)
    command = _command(pid, proc)
    for text, name in _HELPERS.items():
        if text in command:
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
    """CPU time of all threads of a process, and how long its main thread was ready to run without a CPU.

    None when the process has ended.
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
    """Ids of the children of a process, of their children, and so on."""
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
