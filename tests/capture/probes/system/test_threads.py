import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.collector import Collector
from pipeprof.capture.probes.system import threads
from pipeprof.capture.probes.system.processes import WORKER, children_of, process_spent
from pipeprof.capture.probes.system.threads import ThreadSampler
from pipeprof.capture.recorder import name_log as names
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.lane import LaneKind, Role
from tests.capture.probes.recorded import Event, events

SECOND = 1_000_000_000
MS = 1_000_000
TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


OWN_COMMAND = b"python\0train.py\0"


class FakeSystem:
    """A ``/proc`` of files, in which the test lets threads and processes live and work."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tasks = root / "self" / "task"
        self.tasks.mkdir(parents=True)
        (root / str(os.getpid()) / "task" / "1").mkdir(parents=True)
        (root / str(os.getpid()) / "cmdline").write_bytes(OWN_COMMAND)

    def thread(self, tid: int, spent_ms: int, queued_ms: int = 0) -> None:
        (self.tasks / str(tid)).mkdir(exist_ok=True)
        figures = f"{spent_ms * MS} {queued_ms * MS} 0\n"
        (self.tasks / str(tid) / "schedstat").write_text(figures)

    def end_thread(self, tid: int) -> None:
        (self.tasks / str(tid) / "schedstat").unlink()
        (self.tasks / str(tid)).rmdir()

    def process(
        self, pid: int, ticks: int, *, name: str = "python", command: bytes | None = None
    ) -> None:
        (self.root / str(pid) / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        (self.root / str(pid) / "stat").write_text(f"{pid} ({name}) S {'0 ' * 10}{ticks} 0 0\n")
        (self.root / str(pid) / "comm").write_text(f"{name}\n")
        (self.root / str(pid) / "cmdline").write_bytes(OWN_COMMAND if command is None else command)

    def children(self, parent: int, *pids: int) -> None:
        task = next((self.root / str(parent) / "task").iterdir())
        (task / "children").write_text(" ".join(map(str, pids)))


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path)


@pytest.fixture
def sampler(system: FakeSystem) -> Iterator[ThreadSampler]:
    sampler = ThreadSampler(Recorder(None), proc=system.root)
    yield sampler
    sampler.close()


def recorded(sampler: ThreadSampler) -> list[Event]:
    return events(sampler.recorder, Kind.CPU)


def used(sampler: ThreadSampler, *, of: str | None = None) -> list[tuple[str, int, int, int]]:
    """What was recorded: name of the lane, begin and end in seconds, milliseconds used."""
    return [
        (e.name, e.start_ns // SECOND, e.end_ns // SECOND, e.value // MS)
        for e in recorded(sampler)
        if of is None or e.name == of
    ]


def test_a_thread_that_records_has_a_lane_of_its_own(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    own = sampler.recorder.lane()
    system.thread(own.native_id, spent_ms=700)
    sampler.sample(1 * SECOND)
    system.thread(own.native_id, spent_ms=720)
    sampler.sample(2 * SECOND)
    sampler.sample(3 * SECOND)

    assert used(sampler) == [("main", 1, 2, 20), ("main", 2, 3, 0)]


def test_time_in_the_queue_for_a_cpu_is_distinguished(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    own = sampler.recorder.lane()
    system.thread(own.native_id, spent_ms=700, queued_ms=50)
    sampler.sample(1 * SECOND)
    system.thread(own.native_id, spent_ms=720, queued_ms=80)
    sampler.sample(2 * SECOND)

    assert [(e.value // MS, e.inner // MS) for e in recorded(sampler)] == [(20, 30)]


def test_threads_of_one_name_share_a_lane_by_role(
    system: FakeSystem, sampler: ThreadSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    comms = {
        11: "tf_Compute",
        12: "tf_Compute",
        13: "tf_data_private",
        14: "tf_numa_-1_Eige",
        15: "python",  # what Eigen's threads are called: as the thread that made them
        16: "pipeprof-gil",
    }
    main = {os.getpid(): "python"}
    monkeypatch.setattr(threads, "thread_comm", (comms | main).__getitem__)
    for tid in comms:
        system.thread(tid, spent_ms=100)
    sampler.sample(1 * SECOND)
    for tid in comms:
        system.thread(tid, spent_ms=100 + tid)
    sampler.sample(2 * SECOND)

    lanes = {e.name: (e.subject.kind, e.subject.role, e.value // MS) for e in recorded(sampler)}
    assert lanes == {
        "tf_Compute": (LaneKind.LIBRARY, Role.TRAINING, 23),
        "tf_data_private": (LaneKind.TF_DATA_POOL, Role.INPUT, 13),
        "tf_numa_-N_Eige": (LaneKind.LIBRARY, Role.TRAINING, 14),
        "python": (LaneKind.NATIVE, Role.OTHER, 15),
        "pipeprof-gil": (LaneKind.PIPEPROF, Role.OTHER, 16),
    }


def test_a_thread_born_later_has_used_all_its_time_since(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    sampler.sample(1 * SECOND)
    system.thread(21, spent_ms=5)
    sampler.sample(2 * SECOND)

    assert used(sampler) == [("thread", 1, 2, 5)]


def test_a_thread_that_ended_is_forgotten_and_its_number_may_come_again(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    system.thread(21, spent_ms=500)
    sampler.sample(1 * SECOND)
    system.end_thread(21)
    sampler.sample(2 * SECOND)
    system.thread(21, spent_ms=7)
    sampler.sample(3 * SECOND)

    assert used(sampler) == [("thread", 2, 3, 7)]


@pytest.mark.parametrize("most_files", [0, 1])
def test_a_number_taken_over_between_two_looks_is_not_negative_time(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, most_files: int
) -> None:
    monkeypatch.setattr(threads, "MOST_FILES", most_files)
    sampler = ThreadSampler(Recorder(None), proc=system.root)
    for second, spent_ms in enumerate([500, 3, 5]):
        system.thread(21, spent_ms=spent_ms)
        sampler.sample(second * SECOND)
    sampler.close()

    assert [spent_ms for *_, spent_ms in used(sampler)] == [0, 2]


def test_what_cannot_be_read_is_passed_over(system: FakeSystem, sampler: ThreadSampler) -> None:
    system.thread(21, spent_ms=1)
    system.thread(22, spent_ms=1)
    (system.tasks / "21" / "schedstat").write_text("")
    sampler.sample(1 * SECOND)
    sampler.sample(2 * SECOND)

    assert len(used(sampler)) == 1


def test_children_are_workers_with_lanes_of_their_own(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    system.process(41, ticks=10)
    system.process(42, ticks=0, name="a (b) c")
    system.children(os.getpid(), 41)
    system.children(41, 42)
    sampler.sample(1 * SECOND)
    system.process(41, ticks=13)
    system.process(42, ticks=5, name="a (b) c")
    sampler.sample(2 * SECOND)

    lanes = {e.subject.pid: (e.name, e.subject.role, e.value // MS) for e in recorded(sampler)}
    assert lanes == {
        41: ("worker process", Role.WORKER, 3 * TICK_MS),
        42: ("worker process", Role.WORKER, 5 * TICK_MS),
    }
    (whole,) = events(sampler.recorder, Kind.PROCESS_CPU)
    assert whole.value >= 8 * TICK_MS * MS


@pytest.mark.parametrize(
    ("command", "records", "shown"),
    [
        (OWN_COMMAND, False, ("worker process", Role.WORKER)),  # forked
        (
            b"python\0-c\0from multiprocessing.spawn import spawn_main",
            False,
            ("worker process", Role.WORKER),
        ),
        (
            b"python\0-c\0from multiprocessing.resource_tracker import main",
            False,
            ("resource tracker", Role.OTHER),
        ),
        (
            b"python\0-c\0from multiprocessing.forkserver import main",
            False,
            ("fork server", Role.OTHER),
        ),
        (
            b"python\0-c\0from multiprocessing.forkserver import main",
            True,
            ("worker process", Role.WORKER),
        ),
        (b"ffmpeg\0-i\0film.mp4", False, ("ffmpeg", Role.OTHER)),
        (b"", False, ("worker process", Role.WORKER)),  # a zombie
    ],
)
def test_only_children_that_work_for_the_input_are_workers(
    system: FakeSystem, command: bytes, records: bool, shown: tuple[str, str]
) -> None:
    sampler = ThreadSampler(Recorder(None), lambda: {41} if records else (), proc=system.root)
    system.process(41, ticks=1, name="ffmpeg", command=command)
    system.children(os.getpid(), 41)
    sampler.sample(1 * SECOND)
    system.process(41, ticks=2, name="ffmpeg", command=command)
    sampler.sample(2 * SECOND)
    sampler.close()

    assert [(e.name, e.subject.role) for e in recorded(sampler)] == [shown]


def test_a_child_born_later_has_used_all_its_time_since_and_goes_in_silence(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    sampler.sample(1 * SECOND)
    system.process(41, ticks=4)
    system.children(os.getpid(), 41)
    sampler.sample(2 * SECOND)
    (system.root / "41" / "stat").unlink()
    system.children(os.getpid())
    sampler.sample(3 * SECOND)

    assert used(sampler, of=WORKER.name) == [(WORKER.name, 1, 2, 4 * TICK_MS)]


def test_children_without_end_need_no_more_names_than_there_are_at_once(
    system: FakeSystem, sampler: ThreadSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "CHILDREN_REST", 0)
    monkeypatch.setattr(names, "MOST_OF_A_TYPE", 20)
    generations = 40  # of two children each
    collected = Accumulator.begin(start_ns=0, warmup=5)
    collector = Collector(sampler.recorder, collected)
    system.thread(os.getpid(), spent_ms=0)
    sampler.sample(0)
    for second in range(1, 2 * generations, 2):
        worker, called = 10 * second, 10 * second + 1
        for pid, command in ((worker, OWN_COMMAND), (called, b"ffmpeg")):
            system.process(pid, ticks=4, name=command.decode(), command=command)
        system.children(os.getpid(), worker, called)
        sampler.sample(second * SECOND)
        collector.drain()
        for pid in (worker, called):
            shutil.rmtree(system.root / str(pid))
            collected.forget(pid)
        system.children(os.getpid())
        sampler.sample((second + 1) * SECOND)
    assert collected.registry.warnings == []
    lanes = {lane.name: n for n, lane in enumerate(collected.registry.lanes)}
    for name in ("worker 1", "ffmpeg"):
        used_ns = int(collected.sums.lane_cpu.freeze(lanes.pop(name)).total()[0])
        assert used_ns == generations * 4 * TICK_MS * MS
    assert len(lanes) <= 2  # threads
    assert len(sampler.recorder.names.lines) < 10


def test_a_called_program_that_has_ended_is_no_worker(
    system: FakeSystem, sampler: ThreadSampler
) -> None:
    system.process(41, ticks=1, name="ffmpeg", command=b"ffmpeg")
    system.children(os.getpid(), 41)
    for second in range(1, 9, 2):
        sampler.sample(second * SECOND)
        (system.root / "41" / "cmdline").write_bytes(b"")  # nobody has asked yet how it ended
    assert {event.name for event in recorded(sampler)} == {"ffmpeg"}


def test_children_that_record_are_looked_at_too(system: FakeSystem) -> None:
    system.process(77, ticks=1)
    sampler = ThreadSampler(Recorder(None), lambda: {77}, proc=system.root)
    sampler.sample(1 * SECOND)
    system.process(77, ticks=2)
    sampler.sample(2 * SECOND)
    sampler.close()

    assert [e.value for e in recorded(sampler)] == [TICK_MS * MS]


def open_files() -> set[tuple[str, str]]:
    """Number and target of each descriptor of this process."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them, for instance
            found.add((descriptor.name, str(descriptor.readlink())))
    return found


