"""Text that comes from a run (names, paths, messages), made fit for a screen: it is untrusted."""

import re

from rich.cells import cell_len

MISSING = "\N{EN DASH}"

_NAME_WIDTH = 60
_SENTENCE_WIDTH = 400

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def printable(text: str) -> str:
    """The text in one line, without characters that steer a terminal or cannot be encoded."""
    return "".join(
        " " if character.isspace() else character
        for character in _ANSI.sub("", text)
        if character.isspace() or character.isprintable()
    )


def clean(text: str) -> str:
    """Printable text in one line with single spaces only: for names and sentences."""
    return " ".join(printable(text).split())


def shorten(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis where it takes more than ``width`` cells."""
    if cell_len(text) <= width:
        return text
    kept = text[: max(width - 1, 0)]
    while kept and cell_len(kept) > width - 1:
        kept = kept[:-1]
    return f"{kept}…"


def shorten_location(text: str, width: int) -> str:
    """``file:line`` in at most ``width`` cells: the file is cut, the line's number is kept."""
    file, colon, line = text.rpartition(":")
    room = width - cell_len(line) - 1
    return f"{shorten(file, room)}:{line}" if colon and room > 2 else shorten(text, width)


def shown(text: str) -> str:
    """A name from the run, fit for a screen and not endless."""
    return shorten(clean(text), _NAME_WIDTH) or MISSING


def sentence(text: str) -> str:
    """A sentence with names of the run in it, fit for a screen and not endless."""
    return shorten(clean(text), _SENTENCE_WIDTH)
