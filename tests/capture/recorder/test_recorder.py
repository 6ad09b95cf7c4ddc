"""The recorder: a ring a thread, a recorder a process, and what happens where no file can be had."""

import ctypes
import errno
import functools
import gc
import multiprocessing
import multiprocessing.pool
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import pytest

import pipeprof
from pipeprof.capture.probes.system.processes import WORKER
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import LaneFacts, StageFacts
from pipeprof.capture.recorder.name_log import SUFFIX, NameLogReader
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.capture.recorder.recorder import (
    OUTSIDE,
    RING_SUFFIX,
    Recorder,
    host_name,
    location_of,
    relative_file,
)
from pipeprof.capture.recorder.records import KIND_SHIFT, SUBJECT_MASK, Kind, code
from pipeprof.capture.recorder.ring import RingReader
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import warnings_of


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path, capacity=64)
    recording.activate(made)
    yield made
    recording.activate(None)
    made.names.close()


def mark(recorder: Recorder, value: int) -> None:
    recorder.lane().write(code(Kind.GAUGE, 1), 0, 0, 0, value)


def marks(path: Path) -> list[int]:
    """Values of the marks in a ring file."""
    found = RingReader.open(path).read()
    chosen = found["code"] == code(Kind.GAUGE, 1)
    values: list[int] = found["value"][chosen].tolist()
    return values


def lanes(recorder: Recorder) -> dict[int, dict[str, Any]]:
    return {number: facts for number, facts in recorder.names.lines if isinstance(facts, LaneFacts)}


def in_thread(action: Callable[[], None], name: str = "feed") -> None:
    thread = threading.Thread(target=action, name=name)
    thread.start()
    thread.join()


def rings_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"*{RING_SUFFIX}"))


def test_the_first_event_of_a_thread_makes_its_ring(recorder: Recorder, tmp_path: Path):
    assert list(tmp_path.iterdir()) == []
    mark(recorder, 7)
    assert rings_in(tmp_path) == [f"{recorder.prefix}.0{RING_SUFFIX}"]
    assert marks(tmp_path / rings_in(tmp_path)[0]) == [7]


def test_each_thread_has_a_lane_of_its_own(recorder: Recorder, tmp_path: Path):
    mark(recorder, 1)
    in_thread(lambda: mark(recorder, 2), "feed")
    in_thread(lambda: mark(recorder, 3), "ThreadPoolExecutor-0_1")
    assert [(facts.name, facts.role) for facts in lanes(recorder).values()] == [
        ("main", Role.MAIN),
        ("feed", Role.INPUT),
        ("ThreadPoolExecutor_1", Role.INPUT),
    ]
    assert [marks(tmp_path / ring) for ring in rings_in(tmp_path)] == [[1], [2], [3]]


def test_a_ring_says_whose_it_is(recorder: Recorder, tmp_path: Path):
    mark(recorder, 1)
    (first, _) = RingReader.open(tmp_path / rings_in(tmp_path)[0]).read()
    assert first["code"] >> KIND_SHIFT == Kind.THREAD
    assert lanes(recorder)[first["code"] & SUBJECT_MASK].name == "main"
    assert (first["inner"], first["value"]) == (os.getpid(), threading.get_native_id())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Thread-7 (worker)", "Thread (worker)"),
        ("ThreadPoolExecutor-12_3", "ThreadPoolExecutor_3"),
        ("feed", "feed"),
    ],
)
def test_a_threads_name_says_what_it_is_there_for(name: str, shown: str):
    recorder = Recorder(None, capacity=64)
    in_thread(lambda: mark(recorder, 1), name)
    (facts,) = lanes(recorder).values()
    assert (facts.name, facts.role) == (shown, Role.INPUT)


def test_a_thread_of_a_pool_is_a_worker_whatever_its_name():
    recorder = Recorder(None, capacity=64)
    with multiprocessing.pool.ThreadPool(1) as pool:
        pool.apply(mark, (recorder, 1))
    (facts,) = lanes(recorder).values()
    assert facts.role is Role.WORKER


def named_like_one_of_pipeprofs(target: Callable[[], object], name: str) -> threading.Thread:
    return threading.Thread(target=target, name=f"pipeprof-{name}")


@pytest.mark.parametrize(
    ("make", "kind", "role"),
    [
        (OwnThread, LaneKind.PIPEPROF, Role.OTHER),
        (named_like_one_of_pipeprofs, LaneKind.THREAD, Role.INPUT),
    ],
)
def test_pipeprofs_threads_have_a_kind_of_their_own_whatever_others_are_called(
    make: Callable[..., threading.Thread], kind: LaneKind, role: Role
):
    recorder = Recorder(None, capacity=64)
    thread = make(lambda: mark(recorder, 1), "collector")
    thread.start()
    thread.join()
    (facts,) = lanes(recorder).values()
    assert (facts.name, facts.kind, facts.role) == ("pipeprof-collector", kind, role)


