"""Windows of samples: when they are, and what is recorded of them."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeprof.capture.probes.stacks.stack_windows import StackSampler
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.errors import StacksUnavailable
from pipeprof.recording.python_stacks import Frame, SampledStack
from pipeprof.recording.source_code import CodeLine, Location
from tests.capture.probes.recorded import events, warnings_of

SECOND = 1_000_000_000
PID, WORKER = os.getpid(), 999_999

THREADING = Frame(
    function="Thread.run", file=os.path.__file__.replace("posixpath", "threading"), line=9
)
LIBRARY = Frame(function="load", file="/x/site-packages/lib/io.py", line=5)


def seen(tid: int, samples: int, *frames: Frame, pid: int = PID) -> SampledStack:
    return SampledStack(pid=pid, tid=tid, thread="x", frames=frames, samples=samples)


class FakeRecording:
    """A recording that gives what it was given, once it is `done`."""

    def __init__(self, stacks: Iterable[SampledStack]) -> None:
        self.stacks = tuple(stacks)
        self.done = False
        self.closed = False

    def cut_short(self) -> None:
        self.done = True

    def collect(self) -> tuple[SampledStack, ...]:
        assert self.done
        return self.stacks

    def close(self) -> None:
        self.closed = True


class Looks:
    """Stands for py-spy; counts the windows."""

    def __init__(self, every: Iterable[SampledStack], holding: Iterable[SampledStack]) -> None:
        self.given = {False: tuple(every), True: tuple(holding)}
        self.made: list[FakeRecording] = []

    def __call__(self, pid: int, *, gil: bool = False, **_: Any) -> Any:
        assert pid == PID
        self.made.append(FakeRecording(self.given[gil]))
        return self.made[-1]

    def end(self) -> None:
        for recording in self.made:
            recording.done = True


@pytest.fixture
def code_file(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text("def f():\n    with open('a') as b:\n        b.read()\n")
    return file


def sampler(look: Any, steady: bool = True, files: tuple[str, ...] = ()) -> StackSampler:
    return StackSampler(Recorder(None), lambda: steady, lambda: files, look=look)


def test_windows_begin_after_the_warm_up_and_are_few() -> None:
    looks = Looks((), ())
    steady: list[bool] = []
    tried = StackSampler(Recorder(None), lambda: bool(steady), tuple, look=looks)
    tried.sample(1 * SECOND)
    assert looks.made == []
    steady.append(True)
    for second in range(2, 100_000):
        tried.sample(second * SECOND)
        looks.end()
    assert len(looks.made) == 2 * 5
    assert all(recording.closed for recording in looks.made)


def test_without_any_steps_it_looks_after_a_while() -> None:
    looks = Looks((), ())
    tried = sampler(looks, steady=False)
    for second in range(1, 15):
        tried.sample(second * SECOND)
    assert len(looks.made) == 2


def test_stacks_are_the_users_code_with_its_text(code_file: Path) -> None:
    inside = Frame(function="f", file=str(code_file), line=3)
    looks = Looks(
        (
            seen(7, 30, LIBRARY, inside, THREADING),
            seen(8, 20, inside, THREADING),
            seen(9, 50, THREADING),
        ),
        (),
    )
    tried = sampler(looks)
    tried.sample(SECOND)
    looks.end()
    tried.sample(2 * SECOND)
    (event,) = events(tried.recorder, Kind.STACK)
    assert event.value == 50
    assert event.subject.lines == (
        CodeLine(function="f", location=Location(str(code_file), 3), text="b.read()", blocks=(2,)),
    )


def test_a_stage_of_a_library_is_shown_too() -> None:
    looks = Looks((seen(7, 30, LIBRARY, THREADING),), ())
    tried = sampler(looks, files=(LIBRARY.file,))
    tried.sample(SECOND)
    looks.end()
    tried.sample(2 * SECOND)
    (event,) = events(tried.recorder, Kind.STACK)
    assert [line.function for line in event.subject.lines] == ["load"]


def test_the_gil_is_recorded_by_lane_over_all_samples() -> None:
    looks = Looks(
        (
            seen(PID, 100, THREADING),
            seen(7, 60, THREADING),
            seen(WORKER, 80, THREADING, pid=WORKER),
        ),
        (seen(7, 40, THREADING), seen(WORKER, 90, THREADING, pid=WORKER)),
    )
    tried = sampler(looks)
    tried.sample(SECOND)
    looks.end()
    tried.sample(2 * SECOND)
    found = {
        (event.name, event.subject.pid): (event.value, event.inner)
        for event in events(tried.recorder, Kind.GIL)
    }
    assert found == {
        ("main", None): (0, 100),
        ("thread", None): (40, 100),
        ("worker process", WORKER): (80, 80),
    }


def test_a_thread_that_has_ended_before_py_spy_is_still_known() -> None:
    begun, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (begun.set(), over.wait()), name="feeder")
    thread.start()
    begun.wait()
    tid = thread.native_id
    assert tid is not None
    looks = Looks((seen(tid, 100, THREADING),), (seen(tid, 40, THREADING),))
    tried = sampler(looks)
    tried.sample(SECOND)
    over.set()
    thread.join()
    looks.end()
    tried.sample(2 * SECOND)

    [event] = events(tried.recorder, Kind.GIL)
    assert (event.name, event.value, event.inner) == ("feeder", 40, 100)


def test_a_window_is_cut_short_at_the_end() -> None:
    looks = Looks((seen(PID, 10, THREADING),), ())
    tried = sampler(looks)
    tried.sample(SECOND)
    tried.finish(2 * SECOND)
    assert all(recording.closed for recording in looks.made)
    assert len(events(tried.recorder, Kind.GIL)) == 1
    tried.sample(900 * SECOND)
    assert len(looks.made) == 2


def test_a_training_that_is_over_too_soon_is_reported() -> None:
    tried = sampler(Looks((), ()))
    tried.sample(SECOND)
    tried.finish(2 * SECOND)
    (warning,) = warnings_of(tried.recorder)
    assert "over before py-spy had seen any stacks" in warning


def test_a_refusal_is_one_warning_and_the_end_of_it() -> None:
    asked = []

    def refuse(pid: int, **_: Any) -> Any:
        asked.append(pid)
        raise StacksUnavailable(pid, "the system refuses it", "ask the system")

    tried = sampler(refuse)
    for second in range(1, 1_000):
        tried.sample(second * SECOND)
    tried.finish(SECOND)
    assert len(asked) == 1
    assert warnings_of(tried.recorder) == [
        "The Python stacks could not be read: the system refuses it; what to do: ask the system."
    ]
