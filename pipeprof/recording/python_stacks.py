"""Python stacks as plain values, and how to read them from what py-spy prints.

Knows py-spy's formats (of version 0.4), not how it is run.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeprof.recording.code_owner import is_users_file

_SOURCES = (".py", ".pyc", ".pyw", ".pyx")

_FRAME = re.compile(r"(?P<function>.*?) \((?P<file>.*?)(?::(?P<line>\d+))?\)")
_PROCESS = re.compile(r'(?:^|;)process (\d+):"')
_THREAD = re.compile(r"(?:^|;)thread \((\d+)\)(?:: )?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A call on a stack.

    Attributes:
        function: its name, from Python 3.11 on with the class's.
        file: full path of the source file.
        line: the line that runs, 0 where it is not known.
    """

    function: str
    file: str
    line: int

    @property
    def is_users(self) -> bool:
        """Whether it is the user's code: of no installed package, not Python's own, not pipeprof's."""
        return is_users_file(self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadStack:
    """What one thread was doing at one moment.

    Attributes:
        pid: its process.
        tid: its number to the system; None where py-spy could not tell.
        name: its name to Python.
        active: whether it was running, and not waiting.
        owns_gil: whether it held the interpreter's lock.
        frames: the innermost call first.
    """

    pid: int
    tid: int | None
    name: str
    active: bool
    owns_gil: bool
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledStack:
    """A stack that was met so many times in a window of samples.

    Attributes:
        pid: its process.
        tid: its thread's number to the system.
        thread: its thread's name to Python.
        frames: the innermost call first.
        samples: how often it was met.
    """

    pid: int
    tid: int
    thread: str
    frames: tuple[Frame, ...]
    samples: int


def read_dump(text: str) -> tuple[ThreadStack, ...]:
    """Reads ``py-spy dump --json``.

    Raises:
        ValueError: it is not that.
    """
    try:
        return tuple(
            ThreadStack(
                pid=int(thread["pid"]),
                tid=thread["os_thread_id"],
                name=thread["thread_name"] or "",
                active=bool(thread["active"]),
                owns_gil=bool(thread["owns_gil"]),
                frames=tuple(
                    Frame(function=each["name"], file=each["filename"], line=each["line"])
                    for each in thread["frames"]
                ),
            )
            for thread in json.loads(text)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no dump of py-spy: {error!r}") from error


def read_raw(lines: Sequence[str], pid: int) -> tuple[SampledStack, ...]:
    """Reads ``py-spy record --format raw --threads --full-filenames``, line by line.

    Frames of source files only; lines that have none, or no thread, are passed over.

    Args:
        lines: what was printed: a stack with its count in each.
        pid: the process that was asked for, which is named only where its children are recorded too.
    """
    found = (_read_stack(line, pid) for line in lines)
    return tuple(stack for stack in found if stack is not None)


def _read_stack(line: str, pid: int) -> SampledStack | None:
    stack, _, count = line.rstrip().rpartition(" ")
    # Command lines and thread names may hold anything: the last mark counts for both.
    threads = list(_THREAD.finditer(stack))
    if not count.isdecimal() or not threads:
        return None
    thread = threads[-1]
    processes = _PROCESS.findall(stack, 0, thread.start())
    name, *calls = stack[thread.end() :].split(";")
    frames = [frame for call in calls if (frame := _read_frame(call)) is not None]
    if not frames:
        return None
    return SampledStack(
        pid=int(processes[-1]) if processes else pid,
        tid=int(thread[1]),
        thread=name,
        frames=tuple(reversed(frames)),
        samples=int(count),
    )


def _read_frame(call: str) -> Frame | None:
    match = _FRAME.fullmatch(call)
    # A process that was not halted may have put something else where its frame was.
    if match is None or (not match["file"].endswith(_SOURCES) and match["file"][:1] != "<"):
        return None
    return Frame(function=match["function"], file=match["file"], line=int(match["line"] or 0))