def test_a_lane_begins_outside_any_stage(recorder: Recorder):
    lane = recorder.lane()
    assert recorder.lane() is lane
    assert (lane.inner_ns, lane.inner_cpu_ns) == (OUTSIDE, 0)


def test_rings_of_ended_threads_are_used_again(recorder: Recorder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording, "RETIRED_REST_NS", -1)
    mark(recorder, 0)
    for number in range(5):
        in_thread(functools.partial(mark, recorder, number), f"feed {number}")
    assert len(recorder.rings) == 2
    assert len(recorder.lanes) == 1
    found = RingReader(recorder.rings[1].memory).read()
    owners = found["code"][found["code"] >> KIND_SHIFT == Kind.THREAD] & SUBJECT_MASK
    assert [lanes(recorder)[owner].name for owner in owners.tolist()] == [
        f"feed {number}" for number in range(5)
    ]


def test_a_ring_rests_before_it_is_used_again(recorder: Recorder):
    """Whoever still holds the old lane must not write into a ring that has a new owner."""
    in_thread(lambda: mark(recorder, 1))
    in_thread(lambda: mark(recorder, 2))
    assert len(recorder.rings) == 2


def test_lanes_of_living_threads_stay(recorder: Recorder):
    begun, over = threading.Event(), threading.Event()

    def live() -> None:
        mark(recorder, 1)
        begun.set()
        over.wait(10)

    thread = threading.Thread(target=live)
    thread.start()
    begun.wait(10)
    recorder.retire_lanes()
    assert len(recorder.lanes) == 1
    over.set()
    thread.join()


def in_foreign_thread(action: Callable[[], object]) -> None:
    """Runs an action in a thread that Python did not start."""
    system = ctypes.CDLL(None)
    start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: 0 if action() else 1)
    thread = ctypes.c_ulong()
    assert system.pthread_create(ctypes.byref(thread), None, start, None) == 0
    assert system.pthread_join(thread, None) == 0


def test_a_thread_that_is_not_pythons_own_keeps_its_lane_until_it_is_gone(recorder: Recorder):
    """Such a thread's own things go whenever it leaves Python, long before its end."""
    in_foreign_thread(lambda: recorder.lane("TensorFlow thread"))
    [facts] = lanes(recorder).values()
    assert (facts.name, facts.named) == ("TensorFlow thread", False)
    assert len(recorder.lanes) == 1
    while recorder.lanes:
        recorder.retire_lanes()


def test_a_thread_has_a_lane_of_its_own_though_another_had_its_ident(recorder: Recorder):
    foreign: list[int] = []
    own: list[int] = []

    def work() -> None:
        own.append(get_ident())
        mark(recorder, 1)

    while not set(foreign) & set(own):
        in_foreign_thread(lambda: (recorder.lane("TensorFlow thread"), foreign.append(get_ident())))
        in_thread(work)

    made = [number for number, facts in lanes(recorder).items() if facts.name == "feed"]
    recorded = [RingReader(ring.memory).read() for ring in recorder.rings]
    marked = [found for found in recorded if (found["code"] == code(Kind.GAUGE, 1)).any()]
    assert len(marked) == len(made)
    for found in marked:
        assert int(found["code"][0]) & SUBJECT_MASK in made


def test_a_thread_that_took_over_the_ident_of_another_keeps_its_lane_while_it_works(
    recorder: Recorder,
):
    idents: list[int] = []

    def work() -> None:
        idents.append(get_ident())
        with pipeprof.stage("read"):
            recorder.retire_lanes()

    while len(idents) < 2 or idents[-1] not in idents[:-1]:
        in_foreign_thread(work)

    (number,) = [n for n, facts in recorder.names.lines if isinstance(facts, StageFacts)]
    recorded = [RingReader(ring.memory).read()["code"] for ring in recorder.rings]
    spans = np.concatenate(recorded) == code(Kind.ROOT_SPAN, number)
    assert spans.sum() == len(idents)


def test_a_recorder_goes_when_nothing_needs_it_any_more():
    recorder = Recorder(None, capacity=64)
    mark(recorder, 1)
    gone = weakref.ref(recorder)
    del recorder
    gc.collect()
    assert gone() is None


