"""The recorder of one process: a ring for each thread, and the log of names.

This is the hot path. A probe asks for its thread's `LaneWriter` and calls its ``write``; nothing else
happens in the user's thread. A process that is forked from a recording one has a recorder of its own, and
writes files of its own into the run's folder.
"""

import itertools
import mmap
import os
import re
import socket
import threading
import weakref
from collections import deque
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

from pipeprof.capture.recorder import ring as rings
from pipeprof.capture.recorder.facts import LaneFacts, WarningFacts
from pipeprof.capture.recorder.name_log import SUFFIX as NAMES_SUFFIX
from pipeprof.capture.recorder.name_log import NameLog
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.capture.recorder.ring import Write
from pipeprof.clock import now_ns
from pipeprof.host.machine import allow_ptrace
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location

RING_SUFFIX = ".ring"
OUTSIDE = -1
RETIRED_REST_NS = 10_000_000_000
# What the names of threads begin with in a thread pool of a tf.data pipeline's own.
_TF_DATA_POOL = "tf_data_private"
# And those of native threads that work for pipeprof.
_OWN_NATIVE = "pipeprof"
# Threads and pools are numbered for as long as the process lives; the threads of one pool are few.
_POOL_NUMBER = re.compile(r"^(Thread|ThreadPoolExecutor)-\d+")


class LaneWriter:
    """What one thread needs to record.

    Attributes:
        write: appends a record to the thread's ring.
        inner_ns: time so far in stages called from the running one, or `OUTSIDE` where no stage runs.
        inner_cpu_ns: CPU time of those inner stages, where it was read.
        block: the innermost open ``with stage(...)`` block of the running function or generator; it
            refers to the block around it.
        native_id: the system's number of the thread.
        subject: number of its lane in the recorder's name log.
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
    """A ring that this process writes; when its thread has ended, another thread may take it over."""

    number: int
    memory: mmap.mmap
    write: Write


class Recorder:
    """Records the events of this process.

    Args:
        folder: the run folder; None to record into memory only.
        capacity: records that each ring holds.
        forked: whether this is a worker process, forked from one that records.

    Attributes:
        lanes: the writer of each thread that has recorded, by `threading.get_ident`.
        serial: number of the recorder, unique in this process.
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
        self._folder_given = False
        self._own = threading.local()  # each thread's lane, and what notices its end

    def lane(self, native_name: str = "native thread") -> LaneWriter:
        """The writer of the calling thread.

        Args:
            native_name: name for a thread that Python did not start and that has no name.
        """
        try:
            lane: LaneWriter = self._own.lane
        except AttributeError:
            lane = self._own.lane = self._find_lane(native_name)
        return lane

    def warn(self, sentence: str) -> None:
        """Adds a sentence to the run's warnings, once."""
        self.names.number(WarningFacts(text=sentence))

    @property
    def is_alone(self) -> bool:
        """Whether no other process may write into the run folder."""
        return self.folder is not None and not self._folder_given

    def folder_for_workers(self) -> Path | None:
        """The run folder for a process that is to write into it, too; from then on it stays where it is."""
        with self.lock:
            self._folder_given = True
            return self.folder

    def move(self, folder: Path) -> bool:
        """Gives the folder with the recording's files another name.

        Args:
            folder: the new name; an empty folder of that name makes way.

        Returns:
            False where it stays, because another process may write into it.

        Raises:
            OSError: it cannot be moved, and stays.
        """
        with self.lock, self.names.lock:
            if not self.is_alone or self.folder is None:
                return False
            self.folder.rename(folder)
            self.folder = folder
            self.names.moved(folder / f"{self.prefix}{NAMES_SUFFIX}")
            return True

    def retire_lanes(self) -> None:
        """Frees the rings of ended threads for new threads, so that their number stays small.

        This is for threads that Python did not start; for the others `_ThreadEnd` does it.
        """
        for ident, lane in list(self.lanes.items()):
            if not Path(f"/proc/self/task/{lane.native_id}").exists():
                self._retire(ident, lane)

    def _retire(self, ident: int, lane: LaneWriter) -> None:
        if self.lanes.get(ident) is lane:
            del self.lanes[ident]
            self._retired.append((now_ns() + RETIRED_REST_NS, lane.ring))

    def in_child(self) -> "Recorder":
        """The recorder for the process that was just forked, called in that process.

        This recorder stays the parent's: what still refers to it in the forked process records nothing.
        """
        child = Recorder(self.folder, capacity=self._capacity, forked=True)
        for lane in self.lanes.values():
            lane.write = _write_nothing
        self.folder, self.lanes, self.rings = None, {}, []
        self._retired.clear()
        self.names, self.lock = NameLog(None), threading.RLock()
        return child

    def _find_lane(self, native_name: str) -> LaneWriter:
        """The lane of the calling thread, which is new or, if Python did not start it, calls again."""
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
            name, kind = _POOL_NUMBER.sub(r"\1", thread.name), kind_of_thread(thread)
            return LaneFacts(name=name, role=_role_of(thread), kind=kind, ring=ring)
        comm = thread_comm(native_id)
        # A thread without a name of its own has that of the process.
        if comm == thread_comm(self.pid):
            return LaneFacts(name=native_name, role=Role.INPUT, named=False, ring=ring)
        return LaneFacts(name=comm, role=Role.INPUT, kind=kind_of_library_thread(comm), ring=ring)

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
        # A worker process may outlive its run and the run's folder: then it records into memory.
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
    """This machine's name, with other characters than those for file names replaced."""
    plain = "".join(
        c if c.isalnum() or c in "-_" else "-" for c in socket.gethostname().split(".")[0]
    )
    return plain or "host"


