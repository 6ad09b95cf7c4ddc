"""Real processes looked into by the real py-spy; skipped where the system refuses it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeprof.capture.probes.stacks import py_spy
from pipeprof.errors import StacksUnavailable

SCRIPT = """
import threading
import time

def wait():
    threading.Event().wait()  # line 6

def spin():
    while True:
        sum(range(100))  # line 10

threading.Thread(target=wait, name="waiting; for", daemon=True).start()
threading.Thread(target=spin, name="spinning", daemon=True).start()
print("ready", flush=True)
wait()
"""


@pytest.fixture
def pid(tmp_path: Path) -> Iterator[int]:
    script = tmp_path / "busy.py"
    script.write_text(SCRIPT)
    child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        py_spy.dump(child.pid)
    except StacksUnavailable as error:
        pytest.skip(str(error))
    else:
        yield child.pid
    finally:
        child.kill()
        child.communicate()


def test_a_dump_shows_what_each_thread_does(pid: int) -> None:
    threads = {thread.name: thread for thread in py_spy.dump(pid)}
    assert set(threads) == {"MainThread", "waiting; for", "spinning"}
    assert threads["MainThread"].tid == pid
    waiting = threads["waiting; for"]
    assert not waiting.active
    assert not waiting.owns_gil
    assert any(frame.function == "wait" and frame.line == 6 for frame in waiting.frames)


def test_a_recording_counts_waiting_threads_and_one_of_the_lock_does_not(pid: int) -> None:
    everything = py_spy.Recording(pid, seconds=1)
    locked = py_spy.Recording(pid, seconds=1, gil=True)
    seen = {(each.tid, frame.function) for each in everything.collect() for frame in each.frames}
    assert {name for _, name in seen} >= {"wait", "spin"}
    holders = locked.collect()
    assert {frame.function for each in holders for frame in each.frames} >= {"spin"}
    assert "wait" not in {frame.function for each in holders for frame in each.frames}
    assert sum(each.samples for each in holders) <= locked.sample_count


def test_a_recording_that_is_closed_leaves_nothing(
    pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recording = py_spy.Recording(pid, seconds=600)
    assert list(tmp_path.glob("pipeprof-*"))
    recording.close()
    assert recording.done
    assert list(tmp_path.glob("pipeprof-*")) == []
    assert py_spy.dump(pid)  # it goes on


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["by hand", "background"])
def interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a shell leaves of interrupts for scripts that it starts, in the background nothing."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_a_recording_can_be_cut_short_at_once(pid: int) -> None:
    recording = py_spy.Recording(pid, seconds=600)
    recording.cut_short()
    assert isinstance(recording.collect(), tuple)  # how much it has seen by then is left to chance
    assert recording.done


def test_what_is_no_python_is_said_so() -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        with pytest.raises(StacksUnavailable, match=r"runs no Python|refuses"):
            py_spy.dump(child.pid)
    finally:
        child.kill()
        child.wait()
