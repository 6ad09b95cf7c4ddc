"""What heads the columns of a table: a title for readers, and what stands below it, for the layout."""

from collections.abc import Iterable
from enum import Enum, auto

from pipeprof.recording.light_dataclasses import dataclass


class Holds(Enum):
    """What stands in a column."""

    NAME = auto()
    """A name, which may be cut short."""
    PLACE = auto()
    """A file with its line, of which the end counts."""
    NUMBER = auto()
    """A quantity, set flush right."""
    TEXT = auto()
    """A few words, which are never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The head of a column."""

    title: str
    holds: Holds


def headings(**columns: Holds) -> tuple[Heading, ...]:
    """Heads of columns from left to right; an underscore in a keyword is a space in the title."""
    return tuple(
        Heading(title=name.replace("_", " "), holds=holds) for name, holds in columns.items()
    )


def titles(of: Iterable[Heading]) -> tuple[str, ...]:
    """What the columns are called."""
    return tuple(heading.title for heading in of)
