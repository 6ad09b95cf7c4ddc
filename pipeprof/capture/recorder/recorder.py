"""The recorder of one process: a ring a thread, and the names of what is recorded.

This is the hot path. A probe asks for its thread's `LaneWriter` and calls its ``write``; nothing
else happens in the user's thread. A process forked from a recording one records for itself, into
files of its own in the same folder, from its first event on.
"""

import itertools
import mmap
import os
import re
import socket
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

from pipeprof.capture.recorder import ring as rings
from pipeprof.capture.recorder.facts import LaneFacts, WarningFacts
from pipeprof.capture.recorder.name_log import SUFFIX as NAMES_SUFFIX
from pipeprof.capture.recorder.name_log import NameLog
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.capture.recorder.ring import Write
from pipeprof.clock import now_ns
from pipeprof.host.machine import let_look
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.source_code import Location

RING_SUFFIX = ".ring"
OUTSIDE = -1
# Names of all threads that pipeprof starts begin with this.
OWN_THREADS = "pipeprof-"
COLLECTOR_THREAD = f"{OWN_THREADS}collector"
RETIRED_REST_NS = 10_000_000_000
# Threads and pools are numbered for as long as the process lives; the threads of one pool are few.
_POOL_NUMBER = re.compile(r"^(Thread|ThreadPoolExecutor)-\d+")


class LaneWriter:
    """What one thread needs to record.

    Attributes:
        write: appends a record to the thread's ring.
        inner_ns: time spent so far in stages called from the one that runs, or `OUTSIDE` any stage.
        inner_cpu_ns: CPU time of those stages, as far as it was read.
        block: the innermost ``with stage(...)`` block that is open in the function or generator that
            runs; it leads to those around it.
        native_id: the system's number of the thread.
        subject: the number of its lane in the recorder's names.
    """

    __slots__ = (
        "block",
        "inner_cpu_ns",
        "inner_ns",
        "native_id",
        "ring",
        "subject",
        "write",
    )

    def __init__(self, ring: "OwnRing", native_id: int, subject: int) -> None:
        self.write: Write = ring.write
        self.inner_ns = OUTSIDE
        self.inner_cpu_ns = 0
        self.block: Any = None
        self.native_id = native_id
        self.subject = subject
        self.ring = ring


@dataclass(frozen=True, slots=True, eq=False)
class OwnRing:
    """A ring that this process writes, in turn for one thread after another."""

    number: int
    memory: mmap.mmap
    write: Write


class Recorder:
    """Records the events of this process.

    Args:
        folder: the run folder; None records into memory only.
        capacity: records that each ring holds.
        forked: whether this is a worker process, forked from one that records.

    Attributes:
        lanes: the writer of each thread that has recorded, by `threading.get_ident`.
        serial: tells it from all other recorders of this process, without keeping it alive.
    """

    _serials = itertools.count(1)

    def __init__(
        self, folder: Path | None, *, capacity: int = rings.CAPACITY, forked: bool = False
    ) -> None:
        self.serial = next(self._serials)
        self.pid = os.getpid()
        self.folder = folder
        self.prefix = f"{host_name()}-{self.pid}"
        self.names = NameLog(folder / f"{self.prefix}{NAMES_SUFFIX}" if folder else None)
        self.rings: list[OwnRing] = []
        self.lanes: dict[int, LaneWriter] = {}
        self._capacity = capacity
        self._forked = forked
        self._retired: deque[tuple[int, OwnRing]] = deque()
        self.lock = threading.RLock()
        self._own = threading.local()  # each thread's lane, and what tells of its end

    def lane(self, native_name: str = "native thread") -> LaneWriter:
        """The writer of the calling thread.

        Args:
            native_name: what to call a thread that is not Python's own and has no name.
        """
        try:
            lane: LaneWriter = self._own.lane
        except AttributeError:
            lane = self._own.lane = self._find_lane(native_name)
        return lane

    def warn(self, sentence: str) -> None:
        """Puts a sentence into the run's warnings, once."""
        self.names.number(WarningFacts(text=sentence))

    def retire_lanes(self) -> None:
        """Takes the rings of ended threads back, so that a run of weeks needs no more of them.

        Python's own threads tell of their end by themselves.
        """
        for ident, lane in list(self.lanes.items()):
            if not Path(f"/proc/self/task/{lane.native_id}").exists():
                self._retire(ident, lane)

    def _retire(self, ident: int, lane: LaneWriter) -> None:
        if self.lanes.get(ident) is lane:
            del self.lanes[ident]
            self._retired.append((now_ns() + RETIRED_REST_NS, lane.ring))

    def in_child(self) -> "Recorder":
        """The recorder of a process that was just forked from this one's.

        This one goes on for the parent alone: whatever still holds it here records for nobody.
        """
        child = Recorder(self.folder, capacity=self._capacity, forked=True)
        for lane in self.lanes.values():
            lane.write = _write_nothing
        self.folder, self.lanes, self.rings = None, {}, []
        self._retired.clear()
        self.names, self.lock = NameLog(None), threading.RLock()
        return child

    def _find_lane(self, native_name: str) -> LaneWriter:
        """For a thread that comes to this recorder anew, as one not Python's own does at every call."""
        native_id, ident = threading.get_native_id(), get_ident()
        known = self.lanes.get(ident)
        if known is None:
            return self._open_lane(native_id, ident, native_name)
        if known.native_id == native_id:
            return known
        self._retire(ident, known)  # the thread that had this ident before has ended
        return self._open_lane(native_id, ident, native_name)

    def _open_lane(self, native_id: int, ident: int, native_name: str) -> LaneWriter:
        thread = _python_thread(native_id)
        ring = self._take_ring()
        subject = self.names.number(self._describe(thread, native_id, native_name, ring.number))
        now = now_ns()
        ring.write(code(Kind.THREAD, subject), now, now, self.pid, native_id)
        lane = self.lanes[ident] = LaneWriter(ring, native_id, subject)
        if thread is not None:
            self._own.end = _ThreadEnd(self, ident, lane)
        return lane

    def _describe(
        self, thread: threading.Thread | None, native_id: int, native_name: str, ring: int
    ) -> LaneFacts:
        if native_id == self.pid:
            if self._forked:
                return LaneFacts(
                    name="worker process", role=Role.WORKER, kind=LaneKind.WORKER_PROCESS
                )
            return LaneFacts(name="main", role=Role.MAIN)
        if thread is not None:
            name, kind = _POOL_NUMBER.sub(r"\1", thread.name), kind_of_thread(thread.name)
            return LaneFacts(name=name, role=_role_of(thread), kind=kind, ring=ring)
        comm = thread_comm(native_id)
        # A thread that was given no name has that of the process.
        name = native_name if comm == thread_comm(self.pid) else comm
        return LaneFacts(name=name, role=Role.INPUT, ring=ring)

    def _take_ring(self) -> OwnRing:
        with self.lock:
            if self._retired and self._retired[0][0] < now_ns():
                return self._retired.popleft()[1]
            number = len(self.rings)
            memory = self._make_ring(number)
            ring = OwnRing(number, memory, rings.writer(memory))
            self.rings.append(ring)
            return ring

    def _make_ring(self, number: int) -> mmap.mmap:
        # A worker process may outlive the run that it was started in: then it records for nobody.
        if self.folder is not None and self.folder.exists():
            path = self.folder / f"{self.prefix}.{number}{RING_SUFFIX}"
            try:
                return rings.create_ring(path, pid=self.pid, capacity=self._capacity)
            except OSError as error:
                self.warn(
                    f"The recording could not be kept on disk ({error.strerror}): "
                    "it is in memory until the run ends, and lost if the process dies."
                )
        return rings.anonymous_ring(pid=self.pid, capacity=self._capacity)


