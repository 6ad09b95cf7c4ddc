"""What threads in stages wait for, seen in their frames."""

import multiprocessing
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.probes.system.helper_waits import HelperWaitSampler
from pipeprof.capture.recorder.recorder import OUTSIDE, Recorder
from pipeprof.capture.recorder.records import Kind
from tests.capture.probes.recorded import events


@contextmanager
def thread_in(
    work: Callable[[], object], recorder: Recorder, *, in_stage: bool = True
) -> Iterator[int]:
    """A thread with a lane that does something which blocks; gives its number when it is about to."""
    about_to = threading.Event()

    def run() -> None:
        recorder.lane().inner_ns = 0 if in_stage else OUTSIDE
        about_to.set()
        work()

    thread = threading.Thread(target=run)
    thread.start()
    about_to.wait()
    assert thread.ident is not None
    yield thread.ident
    thread.join()


def seen(recorder: Recorder, until: Callable[[Recorder], bool]) -> list[tuple[int, int]]:
    """Samples until a condition holds, then those of one more sample: whether in a stage, and waiting."""
    sampler = HelperWaitSampler(recorder, lambda: (1,), channel_of=lambda native_id: "")
    while not until(recorder):
        pass
    sampler.sample(1)
    return [(event.inner, event.value) for event in events(recorder, Kind.IN_STAGE)]


def stands_in(ident: int, file: str) -> Callable[[Recorder], bool]:
    def stands(recorder: Recorder) -> bool:
        frame = frames_by_thread().get(ident)
        return frame is not None and frame.f_code.co_filename.endswith(file)

    return stands


def test_to_wait_for_a_future_is_to_wait_for_a_pool() -> None:
    recorder, future = Recorder(None), Future[int]()
    with thread_in(future.result, recorder) as ident:
        found = seen(recorder, stands_in(ident, "threading.py"))
        future.set_result(1)
    assert found == [(1, 1)]


def test_to_receive_from_a_process_is_to_wait_for_it() -> None:
    recorder = Recorder(None)
    here, there = multiprocessing.Pipe()
    with thread_in(here.recv, recorder) as ident:
        found = seen(recorder, stands_in(ident, "connection.py"))
        there.send(1)
    assert found == [(1, 1)]


def test_a_queue_of_threads_is_no_pool() -> None:
    recorder, items = Recorder(None), queue.Queue[int]()
    with thread_in(items.get, recorder) as ident:
        found = seen(recorder, stands_in(ident, "threading.py"))
        items.put(1)
    assert found == [(1, 0)]


def test_a_thread_outside_of_stages_is_not_looked_at() -> None:
    recorder, future = Recorder(None), Future[int]()
    with thread_in(future.result, recorder, in_stage=False) as ident:
        found = seen(recorder, stands_in(ident, "threading.py"))
        future.set_result(1)
    assert found == []


@pytest.mark.parametrize(("channel", "waits"), [("anon_pipe_read", 1), ("futex_wait_queue", 0)])
def test_a_thread_that_the_system_shows_at_a_pipe_waits_for_a_program(
    channel: str, waits: int
) -> None:
    recorder = Recorder(None)
    recorder.lane().inner_ns = 0
    HelperWaitSampler(recorder, lambda: (1,), channel_of=lambda native_id: channel).sample(1)
    assert [event.value for event in events(recorder, Kind.IN_STAGE)] == [waits]


# Kernels that do not show what a thread waits in give one of the latter.
SHOWN, NOT_SHOWN = {"pipe_read", "anon_pipe_read"}, {"0", ""}


def test_the_system_shows_a_thread_that_reads_what_a_program_writes() -> None:
    recorder = Recorder(None)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        with thread_in(program.stdout.read, recorder) as ident:
            native_id = recorder.lanes[ident].native_id
            channel = _channel_at_rest(native_id)
            while channel not in SHOWN | NOT_SHOWN:
                channel = _channel_at_rest(native_id)
            program.stdin.close()
    if channel in NOT_SHOWN:
        pytest.skip("this kernel does not show what a thread waits in")
    assert channel in SHOWN


def _channel_at_rest(native_id: int) -> str | None:
    """What a thread waits in, or None if it ran meanwhile."""
    task = Path(f"/proc/self/task/{native_id}")
    before = (task / "status").read_text()
    channel = (task / "wchan").read_text()
    slept = "State:\tS" in before and before == (task / "status").read_text()
    return channel if slept else None


def test_without_child_processes_nobody_looks() -> None:
    recorder = Recorder(None)
    recorder.lane().inner_ns = 0
    HelperWaitSampler(recorder, tuple, channel_of=lambda native_id: "pipe_read").sample(1)
    assert events(recorder, Kind.IN_STAGE) == []
