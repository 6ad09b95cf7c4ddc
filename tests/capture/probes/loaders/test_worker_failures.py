"""Workers that end, hang or fail: what is reported of them, and what is not."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.open_calls import OpenCall
from pipeprof.capture.probes.loaders.worker_failures import PATIENCE_NS, WorkerFailures, printer_on
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.errors import StacksUnavailable
from pipeprof.recording.python_stacks import Frame, ThreadStack
from tests.capture.probes.recorded import warnings_of

SECOND = 1_000_000_000
PID, TID = 4_000_001, 4_000_002
LATE = 5 * SECOND + PATIENCE_NS
STACK = (
    Frame(function="read", file="/usr/lib/python3.11/socket.py", line=7),
    Frame(function="load", file="/home/u/train.py", line=41),
)


class Looked:
    """A watch over made-up calls, and what it said."""

    def __init__(self, dump: Callable[[int], tuple[ThreadStack, ...]] | None = None) -> None:
        self.recorder = Recorder(None)
        self.accumulator = Accumulator.begin(start_ns=0, warmup=0)
        self.shown: list[str] = []
        self.watch = WorkerFailures(
            self.recorder, self.accumulator, self.shown.append, dump=dump or self.dump
        )
        self.dumped: list[int] = []

    def dump(self, pid: int) -> tuple[ThreadStack, ...]:
        self.dumped.append(pid)
        other = Frame(function="wait", file="/x/other.py", line=1)
        return tuple(
            ThreadStack(pid=pid, tid=tid, name="", active=True, owns_gil=False, frames=frames)
            for tid, frames in ((TID + 1, (other,)), (TID, STACK))
        )

    def begin(
        self, item: int, *, pid: int = PID, tid: int = TID, since_ns: int = 5 * SECOND
    ) -> None:
        self.accumulator.open_calls[pid, 0] = OpenCall(
            stage=0, item=item, tid=tid, since_ns=since_ns
        )

    @property
    def said(self) -> list[str]:
        return warnings_of(self.recorder)


def test_a_hung_worker_is_reported_once_with_its_batch_and_its_stack() -> None:
    looked = Looked()
    looked.begin(17)
    looked.watch.sample(LATE - 1)
    assert looked.said == []
    for later in range(3):
        looked.watch.sample(LATE + later * SECOND)

    assert looked.said == [
        f"Worker process {PID} has been at batch 17 for 30 s, at load (/home/u/train.py:41)."
    ]
    assert looked.shown == [
        f"pipeprof: {looked.said[0]}\n"
        "  read (/usr/lib/python3.11/socket.py:7)\n"
        "  load (/home/u/train.py:41)\n"
    ]
    assert looked.dumped == [PID]


def test_a_worker_that_hangs_again_is_reported_again() -> None:
    looked = Looked()
    for item in (1, 2):
        looked.begin(item, since_ns=item * SECOND)
        looked.watch.sample(LATE)
    assert len(looked.said) == 2


def test_a_stack_that_cannot_be_seen_is_reported_with_what_to_do() -> None:
    def refuse(pid: int) -> tuple[ThreadStack, ...]:
        raise StacksUnavailable(pid, "the system refuses it", "run as root")

    looked = Looked(refuse)
    looked.begin(3)
    looked.watch.sample(LATE)
    assert looked.said == [
        f"Worker process {PID} has been at batch 3 for 30 s; "
        "where it is cannot be seen: the system refuses it; run as root."
    ]


def test_a_thread_of_our_own_is_looked_at_from_inside() -> None:
    leave, there = threading.Event(), threading.Event()

    def stand_still() -> None:
        there.set()
        leave.wait(10)

    thread = threading.Thread(target=stand_still)
    thread.start()
    there.wait(10)
    looked = Looked()
    looked.begin(4, pid=os.getpid(), tid=thread.native_id or 0)
    looked.watch.sample(LATE)
    leave.set()
    thread.join()

    assert looked.dumped == []
    assert looked.said[0].startswith(f"Thread {thread.native_id} has been at batch 4 for 30 s, at ")
    assert "stand_still" in looked.shown[0]


def test_a_process_that_ended_at_work_is_reported_unless_all_is_over_by_then() -> None:
    looked = Looked()
    looked.begin(9)
    looked.watch.ended(PID, 10 * SECOND)
    looked.watch.ended(PID + 1, 10 * SECOND)  # was at nothing
    looked.accumulator.forget(PID)
    looked.watch.sample(11 * SECOND)
    assert looked.said == []
    looked.watch.sample(12 * SECOND)
    looked.watch.sample(13 * SECOND)

    assert looked.said == [
        f"Worker process {PID} ended while it made batch 9: it was killed, or ran out of memory. "
        "Keras may wait for that batch without end."
    ]


@pytest.mark.parametrize("ends", [True, False])
def test_workers_that_outlive_the_training_are_reported_and_those_about_to_end_are_not(
    ends: bool,
) -> None:
    looked = Looked()
    wait = "import sys; sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", wait], stdin=subprocess.PIPE)
    if ends:
        process.kill()
        process.wait()
    looked.watch.look_for_left_behind({process.pid, PID})
    process.communicate()

    assert looked.said == (
        []
        if ends
        else [
            f"Worker processes still ran when the training was over ({process.pid}): "
            "Keras ends such a pool when it forgets it, or never; end them by their ids."
        ]
    )


def test_zombies_are_reported() -> None:
    looked = Looked()
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    looked.watch.look_for_left_behind({process.pid, PID})
    process.wait()

    assert looked.said == [
        f"Ended worker processes were left behind as zombies ({process.pid}): "
        "whoever started them has to join them."
    ]


def test_workers_that_a_thread_of_their_pool_is_about_to_join_are_no_zombies() -> None:
    looked = Looked()
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    joins = threading.Timer(0.1, process.wait)
    joins.start()
    looked.watch.look_for_left_behind({process.pid, PID})
    joins.join()

    assert looked.said == []


def test_what_is_reported_goes_past_the_streams_buffer_and_a_closed_one_is_no_trouble(
    capfd: pytest.CaptureFixture[str],
) -> None:
    printer_on(2)("one\n")
    assert capfd.readouterr().err == "one\n"
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    printer_on(writing)("nobody\n")
