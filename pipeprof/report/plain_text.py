"""Text that comes from a run (names, paths, messages), made fit for a screen: it is untrusted."""

import re

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def printable(text: str) -> str:
    """The text in one line, without characters that steer a terminal or cannot be encoded."""
    return "".join(
        " " if character.isspace() else character
        for character in _ANSI.sub("", text)
        if character.isspace() or character.isprintable()
    )


def clean(text: str) -> str:
    """The same with single spaces only: for names and sentences."""
    return " ".join(printable(text).split())