def location_of(code_object: CodeType) -> Location:
    """File and first line of a function."""
    return Location(relative_file(code_object.co_filename), code_object.co_firstlineno)


def location_of_frame(frame: FrameType) -> Location:
    """File and current line of a frame."""
    return Location(relative_file(frame.f_code.co_filename), frame.f_lineno)


def relative_file(file: str) -> str:
    """A file's path relative to the working folder, or as it is where it lies elsewhere."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file


def thread_comm(native_id: int) -> str:
    """The system's name of a thread of this process, at most 15 characters."""
    try:
        return Path(f"/proc/self/task/{native_id}/comm").read_text().strip()
    except OSError:
        return "thread"


class _ThreadEnd:
    """Frees a thread's lane when the thread ends, so that no later thread gets that lane.

    It lies among the thread's local values, which are deleted then. Not for threads that Python did not
    start: their local values are deleted whenever they leave Python.
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
    # Not threading.current_thread(): it makes a dummy object for a thread that Python did not start.
    for thread in threading.enumerate():
        if thread.native_id == native_id and not thread.name.startswith("Dummy-"):
            return thread
    return None


def kind_of_thread(thread: threading.Thread) -> LaneKind:
    """The kind of a thread that Python knows."""
    return LaneKind.PIPEPROF if isinstance(thread, OwnThread) else LaneKind.THREAD


def kind_of_library_thread(comm: str) -> LaneKind:
    """The kind of a thread that a library made, by its system name."""
    if comm.startswith(_OWN_NATIVE):
        return LaneKind.PIPEPROF
    return LaneKind.TF_DATA_POOL if comm.startswith(_TF_DATA_POOL) else LaneKind.LIBRARY


def _role_of(thread: threading.Thread) -> Role:
    if isinstance(thread, OwnThread):
        return Role.OTHER
    # The class of threads of multiprocessing's thread pools, in which Keras's workers run.
    of_pool = type(thread).__module__ == "multiprocessing.dummy"
    return Role.WORKER if of_pool else Role.INPUT


current: Recorder | None = None


def activate(recorder: Recorder | None) -> None:
    """Turns recording on, or off with None."""
    global current
    current = recorder


def _write_nothing(code: int, start_ns: int, end_ns: int, inner: int, value: int) -> None:
    pass


def _before_fork() -> None:
    if current is not None:
        current.folder_for_workers()


def _after_fork_in_child() -> None:
    if current is not None:
        allow_ptrace(current.pid)  # py-spy reads workers too
        activate(current.in_child())


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