def test_real_threads_are_seen_and_no_file_stays_open() -> None:
    # Not their number: meanwhile the garbage collector may close files of other tests.
    before = open_files()
    leave, ready = threading.Event(), threading.Barrier(9, timeout=10)

    def work() -> None:
        ready.wait()
        leave.wait(10)

    workers = [threading.Thread(target=work, name=f"loader-{n}") for n in range(8)]
    for worker in workers:
        worker.start()
    ready.wait()
    sampler = ThreadSampler(Recorder(None))
    sampler.sample(1)
    sampler.sample(2)
    assert len(open_files() - before) >= len(workers)
    leave.set()
    for worker in workers:
        worker.join()
    sampler.sample(3)
    sampler.close()

    assert open_files() <= before
    roles = {e.name: e.subject.role for e in recorded(sampler)}
    assert roles["loader-N"] == Role.OTHER
    assert roles["main"] == Role.MAIN


def test_real_children_of_children_are_found() -> None:
    leave, left = os.pipe()
    begun, report = os.pipe()
    child = os.fork()
    if not child:
        grandchild = os.fork()
        os.write(report, b"x")
        os.read(leave, 1)
        if grandchild:
            os.waitpid(grandchild, 0)
        os._exit(0)
    try:
        assert os.read(begun, 1) + os.read(begun, 1) == b"xx"  # both have begun
        below = children_of(os.getpid())
        assert child in below
        assert children_of(child) < below
        assert len(children_of(child)) == 1
        assert process_spent(child) is not None
    finally:
        os.write(left, b"xx")
        os.waitpid(child, 0)
        for descriptor in (leave, left, begun, report):
            os.close(descriptor)
    assert process_spent(child) is None
