"""Lines that stay at the bottom of a terminal, on a terminal that is emulated."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator

import pyte
import pytest

from pipeprof.cli.status_area import StatusArea


class Terminal:
    """A terminal of so many rows, what was written to it, and how it looks."""

    def __init__(self, rows: int = 12) -> None:
        self._outside, inside = pty.openpty()
        self.stream = os.fdopen(inside, "w")
        self._screen = pyte.Screen(30, rows)
        self._parser = pyte.ByteStream(self._screen)
        self.resize(rows)

    def resize(self, rows: int) -> None:
        fcntl.ioctl(self._outside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 30, 0, 0))
        self._screen.resize(lines=rows, columns=30)

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def rows(self) -> list[str]:
        self.write("\x00")
        data = b""
        while not data.endswith(b"\x00"):
            data += os.read(self._outside, 4096)
        self._parser.feed(data[:-1])
        return [row.rstrip() for row in self._screen.display]

    def close(self) -> None:
        self.stream.close()
        os.close(self._outside)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


RULE = "─" * 30


def test_a_program_writes_above_the_lines(terminal: Terminal):
    area = StatusArea(terminal.stream, 2)
    terminal.write("before\n")
    area.show(["one", "two"])
    terminal.write("after\n")

    rows = terminal.rows()
    assert rows[-3:] == [RULE, "one", "two"]
    assert [row for row in rows[:-3] if row] == ["before", "after"]


def test_what_scrolls_away_is_never_a_line_of_ours(terminal: Terminal):
    area = StatusArea(terminal.stream, 2)
    area.show(["one", "two"])
    for number in range(50):
        terminal.write(f"line {number}\n")
        area.show([f"one {number}", "two"])

    assert terminal.rows() == [*(f"line {n}" for n in range(42, 50)), "", RULE, "one 49", "two"]


def test_a_progress_bar_is_rewritten_in_its_place(terminal: Terminal):
    area = StatusArea(terminal.stream, 1)
    for number in range(3):
        terminal.write(f"\r{number}/3 [=====]")
        area.show([f"state {number}"])

    rows = terminal.rows()
    assert [row for row in rows if row] == ["2/3 [=====]", RULE, "state 2"]


def test_the_whole_terminal_is_given_back(terminal: Terminal):
    area = StatusArea(terminal.stream, 2)
    area.show(["one", "two"])
    area.close()
    for number in range(50):
        terminal.write(f"line {number}\n")

    assert terminal.rows() == [*(f"line {n}" for n in range(39, 50)), ""]


def test_lines_move_with_the_size_of_the_terminal(terminal: Terminal):
    area = StatusArea(terminal.stream, 1)
    area.show(["state"])
    terminal.rows()
    terminal.resize(16)
    area.show(["state"])

    assert terminal.rows()[-2:] == [RULE, "state"]


def test_a_terminal_without_room_is_left_to_the_program(terminal: Terminal):
    terminal.resize(7)
    area = StatusArea(terminal.stream, 2)
    area.show(["one", "two"])
    terminal.write("text\n")
    area.close()

    assert [row for row in terminal.rows() if row] == ["text"]
