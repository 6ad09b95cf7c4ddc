"""Lines of the user's source code, and stacks of them."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's code: ``file`` relative to where the run was started, if below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def short(self) -> str:
        """``train.py:41``: the file's name without its folders."""
        return f"{PurePath(self.file).name}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLine:
    """A line of source code at which a call was.

    Attributes:
        function: name of its function; with its class, from Python 3.11 on.
        location: where it stands.
        text: what is written there, or empty where the source could not be read.
        blocks: the lines at which the ``with`` statements around it begin, innermost first.
    """

    function: str
    location: Location
    text: str
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSamples:
    """A stack, and in how many samples it was met.

    Attributes:
        lines: its calls as far as they are the user's code, innermost first.
        samples: how often it was met, in whichever thread or process.
        in_function: whether tf.data called it, as a ``numpy_function`` or ``py_function``.
    """

    lines: tuple[CodeLine, ...]
    samples: int
    in_function: bool = False