def test_on_a_full_disk_it_records_into_memory_and_says_so(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    mark(recorder, 1)
    in_thread(lambda: mark(recorder, 2))
    assert rings_in(tmp_path) == []
    found = RingReader(recorder.rings[0].memory).read()
    assert found["value"].tolist()[1:] == [1]
    warnings = warnings_of(recorder)
    assert warnings == [
        "The recording could not be kept on disk (No space left on device): "
        "it is in memory until the run ends, and lost if the process dies."
    ]


@pytest.mark.parametrize("folder", [None, Path("/nonexistent/run")])
def test_without_a_folder_it_records_into_memory(folder: Path | None):
    recorder = Recorder(folder, capacity=64)
    mark(recorder, 1)
    assert len(RingReader(recorder.rings[0].memory).read()) == 2


# Other processes


def child(action: Callable[[], None]) -> None:
    """Runs an action in a forked process, which must end well."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # ends it should it hang
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def own(action: Callable[[Recorder], None]) -> None:
    """Does something with the recorder of this process."""
    assert recording.current is not None
    action(recording.current)


def test_a_forked_process_records_into_files_of_its_own(recorder: Recorder, tmp_path: Path):
    def record(mine: Recorder) -> None:
        mark(mine, 2)
        mark(mine, 3)

    mark(recorder, 1)
    child(lambda: own(record))
    mark(recorder, 4)
    (theirs,) = [name for name in rings_in(tmp_path) if not name.startswith(recorder.prefix)]
    assert marks(tmp_path / theirs) == [2, 3]
    assert marks(tmp_path / f"{recorder.prefix}.0{RING_SUFFIX}") == [1, 4]
    (log,) = [
        path for path in tmp_path.glob(f"*{SUFFIX}") if not path.name.startswith(recorder.prefix)
    ]
    ((_, facts),) = NameLogReader(log).read()
    assert facts == WORKER


def test_a_forked_process_that_records_nothing_makes_no_file(recorder: Recorder, tmp_path: Path):
    mark(recorder, 1)
    before = sorted(tmp_path.iterdir())
    child(lambda: None)
    assert sorted(tmp_path.iterdir()) == before


def test_what_still_holds_the_parents_recorder_cannot_spoil_its_files(
    recorder: Recorder, tmp_path: Path
):
    lane = recorder.lane()
    number = recorder.names.number(StageFacts(name="before", kind=StageKind.BLOCK))

    def record_with_the_parents() -> None:
        for _ in range(3):
            lane.write(code(Kind.GAUGE, 1), 0, 0, 0, 666)
        mark(recorder, 666)
        in_thread(lambda: mark(recorder, 666))
        recorder.names.number(StageFacts(name="in the child", kind=StageKind.BLOCK))
        recorder.names.add(number, StageFacts(name="spoilt", kind=StageKind.BLOCK))
        recorder.warn("In the child.")

    before = (tmp_path / f"{recorder.prefix}{SUFFIX}").read_bytes()
    child(record_with_the_parents)
    mark(recorder, 5)
    assert marks(tmp_path / f"{recorder.prefix}.0{RING_SUFFIX}") == [5]
    assert (tmp_path / f"{recorder.prefix}{SUFFIX}").read_bytes() == before
    assert len(rings_in(tmp_path)) == 1
    assert recorder.names.number(StageFacts(name="after", kind=StageKind.BLOCK)) == number + 1


def test_rings_that_rest_in_the_parent_are_not_used_in_a_forked_process(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recording, "RETIRED_REST_NS", -1)
    in_thread(lambda: mark(recorder, 1))
    before = (tmp_path / rings_in(tmp_path)[0]).read_bytes()
    child(lambda: mark(recorder, 666))
    assert (tmp_path / rings_in(tmp_path)[0]).read_bytes() == before


def test_a_process_can_be_forked_while_another_thread_names_something(recorder: Recorder):
    """A lock that another thread holds at that moment is held for ever in the child."""

    def record(mine: Recorder) -> None:
        mark(mine, 1)
        mark(recorder, 1)

    recorder.names.lock.acquire()
    recorder.lock.acquire()
    try:
        child(lambda: own(record))
    finally:
        recorder.lock.release()
        recorder.names.lock.release()


def test_a_forked_process_of_multiprocessing_records_too(recorder: Recorder, tmp_path: Path):
    process = multiprocessing.get_context("fork").Process(
        target=own, args=(lambda mine: mark(mine, 9),)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert [marks(tmp_path / name) for name in rings_in(tmp_path)] == [[9]]


def test_nothing_is_recorded_in_a_forked_process_when_no_profile_is_on():
    def check() -> None:
        assert recording.current is None

    child(check)


# Names


def test_a_host_name_is_fit_for_a_file_name(monkeypatch: pytest.MonkeyPatch):
    for name, plain in (("a.example.org", "a"), ("a b/c", "a-b-c"), ("", "host"), ("..", "host")):
        monkeypatch.setattr("socket.gethostname", lambda name=name: name)
        assert host_name() == plain


def test_a_file_is_named_as_seen_from_where_the_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert relative_file(str(tmp_path / "src" / "train.py")) == "src/train.py"
    assert relative_file("/elsewhere/train.py") == "/elsewhere/train.py"
    assert relative_file("<stdin>") == "<stdin>"
    here = location_of(test_a_host_name_is_fit_for_a_file_name.__code__)
    assert here.short.startswith("test_recorder.py:")


def test_a_working_folder_that_is_gone_leaves_files_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert relative_file("/a/train.py") == "/a/train.py"
