"""Numbers the subjects of events, and logs the facts about each.

A process gives every stage, lane, loop and gauge that it records a small number and appends one line of
JSON with its facts to its log, at once and unbuffered. Rings and log together are enough to read a
recording whose process died. Later facts about a subject are appended in another line. Only this module
knows the JSON; the log of another process may hold anything, so every type is checked.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipeprof.capture.recorder.facts import Facts, LaneFacts, StageFacts, WarningFacts
from pipeprof.capture.recorder.records import SUBJECT_MASK
from pipeprof.errors import RunDamaged
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.stage import StageKind

SUFFIX = ".names.jsonl"

# A program that makes names as it runs (``stage(f"file {n}")``) must not fill the memory with them.
MOST_OF_A_TYPE = 512
# Facts of all stages and of all lanes beyond that number; subjects of other types are not recorded then.
FURTHER_STAGES = StageFacts(name="further stages", kind=StageKind.BLOCK)
FURTHER_LANES = LaneFacts(name="further threads", role=Role.OTHER, kind=LaneKind.FURTHER)

# pipeprof's own logs are far smaller: what lies behind this was written by something else.
_MOST_BYTES = 64 << 20

# Facts hold no arrays.
_NO_NUMBERS = np.empty(0, np.int64)


class NameLog:
    """Gives numbers to subjects and writes the log of one process.

    Args:
        path: the log file, made when the first line is written; None for a log in memory only.

    Attributes:
        lines: number and facts of each line so far.
        lock: held while the log is changed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None
        # Reentrant: a signal handler or finaliser may ask for a number while its thread is in here.
        self.lock = threading.RLock()
        self._numbers: dict[Facts, int] = {}
        self._counts: Counter[type[Facts]] = Counter()
        self._further: dict[type[Facts], int] = {}
        self._last = 0
        self.lines: list[tuple[int, Facts]] = []

    def number(self, facts: Facts) -> int:
        """The number of the subject with these facts; equal facts have one number.

        After `MOST_OF_A_TYPE` subjects of a type all further ones share a number, that of
        `FURTHER_STAGES` or `FURTHER_LANES`, or 0 for other types.
        """
        with self.lock:
            number = self._numbers.get(facts)
            return self._number_new(facts) if number is None else number

    def _number_new(self, facts: Facts) -> int:
        kind = type(facts)
        if self._counts[kind] == MOST_OF_A_TYPE:
            if kind not in self._further:
                self._further[kind] = self._number_of_further(facts)
            return self._further[kind]
        self._counts[kind] += 1
        number = self._numbers[facts] = self._next()
        self._append(number, facts)
        return number

    def _number_of_further(self, facts: Facts) -> int:
        match facts:
            case StageFacts():
                further: StageFacts | LaneFacts = FURTHER_STAGES
            case LaneFacts():
                further = FURTHER_LANES
            case _:
                return 0
        number = self._next()
        self._append(number, further)
        self._append(self._next(), further_warning(further))
        return number

    def new(self, facts: Facts) -> int:
        """A new number for a subject, even when another subject has equal facts."""
        with self.lock:
            number = self._next()
            self._append(number, facts)
            return number

    def add(self, number: int, facts: Facts) -> None:
        """Logs later facts about a subject that has a number."""
        with self.lock:
            self._append(number, facts)

    def moved(self, path: Path) -> None:
        """The log file, if there is one, lies elsewhere now; call it with the lock held."""
        if self._path is not None:
            self._path = path

    def close(self) -> None:
        """Closes the file; later facts stay in memory."""
        with self.lock:
            self._close()

    def _close(self) -> None:
        self._path = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _next(self) -> int:
        self._last = min(self._last + 1, SUBJECT_MASK)
        return self._last

    def _append(self, number: int, facts: Facts) -> None:
        self.lines.append((number, facts))
        if self._path is None:
            return
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o644)
            line = json.dumps([number, Encoder().encode(facts)]).encode() + b"\n"
            if os.write(self._descriptor, line) < len(line):
                self._close()
        except OSError:
            self._close()  # a full disk: the facts stay in memory, training goes on


def further_warning(further: StageFacts | LaneFacts) -> WarningFacts:
    """The warning that there were more stages or lanes than are recorded one by one."""
    return WarningFacts(
        text=f"More than {MOST_OF_A_TYPE} names were met: what came later is shown as '{further.name}'."
    )


class NameLogReader:
    """Reads the log of another process, which may still grow or have died, line by line.

    Args:
        path: the log file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> Iterator[tuple[int, Facts]]:
        """Number and facts of each line added since the last call; lines that do not fit are skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_MOST_BYTES)
        except OSError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError, TypeError, RecursionError, RunDamaged):
                yield _read_line(line)


def _read_line(line: bytes) -> tuple[int, Facts]:
    number, encoded = json.loads(line)
    if type(number) is not int or not 0 <= number <= SUBJECT_MASK:
        raise ValueError(f"expected the number of a thing, found {number!r:.40}")
    decode: Any = Decoder(_NO_NUMBERS).decode
    facts: Facts = decode(Facts, encoded)
    return number, facts
