"""The collector: rings of this and other processes are read, and cleared away only when safe."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pipeprof.capture.collector import collector as collecting
from pipeprof.capture.collector.accumulator import SAMPLED_ONE_IN, Accumulator
from pipeprof.capture.collector.collector import (
    Collector,
    Progress,
    Rest,
    RingSet,
    Sampler,
    Task,
    pid_of,
    remove_files_of,
)
from pipeprof.capture.probes.system.processes import WORKER
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import LoopFacts, StageFacts
from pipeprof.capture.recorder.recorder import Recorder, host_name
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.capture.recorder.ring import RingReader, anonymous_ring
from pipeprof.recording.loop import LoopKind, WaitSource
from pipeprof.recording.stage import StageKind
from tests.builders import PID, START_NS
from tests.streams import MAIN, NAMES, READ, records, span, step, thread, wait

HOST = host_name()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path, capacity=64)
    recording.activate(made)
    yield made
    recording.activate(None)
    made.names.close()


@pytest.fixture
def collector(recorder: Recorder) -> Collector:
    return Collector(recorder, Accumulator.begin(start_ns=START_NS, warmup=0))


def work(recorder: Recorder, name: str, count: int = 1) -> None:
    """Records pieces of a stage's work."""
    stage = recorder.names.number(StageFacts(name=name, kind=StageKind.FUNCTION))
    write = recorder.lane().write
    for number in range(count):
        at = START_NS + 10 * number
        write(code(Kind.ROOT_SPAN, stage), at, at + 5, 0, -1)


def calls(accumulator: Accumulator) -> dict[str, int]:
    """How often each stage was seen to work."""
    return {
        stage.facts.name: int(accumulator.sums.stage_work.freeze(index).total()[0])
        for index, stage in enumerate(accumulator.registry.stages)
    }


def seen(collector: Collector) -> dict[str, int]:
    return calls(collector.rings.accumulator)


class Worker:
    """A forked process that records some work and then waits to be killed."""

    def __init__(self, name: str, count: int = 3) -> None:
        ready, reports = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            if recording.current is not None:
                work(recording.current, name, count)
            os.write(reports, b"!")
            signal.pause()
        os.close(reports)
        assert os.read(ready, 1) == b"!"
        os.close(ready)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def workers() -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def start(*args: object) -> Worker:
        made.append(Worker(*args))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for worker in made:
        with suppress(ProcessLookupError):
            worker.kill()


def files_of(folder: Path, pid: int) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{HOST}-{pid}.*"))


def test_a_drain_reads_the_rings_of_all_threads(recorder: Recorder, collector: Collector):
    work(recorder, "read", 2)
    thread = threading.Thread(target=work, args=(recorder, "decode", 3))
    thread.start()
    thread.join()
    collector.drain()
    work(recorder, "read", 1)
    collector.drain()
    assert seen(collector) == {"read": 3, "decode": 3}
    assert collector.rings.dropped == 0


def test_what_was_overrun_is_counted(recorder: Recorder, collector: Collector):
    work(recorder, "read", 200)
    collector.drain()
    assert seen(collector)["read"] + collector.rings.dropped == 200 + 1


def test_a_ring_that_fills_is_noticed(recorder: Recorder, collector: Collector):
    work(recorder, "read", 8)
    collector.drain()
    assert not collector.rings.filling()
    work(recorder, "read", 15)
    assert not collector.rings.filling()
    work(recorder, "read", 1)
    assert collector.rings.filling()


@pytest.mark.parametrize(
    ("recorded", "read_at_look"),
    [([20, *[4] * 5], None), ([20, *[4] * 9], 10), ([20, 16], 2), ([40], 1)],
)
def test_a_ring_is_read_the_later_the_slower_it_fills(
    recorder: Recorder, collector: Collector, recorded: list[int], read_at_look: int | None
):
    recorder.lane()
    collector.drain()
    looks = []
    for count in recorded:
        work(recorder, "read", count)
        looks.append(collector.rings.must_be_read())
    found = looks.index(True) + 1 if True in looks else None
    assert found == read_at_look


