"""Numbers for the things that events are about, and a log of what those things are.

A process gives every stage, lane, loop and level that it records a small number and appends one line
of JSON about it to its log, at once and unbuffered: with the rings that is all that is needed to
understand a recording whose process died. Later facts about a subject are appended the same way.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeprof.capture.recorder.records import SUBJECT_MASK

Facts = Mapping[str, Any]

SUFFIX = ".names.jsonl"

# A program that makes names as it runs (``stage(f"file {n}")``) must not fill the memory with them.
MOST_OF_A_TYPE = 512
# What all of a type are that come after those; of the other types they are nothing.
FURTHER: Mapping[str, Facts] = {
    "stage": {"type": "stage", "name": "further stages", "kind": "block"},
    "lane": {"type": "lane", "name": "further threads", "role": "other"},
}

# No log of ours comes near this; what lies behind it was not written by pipeprof.
_MOST_BYTES = 64 << 20


class NameLog:
    """Gives out numbers and keeps the log of one process.

    Args:
        path: the log file, made when the first line is written; None keeps the log in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None
        # A signal handler or a finaliser may name something while its thread is in here.
        self.lock = threading.RLock()
        self._numbers: dict[str, int] = {}
        self._met: Counter[str] = Counter()
        self._further: dict[str, int] = {}
        self._last = 0
        self.lines: list[tuple[int, Facts]] = []

    def number(self, facts: Facts) -> int:
        """The number of the thing that these facts describe; the same facts, the same number.

        After `MOST_OF_A_TYPE` things of a type all further ones have one number, that of `FURTHER`.
        """
        key = json.dumps(facts, sort_keys=True)
        with self.lock:
            number = self._numbers.get(key)
            return self._meet(key, facts) if number is None else number

    def _meet(self, key: str, facts: Facts) -> int:
        kind = facts.get("type", "")
        if self._met[kind] == MOST_OF_A_TYPE:
            return self._number_of_further(kind)
        self._met[kind] += 1
        number = self._numbers[key] = self._next()
        self._append(number, facts)
        return number

    def _number_of_further(self, kind: str) -> int:
        if kind not in self._further:
            self._further[kind] = 0
            if kind in FURTHER:
                self._further[kind] = self._next()
                self._append(self._further[kind], FURTHER[kind])
                self._append(self._next(), further_warning(kind))
        return self._further[kind]

    def new(self, facts: Facts) -> int:
        """A number of its own, even when something else has the same facts."""
        with self.lock:
            number = self._next()
            self._append(number, facts)
            return number

    def tell(self, number: int, facts: Facts) -> None:
        """Adds facts to a thing that has a number already; 0 stands for the process itself."""
        with self.lock:
            self._append(number, facts)

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
            line = json.dumps([number, facts]).encode() + b"\n"
            if os.write(self._descriptor, line) < len(line):
                self._close()
        except OSError:
            self._close()  # a full disk: the facts stay in memory, training goes on


def further_warning(kind: str) -> Facts:
    """What a reader must know where there were more things of a type than are told apart."""
    further = FURTHER[kind]["name"]
    text = f"More than {MOST_OF_A_TYPE} names were met: what came later is shown as '{further}'."
    return {"type": "warning", "text": text}


class NameLogReader:
    """Reads a log of another process, or of one that died, line by line as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> Iterator[tuple[int, Facts]]:
        """The lines added since the last call; a line that is not one of ours is passed over."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_MOST_BYTES)
        except OSError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                number, facts = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            if type(number) is int and 0 <= number <= SUBJECT_MASK and isinstance(facts, dict):
                yield number, facts
