"""Lines of the user's source code, and stacks of them."""

from pathlib import PurePath

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's code; ``file`` is relative to the folder where the run started, if below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def short(self) -> str:
        """``train.py:41``: the file's name without its folders."""
        return f"{PurePath(self.file).name}:{self.line}"


# What Python calls the code of a file outside of functions.
MODULE = "<module>"


def has_name(function: str) -> bool:
    """Whether somebody named a function; Python calls other code ``<module>`` or ``<lambda>``."""
    return not function.startswith("<")


def own_name(function: str | None) -> str | None:
    """A function's own name, without those of what it stands in: ``decode`` of ``Photos.decode``.

    None for None, and for code that nobody named.
    """
    name = (function or "").rpartition(".")[2]
    return name if name.isidentifier() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLine:
    """A line of source code on a sampled stack.

    Attributes:
        function: name of its function; from Python 3.11 on with that of the class.
        location: its file and number.
        text: its source text, or empty where the source could not be read.
        blocks: first lines of the ``with`` statements around it, innermost first.
    """

    function: str
    location: Location
    text: str
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSamples:
    """A stack, and in how many samples it was seen.

    Attributes:
        lines: its calls in the user's code, innermost first.
        samples: how often it was seen, in all threads and processes together.
        in_function: whether tf.data called it as a ``numpy_function`` or ``py_function``.
    """

    lines: tuple[CodeLine, ...]
    samples: int
    in_function: bool = False