@pytest.mark.parametrize(
    ("count", "watched", "passed_s", "read"),
    [
        pytest.param(2, False, 1.0, 0, id="few"),
        pytest.param(2, False, 4.0, 2, id="few, for long"),
        pytest.param(2, True, 1.0, 2, id="few, and somebody looks"),
        pytest.param(60, False, 1.0, 60, id="many"),
    ],
)
def test_few_records_are_read_when_somebody_needs_them_or_after_some_seconds(
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    watched: bool,
    passed_s: float,
    read: int,
):
    monkeypatch.setattr(collecting, "WORTH_A_DRAIN", 50)
    times_ns = iter((START_NS, *[START_NS + round(passed_s * 1e9)] * 2))
    sums = Accumulator.begin(start_ns=START_NS, warmup=0)
    collector = Collector(recorder, sums, watched=watched, clock=lambda: next(times_ns))
    work(recorder, "read", count)
    for ring in recorder.rings:
        collector.rings.readers[recorder.pid, ring.number] = RingReader(ring.memory)

    collector.drain_if_worth_it()

    assert calls(sums).get("read", 0) == read


def test_few_records_are_read_while_workers_record(recorder: Recorder, collector: Collector):
    collector.rings.readers[recorder.pid + 1, 1] = RingReader(anonymous_ring(pid=PID))
    work(recorder, "read", 2)
    collector.drain_if_worth_it()
    assert seen(collector) == {"read": 2}


def test_of_too_many_records_the_latest_are_read_and_the_others_sampled(
    recorder: Recorder, collector: Collector
):
    work(recorder, "read", 48)
    collector.rings.readers[recorder.pid, 0] = RingReader(recorder.rings[0].memory)
    collector.rings.drain(
        lambda: collector.rings.accumulator.add_names(recorder.pid, recorder.names.lines), most=17
    )
    assert seen(collector)["read"] == 48
    assert collector.rings.read == 1 + 48
    assert collector.rings.left_out == SAMPLED_ONE_IN - 1


def test_a_training_that_records_too_much_is_reported(recorder: Recorder, collector: Collector):
    collector.rings.left_out = 5
    collector.stop()
    (warning,) = collector.rings.accumulator.registry.warnings
    assert warning.startswith("At times more than 100,000 events a second were recorded.")


def test_a_training_that_records_little_is_read_completely(
    recorder: Recorder, collector: Collector
):
    for _ in range(5):
        work(recorder, "read", 50)
        collector.drain()
    collector.stop()
    assert (seen(collector), collector.rings.left_out) == ({"read": 250}, 0)
    assert collector.rings.accumulator.registry.warnings == []


def test_the_lock_of_python_is_given_up_while_much_is_read() -> None:
    now = 0
    slept: list[int] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(now)
        now += round(seconds * 1e9)

    rest = Rest(lambda: now, sleep)
    rest.begin()
    for _ in range(10):
        now += 200_000
        rest()
    assert slept == [600_000, 1_250_000, 1_900_000]


def test_a_reader_rests_after_each_kind_of_record_and_each_loop() -> None:
    accumulator = Accumulator.begin(start_ns=START_NS, warmup=0)
    accumulator.add_names(PID, NAMES)
    rests: list[int] = []
    accumulator.rest = lambda: rests.append(accumulator.sums.event_count)
    accumulator.add(PID, 0, records(thread(MAIN), span(READ, 0, 5), wait(5, 7), step(0, 0, 9)))
    accumulator.settle()
    assert len(rests) >= 4


def test_work_of_other_processes_is_read_while_they_run(
    recorder: Recorder, collector: Collector, workers: Callable[..., Worker]
):
    work(recorder, "read")
    workers("decode")
    collector.look_for_workers()
    collector.drain()
    assert seen(collector) == {"read": 1, "decode": 3}
    lanes = collector.rings.accumulator.registry.lanes
    assert {lane.name for lane in lanes} == {"main", "worker 1"}


def test_what_a_killed_worker_recorded_is_not_lost(
    collector: Collector, workers: Callable[..., Worker], tmp_path: Path
):
    worker = workers("decode")
    worker.kill()
    collector.look_for_workers()
    assert seen(collector) == {"decode": 3}
    assert {pid for pid, _ in collector.rings.readers} == set()
    assert collector.rings.pids == {worker.pid}


