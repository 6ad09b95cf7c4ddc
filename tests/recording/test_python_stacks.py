"""py-spy's output is read as it is printed, odd names included."""

import json

import pytest

import pipeprof
from pipeprof.recording.python_stacks import Frame, SampledStack, ThreadStack, read_dump, read_raw

RUN = Frame(function="Thread.run", file="/lib/threading.py", line=982)
READ = Frame(function="read", file="/home/me/train (1).py", line=33)
CALLS = "Thread.run (/lib/threading.py:982);read (/home/me/train (1).py:33)"


def stack(pid: int, tid: int, thread: str, samples: int) -> SampledStack:
    return SampledStack(pid=pid, tid=tid, thread=thread, frames=(READ, RUN), samples=samples)


def test_a_recording_is_read_by_process_and_thread() -> None:
    lines = [
        f"thread (12): MainThread;{CALLS} 196",
        f'process 10:"python train.py";thread (11): Dummy-1;{CALLS} 3',
        f'process 10:"python train.py";process 20:"python train.py";thread (20): MainThread;{CALLS} 1',
    ]
    assert read_raw(lines, pid=7) == (
        stack(7, 12, "MainThread", 196),
        stack(10, 11, "Dummy-1", 3),
        stack(20, 20, "MainThread", 1),
    )


def test_names_may_hold_what_separates() -> None:
    odd = f'process 10:"python -c a;process 9:b";thread (11): read; fast;{CALLS} 3'
    (found,) = read_raw([odd], pid=7)
    assert (found.tid, found.frames) == (11, (READ, RUN))


@pytest.mark.parametrize(
    "line",
    ["", "thread (12): MainThread 18", f"{CALLS} 5", f"thread (12): MainThread;{CALLS}", "\n"],
)
def test_lines_without_thread_frames_or_count_are_passed_over(line: str) -> None:
    assert read_raw([line], pid=7) == ()


def test_frames_without_a_line_keep_their_function() -> None:
    (found,) = read_raw(["thread (1): main;<module> (a.py) 2"], pid=7)
    assert found.frames == (Frame(function="<module>", file="a.py", line=0),)


def test_frames_of_no_source_file_are_none() -> None:
    calls = "<module> (a.py:1);__spec__ (__loader__:146447920);<cell line: 1> (<ipython-input-1>:2)"
    (found,) = read_raw([f"thread (1): main;{calls} 2"], pid=7)
    assert [frame.file for frame in found.frames] == ["<ipython-input-1>", "a.py"]


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("/home/me/train.py", True),
        ("train.py", True),
        ("/home/me/lib/python/train.py", True),
        ("/tmp/ipykernel_12/34.py", True),
        ("/usr/lib/python3.11/threading.py", False),
        ("/opt/lib64/python3.13t/queue.py", False),
        ("/env/lib/python3.11/site-packages/keras/src/models/model.py", False),
        ("/usr/lib/python3/dist-packages/numpy/core.py", False),
        ("<frozen importlib._bootstrap>", False),
        (pipeprof.__file__, False),
    ],
)
def test_whose_code_it_is(file: str, users: bool) -> None:
    assert Frame(function="f", file=file, line=1).is_users is users


def test_a_dump_is_read_with_the_innermost_call_first() -> None:
    frame = {"name": "read", "filename": "/home/me/train (1).py", "line": 33, "locals": None}
    thread = {
        "pid": 7,
        "thread_id": 140018056148672,
        "thread_name": None,
        "os_thread_id": 12,
        "active": True,
        "owns_gil": False,
        "frames": [frame],
    }
    assert read_dump(json.dumps([thread])) == (
        ThreadStack(pid=7, tid=12, name="", active=True, owns_gil=False, frames=(READ,)),
    )


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"pid": 3}]', '{"pid": 3}'])
def test_what_is_no_dump_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="no dump of py-spy"):
        read_dump(text)
