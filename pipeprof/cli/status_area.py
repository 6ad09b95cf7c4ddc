"""Shows lines at the bottom of a terminal that stay there while a program writes above them.

As package managers do for progress bars, it sets the terminal to scroll only the part above these lines, so
the program's output need not pass through here. Control sequences: ECMA-48, and DECSTBM of the VT100, which
all current terminals support.
"""

import os
from collections.abc import Sequence
from typing import TextIO

_SAVE, _RESTORE = "\x1b7", "\x1b8"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[2K", "\x1b[J"
_WHOLE_SCREEN = "\x1b[r"
_DIM, _PLAIN = "\x1b[2m", "\x1b[m"

# A terminal must keep this many lines for the program.
_LEAST_ROWS_ABOVE = 6


class StatusArea:
    """The lines at the bottom of one terminal.

    Args:
        stream: a terminal.
        height: how many lines.
    """

    def __init__(self, stream: TextIO, height: int) -> None:
        self._descriptor = stream.fileno()
        self._height = height + 1  # a rule above
        self._size: os.terminal_size | None = None

    def show(self, lines: Sequence[str]) -> None:
        """Shows lines; does nothing if the terminal is too small.

        Raises:
            OSError: the terminal was closed.
        """
        size = os.get_terminal_size(self._descriptor)
        if size != self._size:
            self._release()
            if size.lines < self._height + _LEAST_ROWS_ABOVE:
                return
            self._reserve(size)
        first = size.lines - self._height + 1
        drawn = [f"{_DIM}{'─' * size.columns}{_PLAIN}", *lines]
        text = "".join(
            f"{_row(first + number)}{_CLEAR_LINE}{line}" for number, line in enumerate(drawn)
        )
        self._write(f"{_SAVE}{text}{_RESTORE}")

    def close(self) -> None:
        """Removes the lines, so that the whole terminal scrolls again."""
        self._release()

    def _reserve(self, size: os.terminal_size) -> None:
        """Makes room by scrolling, and sets only the part above to scroll from now on."""
        above = size.lines - self._height
        down = "\n" * self._height
        self._write(f"{down}\x1b[{self._height}A{_SAVE}\x1b[1;{above}r{_RESTORE}")
        self._size = size

    def _release(self) -> None:
        if self._size is None:
            return
        first = self._size.lines - self._height + 1
        self._write(f"{_SAVE}{_WHOLE_SCREEN}{_row(first)}{_CLEAR_BELOW}{_RESTORE}")
        self._size = None

    def _write(self, text: str) -> None:
        # Unbuffered and in one piece, so that the program's output cannot come between.
        data = text.encode()
        while data:
            data = data[os.write(self._descriptor, data) :]


def _row(number: int) -> str:
    return f"\x1b[{number};1H"