def test_files_of_ended_workers_go_when_a_checkpoint_holds_what_was_in_them(
    recorder: Recorder, workers: Callable[..., Worker], tmp_path: Path
):
    written: list[Progress] = []
    collector = Collector(
        recorder, Accumulator.begin(start_ns=START_NS, warmup=0), checkpoint=written.append
    )
    living, ended = workers("decode"), workers("decode")
    ended.kill()
    collector.look_for_workers()
    assert len(files_of(tmp_path, ended.pid)) == 2
    collector.write_checkpoint()
    assert written[-1].ended == {ended.pid}
    assert files_of(tmp_path, ended.pid) == []
    assert len(files_of(tmp_path, living.pid)) == 2
    assert collector.rings.progress().ended == set()
    assert seen(collector) == {"decode": 3 + 3}


def test_nothing_is_read_thrice_after_going_on_from_a_checkpoint(
    recorder: Recorder, workers: Callable[..., Worker], tmp_path: Path
):
    progress: list[Progress] = []
    collector = Collector(
        recorder, Accumulator.begin(start_ns=START_NS, warmup=0), checkpoint=progress.append
    )
    work(recorder, "read", 5)
    workers("decode")
    ended = workers("decode")
    ended.kill()
    collector.look_for_workers()
    collector.drain()
    progress.append(collector.rings.progress())
    work(recorder, "read", 2)
    again = RingSet(Accumulator.begin(start_ns=START_NS, warmup=0), HOST, progress[-1])
    again.discover(tmp_path)
    again.drain()
    assert calls(again.accumulator) == {"read": 2, "decode": 0}


def test_rings_of_another_machine_are_not_touched(
    recorder: Recorder, collector: Collector, workers: Callable[..., Worker], tmp_path: Path
):
    """Several machines may share a folder, and process ids mean nothing elsewhere."""
    worker = workers("decode")
    theirs = tmp_path / f"elsewhere-{worker.pid}.0.ring"
    (tmp_path / f"{HOST}-{worker.pid}.0.ring").rename(theirs)
    (tmp_path / f"{HOST}-{worker.pid}.names.jsonl").rename(theirs.with_suffix(".names.jsonl"))
    worker.kill()
    collector.look_for_workers()
    remove_files_of(tmp_path, HOST, worker.pid)
    assert theirs.exists()
    assert seen(collector) == {}


def test_a_damaged_ring_of_another_process_is_passed_over(collector: Collector, tmp_path: Path):
    (tmp_path / f"{HOST}-1.0.ring").write_bytes(b"no ring")
    (tmp_path / f"{HOST}-1.x.ring").write_bytes(b"no ring")
    (tmp_path / f"{HOST}-1.2.ring").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("mine")
    collector.look_for_workers()
    assert collector.rings.readers == {}


def test_a_ring_file_may_appear_before_it_is_ready(
    collector: Collector, workers: Callable[..., Worker], tmp_path: Path
):
    worker = workers("decode")
    path = tmp_path / files_of(tmp_path, worker.pid)[0]
    whole = path.read_bytes()
    path.write_bytes(bytes(len(whole)))
    collector.look_for_workers()
    assert collector.rings.readers == {}
    path.write_bytes(whole)
    collector.look_for_workers()
    collector.drain()
    assert seen(collector) == {"decode": 3}


def test_lanes_of_children_that_only_a_sampler_sees_are_taken_over_too(
    recorder: Recorder, collector: Collector, workers: Callable[..., Worker]
):
    recording.activate(None)  # these record nothing
    for _ in range(3):
        child = workers("nothing")
        facts = replace(WORKER, pid=child.pid)
        recorder.names.number(facts)
        collector.drain()
        child.kill()
        collector.look_for_workers()
    lanes = collector.rings.accumulator.registry.lanes
    assert [lane.name for lane in lanes] == ["worker 1"]


# The thread


def test_the_thread_samples_drains_and_writes_checkpoints(recorder: Recorder):
    sampled, written = threading.Event(), threading.Event()
    collector = Collector(
        recorder,
        Accumulator.begin(start_ns=START_NS, warmup=0),
        samplers=(Sampler(0.001, lambda now: sampled.set()),),
        checkpoint=lambda progress: written.set(),
    )
    collector.start()
    assert sampled.wait(10)
    assert written.wait(10)
    work(recorder, "read", 2)
    collector.stop()
    assert seen(collector) == {"read": 2}
    assert collector.cpu_ns > 0


