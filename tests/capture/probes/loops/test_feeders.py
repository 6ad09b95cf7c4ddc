import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import worker
from types import FrameType

from pipeprof.capture.probes.loops.feeders import Feeders
from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.probes.python.thread_places import PlaceReader
from pipeprof.capture.recorder.facts import PlaceFacts
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.recording.account import FeederKind, FeedingLane
from pipeprof.recording.source_code import Location

WAITS_AT = Location("train.py", 9)


@dataclass
class Child:
    """What is read of a process of multiprocessing's."""

    name: str
    _target: Callable[..., object]


@contextmanager
def running(
    target: Callable[[], object],
    name: str,
    make: Callable[..., threading.Thread] = threading.Thread,
) -> Iterator[int]:
    thread = make(target=target, name=name)
    thread.start()
    yield thread.ident or 0
    thread.join()


def find(frames: dict[int, FrameType], *children: Child) -> list[PlaceFacts]:
    feeders = Feeders(PlaceReader())
    return list(feeders.find(frames, threading.get_ident(), WAITS_AT, children))


def frames_of(*threads: int) -> dict[int, FrameType]:
    return {thread: frames_by_thread()[thread] for thread in threads}


def meet(function: str, thread: int) -> None:
    """Waits until a thread has come to a function."""
    while frames_by_thread()[thread].f_code.co_name != function:
        time.sleep(0)


def read_batch() -> None: ...


def test_where_the_training_does_not_wait_processes_are_of_no_interest() -> None:
    feeders, child = Feeders(PlaceReader()), Child("Process-1", read_batch)
    assert list(feeders.find({}, threading.get_ident(), None, [child])) == []
    assert len(list(feeders.find({}, threading.get_ident(), WAITS_AT, [child]))) == 1


def test_a_thread_at_work_feeds_and_one_that_is_blocked_does_not() -> None:
    done = threading.Event()
    full: queue.Queue[int] = queue.Queue(1)
    full.put(0)

    def load() -> None:
        while not done.is_set():
            pass

    def hand_over() -> None:
        full.put(1)

    with running(load, "loader") as works, running(hand_over, "blocked") as blocked:
        meet("wait", blocked)
        found = find(frames_of(works, blocked), Child("Process-1", read_batch))
        done.set()
        full.get()
    [place] = found
    assert (place.function, place.feeder) == (
        "load",
        FeedingLane(kind=FeederKind.THREAD, name="loader"),
    )
    assert place.location.file.endswith("test_feeders.py")


def test_pipeprofs_own_threads_feed_nobody() -> None:
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            pass

    with running(collect, "collector", make=OwnThread) as own:
        found = find(frames_of(own))
        done.set()
    assert found == []


def test_a_process_is_named_by_its_target_or_by_its_own_name() -> None:
    by_target, by_name = find({}, Child("Process-1", read_batch), Child("ForkPoolWorker-1", worker))
    assert (by_target.function, by_target.feeder) == (
        "read_batch",
        FeedingLane(kind=FeederKind.PROCESS, name="Process-1"),
    )
    assert by_target.location.line == read_batch.__code__.co_firstlineno
    assert by_name == PlaceFacts(
        function="ForkPoolWorker-1",
        location=WAITS_AT,
        feeder=FeedingLane(kind=FeederKind.PROCESS, name="ForkPoolWorker-1"),
    )
