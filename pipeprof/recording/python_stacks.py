"""Python stacks as plain values, and the reading of them from py-spy's output.

It knows py-spy's formats (of version 0.4), not how py-spy is run.
"""

import json
import re
from collections.abc import Sequence

from pipeprof.recording.code_owner import is_users_file
from pipeprof.recording.light_dataclasses import dataclass

_SOURCES = (".py", ".pyc", ".pyw", ".pyx")

_FRAME = re.compile(r"(?P<function>.*?) \((?P<file>.*?)(?::(?P<line>\d+))?\)")
_PROCESS = re.compile(r'(?:^|;)process (\d+):"')
_THREAD = re.compile(r"(?:^|;)thread \((\d+)\)(?:: )?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A call on a stack.

    Attributes:
        function: name of the function; from Python 3.11 on with that of its class.
        file: full path of the source file.
        line: the line that runs, or 0 where it is not known.
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
    """The stack of one thread at one moment.

    Attributes:
        pid: process of the thread.
        tid: the system's number of the thread, or None where py-spy did not find it.
        name: Python's name of the thread.
        active: whether the thread was running, and not waiting.
        owns_gil: whether the thread held the GIL.
        frames: the calls, innermost first.
    """

    pid: int
    tid: int | None
    name: str
    active: bool
    owns_gil: bool
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledStack:
    """A stack of one thread, and in how many samples it was seen.

    Attributes:
        pid: process of the thread.
        tid: the system's number of the thread.
        thread: Python's name of the thread.
        frames: the calls, innermost first.
        samples: how often the stack was seen.
    """

    pid: int
    tid: int
    thread: str
    frames: tuple[Frame, ...]
    samples: int


def read_dump(text: str) -> tuple[ThreadStack, ...]:
    """Reads the output of ``py-spy dump --json``.

    Raises:
        ValueError: the text is something else.
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
    """Reads the output of ``py-spy record --format raw --threads --full-filenames``.

    Only frames of source files are kept. A line without such a frame, or without a thread, is skipped.

    Args:
        lines: the output; each line is a stack and its count.
        pid: the process that py-spy recorded. py-spy names it only where it records its children too.
    """
    found = (_read_stack(line, pid) for line in lines)
    return tuple(stack for stack in found if stack is not None)


def _read_stack(line: str, pid: int) -> SampledStack | None:
    stack, _, count = line.rstrip().rpartition(" ")
    # Command lines and thread names may hold any text: the last match counts for both.
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
    # The process was not halted: it may have overwritten a frame while py-spy read it.
    if match is None or (not match["file"].endswith(_SOURCES) and match["file"][:1] != "<"):
        return None
    return Frame(function=match["function"], file=match["file"], line=int(match["line"] or 0))