def test_a_thread_that_could_not_wake_in_time_says_so_first(recorder: Recorder):
    held_up = threading.Event()
    collector = Collector(
        recorder, Accumulator.begin(start_ns=START_NS, warmup=0), held_up=held_up.set
    )
    collector.start()
    for _ in range(100):
        sum(range(10_000_000))  # holds the GIL for longer than the thread sleeps
        if held_up.is_set():
            break
    collector.stop()
    assert held_up.is_set()


def test_a_dear_look_is_followed_by_a_rest():
    cheap, dear = (Task(0.1, lambda: None, rest=200) for _ in range(2))
    for task in (cheap, dear):
        task.done(9.0, cost_s=1.0)  # the first time is always dear
        assert task.due_s == 9.1
    cheap.done(10.0, cost_s=0.0001)
    dear.done(10.0, cost_s=0.01)

    assert (cheap.due_s, dear.due_s) == (10.1, 12.0)


def test_what_is_urgent_is_done_at_once_for_as_long_as_it_is(recorder: Recorder):
    calls: list[int] = []
    thrice = threading.Event()

    def sample(now: int) -> None:
        calls.append(now)
        if len(calls) == 3:
            thrice.set()

    collector = Collector(
        recorder,
        Accumulator.begin(start_ns=START_NS, warmup=0),
        samplers=(Sampler(3600.0, sample, urgent=lambda: len(calls) in (1, 2)),),
    )
    collector.start()
    assert thrice.wait(10)
    collector.stop()
    assert len(calls) == 4  # the last one when it was stopped


def test_a_checkpoint_is_there_before_anything_is_read(recorder: Recorder):
    written: list[threading.Thread] = []
    collector = Collector(
        recorder,
        Accumulator.begin(start_ns=START_NS, warmup=0),
        checkpoint=lambda progress: written.append(threading.current_thread()),
    )
    collector.start()
    first = written[:1]
    collector.stop()
    assert first == [threading.current_thread()]


def test_a_part_that_fails_is_reported_and_does_not_stop_the_rest(recorder: Recorder):
    asked = threading.Event()

    def fail(now: int) -> None:
        asked.set()
        raise ValueError("no such thing")

    collector = Collector(
        recorder, Accumulator.begin(start_ns=START_NS, warmup=0), samplers=(Sampler(0.001, fail),)
    )
    collector.start()
    assert asked.wait(10)
    work(recorder, "read")
    collector.stop()
    assert seen(collector) == {"read": 1}
    assert collector.rings.accumulator.registry.warnings == [
        "A part of the recording failed (ValueError: no such thing): figures may be missing."
    ]


def test_a_folder_that_is_gone_does_not_end_the_recording(recorder: Recorder, tmp_path: Path):
    collector = Collector(recorder, Accumulator.begin(start_ns=START_NS, warmup=0))
    work(recorder, "read")
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    collector.stop()
    assert seen(collector) == {"read": 1}


def test_steps_are_settled_only_as_far_as_all_rings_were_read(
    recorder: Recorder, collector: Collector
):
    facts = LoopFacts(kind=LoopKind.FIT, start_ns=START_NS, waits_by=WaitSource.GENERATOR)
    loop = recorder.names.new(facts)
    write = recorder.lane().write
    write(code(Kind.STEP, loop), START_NS, START_NS + 10, 0, 1)
    future = 1 << 62
    write(code(Kind.STEP, loop), START_NS + 10, future, 1, 1)
    collector.drain()
    (sums,) = collector.rings.accumulator.registry.loops
    assert sums.settled_until_ns <= START_NS + 10
    collector.stop()
    assert sums.settled_until_ns == future


# File names


@pytest.mark.parametrize(
    ("name", "pid"),
    [
        ("host-12.0.ring", 12),
        ("host-12.names.jsonl", 12),
        ("host-12", 12),
        ("other-12.0.ring", None),
        ("my-host-12.0.ring", None),
        ("host-x.ring", None),
        ("host-.ring", None),
        ("host-²2.ring", None),
        ("", None),
    ],
)
def test_a_file_name_shows_host_and_process(name: str, pid: int | None):
    assert pid_of(name, "host") == pid


def test_a_hosts_name_may_hold_dashes():
    assert pid_of("gpu-node-7-12.0.ring", "gpu-node-7") == 12