def host_name() -> str:
    """This machine's name, fit for a file name."""
    plain = "".join(
        c if c.isalnum() or c in "-_" else "-" for c in socket.gethostname().split(".")[0]
    )
    return plain or "host"


def location_of(code_object: CodeType) -> Location:
    """Where a function begins."""
    return Location(relative_file(code_object.co_filename), code_object.co_firstlineno)


def location_of_frame(frame: FrameType) -> Location:
    """The line that a frame is at."""
    return Location(relative_file(frame.f_code.co_filename), frame.f_lineno)


def relative_file(file: str) -> str:
    """A file's path as seen from the working folder, if it lies below it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file


def thread_comm(native_id: int) -> str:
    """The name that the system has for a thread of this process, at most 15 characters."""
    try:
        return Path(f"/proc/self/task/{native_id}/comm").read_text().strip()
    except OSError:
        return "thread"


class _ThreadEnd:
    """Kept among a thread's own things, which go when it ends, so that no later thread gets its lane.

    Not for threads that are not Python's own: they seem to end whenever they leave Python.
    """

    __slots__ = ("_ident", "_lane", "_recorder")

    def __init__(self, recorder: Recorder, ident: int, lane: LaneWriter) -> None:
        self._recorder = weakref.ref(recorder)
        self._ident = ident
        self._lane = lane

    def __del__(self) -> None:
        recorder = self._recorder()
        if recorder is not None:
            recorder._retire(self._ident, self._lane)  # noqa: SLF001 - one module


def _python_thread(native_id: int) -> threading.Thread | None:
    # Not threading.current_thread(): that would leave a dummy behind for a thread not Python's own.
    for thread in threading.enumerate():
        if thread.native_id == native_id and not thread.name.startswith("Dummy-"):
            return thread
    return None


def kind_of_thread(python_name: str) -> LaneKind:
    """What a thread of this process is, by its name to Python."""
    return LaneKind.COLLECTOR if python_name == COLLECTOR_THREAD else LaneKind.THREAD


def _role_of(thread: threading.Thread) -> Role:
    if thread.name.startswith(OWN_THREADS):
        return Role.OTHER
    # What a thread of multiprocessing's pools is, which Keras's workers run in.
    of_pool = type(thread).__module__ == "multiprocessing.dummy"
    return Role.WORKER if of_pool else Role.INPUT


current: Recorder | None = None


def activate(recorder: Recorder | None) -> None:
    """Turns recording on, or off with None."""
    global current
    current = recorder


def _write_nothing(code: int, start_ns: int, end_ns: int, inner: int, value: int) -> None:
    pass


def _after_fork_in_child() -> None:
    if current is not None:
        let_look(current.pid)  # whoever looks into the training looks into its workers, too
        activate(current.in_child())


os.register_at_fork(after_in_child=_after_fork_in_child)
