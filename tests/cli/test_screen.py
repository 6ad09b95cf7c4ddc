"""What is written suits the stream it is written to."""

import io

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.cli.screen import Screen, write_report, write_side_by_side
from tests.builders import profile


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR")


def test_colours_are_for_terminals() -> None:
    assert Screen.of(Terminal()) == Screen(width=80, color=True, ascii_only=False)
    assert Screen.of(io.StringIO()) == Screen(width=80, color=False, ascii_only=False)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert not Screen.of(Terminal()).color


def test_width_is_that_of_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    assert Screen.of(io.StringIO()).width == 123


@pytest.mark.parametrize(("encoding", "ascii_only"), [("ascii", True), ("utf-8", False)])
def test_only_what_the_stream_can_encode_is_written(encoding: str, ascii_only: bool) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert Screen.of(stream).ascii_only is ascii_only
    found = analyse(profile())
    write_report(found, stream)
    write_side_by_side([("one", found)], stream)
