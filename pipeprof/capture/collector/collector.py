"""The thread that reads the rings into the accumulator while the training runs.

It also calls the samplers, which read what no probe records (CPU time of threads), writes checkpoints, and
removes the files of worker processes that have ended.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pipeprof.capture.collector.accumulator import SAMPLED_ONE_IN, Accumulator
from pipeprof.capture.guard import Guard
from pipeprof.capture.recorder.name_log import SUFFIX as NAMES_SUFFIX
from pipeprof.capture.recorder.name_log import NameLogReader
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.capture.recorder.recorder import RING_SUFFIX, Recorder, host_name
from pipeprof.capture.recorder.ring import RingReader
from pipeprof.clock import Clock, now_ns
from pipeprof.errors import RunDamaged
from pipeprof.recording.light_dataclasses import dataclass

# Reading the rings takes some milliseconds even where little is in them. So they are read at this interval
# where somebody looks at the sums or so many records wait, else at the longer one, and at once when a ring
# fills up.
DRAIN_S = 1.0
LONGEST_DRAIN_S = 4.0
WORTH_A_DRAIN = 4096
LOOK_AT_RINGS_S = 0.05
LOOK_FOR_WORKERS_S = 0.5
CHECKPOINT_S = 10.0
LEAST_CHECKPOINT_S = 1.0
# Seconds between two calls of an urgent task.
URGENT_S = 0.025
# A thread that wakes so much too late waited for the GIL.
HELD_UP_S = 0.02
# A sampler rests for this many times the cost of its last call: hundreds of threads are read less often.
SAMPLER_REST = 500

# More records a second than this are not added up one by one: it would take too much of a core.
MOST_RECORDS_S = 100_000
# Python's lock is released after so long, for at least as long as the other figure says: a training that
# computes in Python waits no longer for it.
HELD_NS = 500_000
RELEASED_S = 50e-6

# Process id, number of the ring.
RingKey = tuple[int, int]
Positions = dict[RingKey, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rings of a run have been read.

    Attributes:
        positions: how many records of each ring were read or lost.
        ended: processes that have ended and were read completely.
    """

    positions: Positions
    ended: frozenset[int]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A function that the collector's thread calls regularly.

    Attributes:
        every_s: seconds between two calls, at least.
        sample: the function; its argument is the time in nanoseconds.
        rest: how many times the cost of a call must pass before the next one.
        finish: called once at the end; None to call `sample`.
        urgent: returns whether to call it every `URGENT_S` seconds for now, whatever it costs.
    """

    every_s: float
    sample: Callable[[int], None]
    rest: int = SAMPLER_REST
    finish: Callable[[int], None] | None = None
    urgent: Callable[[], bool] = lambda: False


@dataclass(slots=True)
class Task:
    """Work that the collector's thread does regularly.

    After each time but the first, which also opens files and imports modules, it rests for ``rest`` times
    its cost.
    """

    every_s: float
    action: Callable[[], None]
    rest: int = 0
    urgent: Callable[[], bool] = lambda: False
    due_s: float = 0.0
    begun: bool = False

    def done(self, now_s: float, cost_s: float) -> None:
        """Sets when the task is due again.

        Args:
            now_s: when it was done.
            cost_s: CPU time that it took.
        """
        pause_s = self.rest * cost_s if self.begun else 0.0
        self.due_s = now_s + max(self.every_s, pause_s)
        self.begun = True


class RingSet:
    """Reads the rings and name logs of all processes of a run on one machine.

    Args:
        accumulator: receives the records and names.
        host: the machine's name in file names.
        progress: how far the rings were read before; None for not at all.

    Attributes:
        read: how many records were read.
        left_out: how many of them were not added up, because there were too many.
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
        self.read = 0
        self.left_out = 0
        self._unread: Positions = {}  # at the latest look, of rings that fill

    @property
    def dropped(self) -> int:
        """Records that were overwritten before they were read."""
        return self._dropped + sum(reader.dropped for reader in self.readers.values())

    @property
    def pids(self) -> set[int]:
        """Processes whose files are being read, or were and may still exist."""
        return {pid for pid, _ in self.readers} | self._logs.keys() | self._ended

    def discover(self, folder: Path, *, skip_pid: int | None = None) -> None:
        """Adds the new rings and name logs in a folder; damaged ones are skipped.

        Args:
            folder: the run's folder.
            skip_pid: process whose files are not added.
        """
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
            return  # it is just being made, or is no ring: the next call tries again

    def drain(
        self, add_own_names: Callable[[], None] = lambda: None, most: int | None = None
    ) -> None:
        """Reads everything new.

        Args:
            add_own_names: adds the new names of this process to the accumulator.
            most: so many records are added one by one, the latest of each ring; of the work in further ones
                only samples are. None for all of them.
        """
        batches = [(key, reader.read()) for key, reader in list(self.readers.items())]
        self._unread = {}
        # Names are read after records: the subject of a record is named before the record is written.
        for pid, log in self._logs.items():
            self.accumulator.add_names(pid, log.read())
        add_own_names()
        count = sum(len(records) for _, records in batches)
        part = 1.0 if most is None or count <= most else most / count
        self.read += count
        for (pid, number), records in batches:
            sampled = len(records) - int(len(records) * part)
            if sampled:
                left_out = self.accumulator.add_sampled(pid, number, records[:sampled])
                self.left_out += left_out
            self.accumulator.add(pid, number, records[sampled:])

    def waits_at_least(self, count: int) -> bool:
        """Whether there may be at least ``count`` unread records; False only where there are fewer."""
        readers = self.readers.values()
        each = max(count // max(len(readers), 1), 1)
        return any(reader.waits_at_least(min(each, reader.capacity)) for reader in readers)

    def filling(self) -> bool:
        """Whether some ring is a quarter full of unread records."""
        readers = self.readers.values()
        return any(reader.waits_at_least(reader.capacity // 4) for reader in readers)

    def must_be_read(self) -> bool:
        """Whether some ring may be full before it is looked at twice more, as fast as it fills.

        To be called at intervals of about one length, while rings fill. To read many records at once costs
        less for each, so a ring that fills slowly is read late.
        """
        unread = {
            key: reader.count_unread()
            for key, reader in self.readers.items()
            if reader.waits_at_least(reader.capacity // 4)
        }
        before, self._unread = self._unread, unread
        return any(
            count + 2 * (count - before.get(key, 0)) > 0.95 * self.readers[key].capacity
            for key, count in unread.items()
        )

    def beyond(self, positions: Positions) -> float:
        """How many laps were read since some positions, in the ring where most were."""
        return max(
            (
                (reader.position - positions.get(key, 0)) / reader.capacity
                for key, reader in self.readers.items()
            ),
            default=0.0,
        )

    def end(self, pid: int) -> None:
        """Closes the files of a process that has ended and was read completely."""
        for key in [key for key in self.readers if key[0] == pid]:
            self._dropped += self.readers.pop(key).dropped
        self._logs.pop(pid, None)
        self._ended.add(pid)
        self.accumulator.forget(pid)

    def progress(self) -> Progress:
        """How far all rings have been read."""
        positions = {key: reader.position for key, reader in self.readers.items()}
        return Progress(positions, frozenset(self._ended))

    def remove_ended(self, folder: Path, ended: frozenset[int]) -> None:
        """Removes the files of processes that have ended and were read completely."""
        for pid in ended:
            remove_files_of(folder, self._host, pid)
            self._ended.discard(pid)


class Rest:
    """Lets other threads have Python's lock again and again while one works.

    Args:
        clock: returns the time in ns.
        sleep: sleeps for some seconds, without the lock.
    """

    def __init__(self, clock: Clock = now_ns, sleep: Callable[[float], None] = time.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._since_ns = 0

    def begin(self) -> None:
        """The thread begins to work."""
        self._since_ns = self._clock()

    def __call__(self) -> None:
        """Between two pieces of work: sleeps, if the thread has worked for `HELD_NS`."""
        if self._clock() - self._since_ns >= HELD_NS:
            self._sleep(RELEASED_S)
            self.begin()


class Collector:
    """Runs the thread that reads the rings of a recording.

    Args:
        recorder: this process's recorder.
        accumulator: receives the records.
        samplers: called in the thread.
        checkpoint: writes a checkpoint; its argument is how far the rings were read. None to write none.
        worker_ended: called when a worker process has ended, with its id and the time.
        watched: whether somebody looks at the sums while they are made, so that they have to be recent.
        clock: returns the time in ns; for tests.
        held_up: called first of all when the thread wakes later than it should: somebody has held the GIL.
    """

    def __init__(
        self,
        recorder: Recorder,
        accumulator: Accumulator,
        *,
        samplers: tuple[Sampler, ...] = (),
        checkpoint: Callable[[Progress], None] | None = None,
        worker_ended: Callable[[int, int], None] = lambda pid, now: None,
        watched: bool = False,
        clock: Clock = now_ns,
        held_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.rings = RingSet(accumulator, host_name())
        self.cpu_ns = 0
        self._guard = Guard(
            recorder.warn, "A part of the recording failed", "figures may be missing", retries=True
        )
        self._recorder = recorder
        self._accumulator = accumulator
        self._rest = Rest()
        self._most = MOST_RECORDS_S
        self._clock = clock
        self._drained_ns = clock()
        self._samplers = samplers
        self._checkpoint = checkpoint
        self._worker_ended = worker_ended
        self._watched = watched
        self._held_up = held_up
        self._checkpointed: Positions = {}
        self._checkpoint_at_s = -CHECKPOINT_S
        self._stop = threading.Event()
        self._thread = OwnThread(self._run, "collector")

    def start(self) -> None:
        """Starts the thread.

        It writes a first checkpoint before that: without one, the rings of a training that dies at once
        could not be recovered.
        """
        self._guard.run(self.write_checkpoint)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and reads the remaining records."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._accumulator.rest = lambda: None
        for sampler in self._samplers:
            self._guard.run(self._finish, sampler)
        self._guard.run(self.look_for_workers)
        self._guard.run(self.drain)
        self._guard.run(self._accumulator.settle)
        if self.rings.left_out:
            self._recorder.warn(
                f"At times more than {MOST_RECORDS_S:,} events a second were recorded. Of "
                f"{self.rings.read:,} events {self.rings.left_out:,} were not read: what stages "
                f"worked in them is estimated from one in {SAMPLED_ONE_IN}."
            )
            self._guard.run(self._new_names)

    def drain_if_worth_it(self) -> None:
        """Drains, unless few records wait, nobody needs them soon, and the latest drain was lately."""
        since_s = (self._clock() - self._drained_ns) / 1e9
        others = any(pid != self._recorder.pid for pid, _ in self.rings.readers)
        if (
            self._watched
            or others  # a worker that hangs or dies is reported at once
            or since_s >= LONGEST_DRAIN_S
            or self.rings.waits_at_least(WORTH_A_DRAIN)
        ):
            self.drain()

    def drain(self) -> None:
        """Reads all rings once; of too many records a part."""
        begin_ns = self._clock()
        self._rest.begin()
        self._adopt_own_rings()
        # What was not read in one second may be read in the next, but no more than that.
        since_s = (begin_ns - self._drained_ns) / 1e9
        self._drained_ns = begin_ns
        self._most = min(self._most + int(since_s * MOST_RECORDS_S), MOST_RECORDS_S)
        before = self.rings.read
        self.rings.drain(self._new_names, self._most)
        self._most = max(self._most - (self.rings.read - before), 0)
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
        del lines[: len(new)]  # other threads may have added lines

    def _run(self) -> None:
        tasks = [
            Task(DRAIN_S, self.drain_if_worth_it, due_s=time.monotonic() + DRAIN_S),
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
        fills = False
        self._accumulator.rest = self._rest
        asleep_s = time.monotonic()
        while not self._stop.wait(rest_s := min(pause_s, URGENT_S) if urgent or fills else pause_s):
            now_s = time.monotonic()
            if now_s - asleep_s - rest_s > HELD_UP_S:
                self._guard.run(self._held_up)
            urgent = [task for task in tasks if task.urgent()]
            self._adopt_own_rings()
            # A drain of many records costs less for each than one of few.
            fills = self.rings.filling()
            if fills and self.rings.must_be_read():
                tasks[0].due_s = now_s
            for task in tasks:
                if now_s >= task.due_s or task in urgent:
                    begun_s = time.thread_time()
                    self._guard.run(task.action)
                    task.done(now_s, time.thread_time() - begun_s)
            self.cpu_ns = time.thread_time_ns()
            asleep_s = time.monotonic()

    @staticmethod
    def _sample(sampler: Sampler) -> None:
        sampler.sample(now_ns())

    @staticmethod
    def _finish(sampler: Sampler) -> None:
        (sampler.finish or sampler.sample)(now_ns())

    def write_checkpoint(self) -> None:
        """Writes a checkpoint if one is due, or if a ring may overwrite records that are in none yet."""
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
            # Not before: until now only the rings had those records.
            self.rings.remove_ended(self._recorder.folder, progress.ended)

    def look_for_workers(self) -> None:
        """Opens the rings of new worker processes; reads and closes the rings of ended ones."""
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
    """The process id in the name of a run's file, ``<host>-<pid>.…``; None for files of other hosts."""
    its_host, _, pid = name.partition(".")[0].rpartition("-")
    return int(pid) if its_host == host and pid.isdecimal() else None


def remove_files_of(folder: Path, host: str, pid: int) -> None:
    """Removes the rings and the name log of a process."""
    for path in folder.iterdir():
        mine = path.name.endswith((RING_SUFFIX, NAMES_SUFFIX))
        if mine and pid_of(path.name, host) == pid:
            path.unlink(missing_ok=True)
