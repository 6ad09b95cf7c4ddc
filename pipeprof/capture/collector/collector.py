"""The thread that empties the rings into the accumulator while the training runs.

It also calls the samplers, which read what nobody records by himself (CPU time of threads), keeps a
checkpoint on disk, and clears up after worker processes that have ended.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.guard import Guard
from pipeprof.capture.recorder.name_log import SUFFIX as NAMES_SUFFIX
from pipeprof.capture.recorder.name_log import NameLogReader
from pipeprof.capture.recorder.recorder import COLLECTOR_THREAD, RING_SUFFIX, Recorder, host_name
from pipeprof.capture.recorder.ring import RingReader
from pipeprof.clock import now_ns
from pipeprof.errors import RunDamaged

# A pass over the rings costs some milliseconds whatever is in them, so there are few passes: more
# only while a ring fills fast.
DRAIN_S = 1.0
LOOK_AT_RINGS_S = 0.05
LOOK_FOR_WORKERS_S = 0.5
CHECKPOINT_S = 10.0
LEAST_CHECKPOINT_S = 1.0
# How often what is urgent is done.
URGENT_S = 0.025
# After a sample none is taken for so many times its cost: hundreds of threads are read less often.
SAMPLER_REST = 500

# Process id, number of the ring.
RingKey = tuple[int, int]
Positions = dict[RingKey, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rings of a run have been read.

    Attributes:
        positions: how many records of each ring were read or given up.
        ended: processes that have ended and were read to their end.
    """

    positions: Positions
    ended: frozenset[int]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Something to be called now and then from the collector's thread.

    Attributes:
        every_s: how often.
        sample: is given the time.
        rest: how many times its cost must lie between two calls.
        finish: called once at the end instead; `sample` without it.
        urgent: whether it is to be called every `URGENT_S` seconds for now, whatever it costs.
    """

    every_s: float
    sample: Callable[[int], None]
    rest: int = SAMPLER_REST
    finish: Callable[[int], None] | None = None
    urgent: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Task:
    """Something that the thread does so often; less often where it must rest after its cost.

    The first time is left out of that: it opens files, and loads what it needs.
    """

    every_s: float
    action: Callable[[], None]
    rest: int = 0
    urgent: Callable[[], bool] = lambda: False
    due_s: float = 0.0
    begun: bool = False

    def done(self, now_s: float, cost_s: float) -> None:
        """It was done now, at the cost of so much CPU time."""
        pause_s = self.rest * cost_s if self.begun else 0.0
        self.due_s = now_s + max(self.every_s, pause_s)
        self.begun = True


class RingSet:
    """The rings and name logs of all processes of a run on one machine, read in step.

    Args:
        accumulator: takes what is read.
        host: the machine, as file names have it.
        progress: where to read on.
    """

    def __init__(
        self, accumulator: Accumulator, host: str, progress: Progress | None = None
    ) -> None:
        self.accumulator = accumulator
        self.readers: dict[RingKey, RingReader] = {}
        self._host = host
        self._logs: dict[int, NameLogReader] = {}
        self._begins: Positions = dict(progress.positions) if progress else {}
        self._ended: set[int] = set(progress.ended) if progress else set()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Records that were overwritten before they were read."""
        return self._dropped + sum(reader.dropped for reader in self.readers.values())

    @property
    def pids(self) -> set[int]:
        """Processes that are read or have been, and may still have files."""
        return {pid for pid, _ in self.readers} | self._logs.keys() | self._ended

    def discover(self, folder: Path, *, skip_pid: int | None = None) -> None:
        """Adds the rings and name logs in a folder that are new; what is damaged is passed over."""
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            pid = pid_of(name, self._host)
            if pid is None or pid == skip_pid or pid in self._ended:
                continue
            if name.endswith(NAMES_SUFFIX):
                self._logs.setdefault(pid, NameLogReader(folder / name))
            elif name.endswith(RING_SUFFIX):
                self._discover_ring(folder / name, pid)

    def _discover_ring(self, path: Path, pid: int) -> None:
        number = path.name.removesuffix(RING_SUFFIX).rpartition(".")[2]
        if not number.isdecimal() or (pid, int(number)) in self.readers:
            return
        key = (pid, int(number))
        try:
            self.readers[key] = RingReader.open(path, self._begins.get(key, 0))
        except (OSError, RunDamaged):
            return  # being made at this moment, or no ring at all: looked at again next time

    def drain(self, add_own_names: Callable[[], None] = lambda: None) -> None:
        """Reads everything new.

        Args:
            add_own_names: hands the accumulator what is new in the name log of this very process.
        """
        batches = [(key, reader.read()) for key, reader in list(self.readers.items())]
        # Names after records: whatever a record is about was named before it was written.
        for pid, log in self._logs.items():
            self.accumulator.add_names(pid, log.read())
        add_own_names()
        for (pid, number), records in batches:
            self.accumulator.add(pid, number, records)

    def filling(self) -> bool:
        """Whether some ring is a quarter full of records not read yet."""
        return any(reader.waits_at_least(reader.capacity // 4) for reader in self.readers.values())

    def beyond(self, positions: Positions) -> float:
        """How far the ring that was read farthest beyond some positions is beyond them, in laps."""
        return max(
            (
                (reader.position - positions.get(key, 0)) / reader.capacity
                for key, reader in self.readers.items()
            ),
            default=0.0,
        )

    def end(self, pid: int) -> None:
        """Closes what belongs to a process that has ended and was read to its end."""
        for key in [key for key in self.readers if key[0] == pid]:
            self._dropped += self.readers.pop(key).dropped
        self._logs.pop(pid, None)
        self._ended.add(pid)
        self.accumulator.forget(pid)

    def progress(self) -> Progress:
        """How far everything has been read."""
        positions = {key: reader.position for key, reader in self.readers.items()}
        return Progress(positions, frozenset(self._ended))

    def remove_ended(self, folder: Path, ended: frozenset[int]) -> None:
        """Removes the files of processes that were read to their end."""
        for pid in ended:
            remove_files_of(folder, self._host, pid)
            self._ended.discard(pid)


class Collector:
    """Runs the draining thread of a recording.

    Args:
        recorder: this process's recorder.
        accumulator: takes the records.
        samplers: called from the thread.
        checkpoint: writes what has been collected so far, and how far the rings were read for it;
            None writes nothing.
        worker_ended: is told of a worker process that has ended, and when that was seen.
    """

    def __init__(
        self,
        recorder: Recorder,
        accumulator: Accumulator,
        *,
        samplers: tuple[Sampler, ...] = (),
        checkpoint: Callable[[Progress], None] | None = None,
        worker_ended: Callable[[int, int], None] = lambda pid, now: None,
    ) -> None:
        self.rings = RingSet(accumulator, host_name())
        self.cpu_ns = 0
        self._guard = Guard(
            recorder.warn, "A part of the recording failed", "figures may be missing", retries=True
        )
        self._recorder = recorder
        self._accumulator = accumulator
        self._samplers = samplers
        self._checkpoint = checkpoint
        self._worker_ended = worker_ended
        self._checkpointed: Positions = {}
        self._checkpoint_at_s = -CHECKPOINT_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=COLLECTOR_THREAD, daemon=True)

    def start(self) -> None:
        """Starts the thread.

        A first checkpoint comes before it: without one, nothing leads to the rings of a training
        that dies at once.
        """
        self._guard.run(self.write_checkpoint)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and reads what is left."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for sampler in self._samplers:
            self._guard.run(self._finish, sampler)
        self._guard.run(self.look_for_workers)
        self._guard.run(self.drain)
        self._guard.run(self._accumulator.settle)

    def drain(self) -> None:
        """Reads all rings once."""
        begin_ns = now_ns()
        self._adopt_own_rings()
        self.rings.drain(self._new_names)
        self._accumulator.settle(begin_ns)

    def _adopt_own_rings(self) -> None:
        pid = self._recorder.pid
        for ring in list(self._recorder.rings):
            if (pid, ring.number) not in self.rings.readers:
                self.rings.readers[pid, ring.number] = RingReader(ring.memory)

    def _new_names(self) -> None:
        lines = self._recorder.names.lines
        new = lines[:]
        self._accumulator.add_names(self._recorder.pid, new)
        del lines[: len(new)]  # others may have added some

    def _run(self) -> None:
        tasks = [
            Task(DRAIN_S, self.drain),
            Task(LOOK_FOR_WORKERS_S, self.look_for_workers),
            *(
                Task(s.every_s, functools.partial(self._sample, s), s.rest, s.urgent)
                for s in self._samplers
            ),
        ]
        if self._checkpoint is not None:
            tasks.append(Task(LEAST_CHECKPOINT_S, self.write_checkpoint))
        pause_s = min(LOOK_AT_RINGS_S, *(task.every_s for task in tasks))
        urgent: list[Task] = []
        while not self._stop.wait(min(pause_s, URGENT_S) if urgent else pause_s):
            now_s = time.monotonic()
            urgent = [task for task in tasks if task.urgent()]
            if self._is_ring_filling():
                tasks[0].due_s = now_s
            for task in tasks:
                if now_s >= task.due_s or task in urgent:
                    begun_s = time.thread_time()
                    self._guard.run(task.action)
                    task.done(now_s, time.thread_time() - begun_s)
            self.cpu_ns = time.thread_time_ns()

    def _is_ring_filling(self) -> bool:
        self._adopt_own_rings()
        return self.rings.filling()

    @staticmethod
    def _sample(sampler: Sampler) -> None:
        sampler.sample(now_ns())

    @staticmethod
    def _finish(sampler: Sampler) -> None:
        (sampler.finish or sampler.sample)(now_ns())

    def write_checkpoint(self) -> None:
        """Writes a checkpoint when it is time, or before a ring overwrites what is in none yet."""
        if self._checkpoint is None:
            return
        now_s = time.monotonic()
        outgrown = self.rings.beyond(self._checkpointed) > 0.5
        if now_s - self._checkpoint_at_s < CHECKPOINT_S and not outgrown:
            return
        self._checkpoint_at_s = now_s
        progress = self.rings.progress()
        self._checkpoint(progress)
        self._checkpointed = progress.positions
        if self._recorder.folder is not None:
            # Not before: until now the rings were all that there was of what they held.
            self.rings.remove_ended(self._recorder.folder, progress.ended)

    def look_for_workers(self) -> None:
        """Finds the rings of new worker processes, and reads and closes those of ended ones."""
        self._recorder.retire_lanes()
        folder = self._recorder.folder
        if folder is not None and folder.exists():
            self.rings.discover(folder, skip_pid=self._recorder.pid)
        known = {
            pid for pid, _ in self.rings.readers
        } | self._accumulator.registry.worker_slots.keys()
        others = known - {self._recorder.pid}
        ended = [pid for pid in others if not Path(f"/proc/{pid}").exists()]
        if ended:
            self.drain()
        for pid in ended:
            self._worker_ended(pid, now_ns())
            self.rings.end(pid)


def pid_of(name: str, host: str) -> int | None:
    """The process id in the name of one of a run's files, ``<host>-<pid>.…``."""
    its_host, _, pid = name.partition(".")[0].rpartition("-")
    return int(pid) if its_host == host and pid.isdecimal() else None


def remove_files_of(folder: Path, host: str, pid: int) -> None:
    """Removes the rings and the name log of a process that has been read to its end."""
    for path in folder.iterdir():
        mine = path.name.endswith((RING_SUFFIX, NAMES_SUFFIX))
        if mine and pid_of(path.name, host) == pid:
            path.unlink(missing_ok=True)
