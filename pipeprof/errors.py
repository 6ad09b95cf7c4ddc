"""The errors that pipeprof raises, as one small tree.

    PipeprofError
    ├── UsageError          a call that is not possible (two profiles at once)
    ├── StacksUnavailable   the Python stacks of a process cannot be read
    ├── TuningRefused       an input pipeline cannot be changed, or not so
    └── RunError            a run folder cannot be read
        ├── RunNotFound     there is no run there
        ├── RunDamaged      there is one, but not as pipeprof writes it
        ├── RunTooNew       a newer pipeprof wrote it
        └── RunTooOld       an older pipeprof wrote it

Every message says what was expected, what was received and what to do. The command line turns each
into one line on standard error and exit code 2.
"""

import re


class PipeprofError(Exception):
    """Base of all errors that pipeprof raises on purpose."""


class UsageError(PipeprofError):
    """A call with arguments, or at a time, that are not possible."""


class StacksUnavailable(PipeprofError):  # noqa: N818 - the names say what happened, as FileNotFoundError's does not
    """The Python stacks of a process cannot be read.

    Attributes:
        reason: why, in words for the user.
        remedy: what the user can do.
    """

    def __init__(self, pid: int, reason: str, remedy: str) -> None:
        super().__init__(f"cannot read the Python stacks of process {pid}: {reason}; {remedy}.")
        self.reason = reason
        self.remedy = remedy


class TuningRefused(PipeprofError):  # noqa: N818
    """An input pipeline that cannot be changed, or a change that it does not take."""


class RunError(PipeprofError):
    """A run folder that cannot be read."""


class RunNotFound(RunError):  # noqa: N818
    """There is no run where one was expected."""


class RunDamaged(RunError):  # noqa: N818
    """A run's files are incomplete, or something else wrote them."""


class RunTooNew(RunError):  # noqa: N818
    """The run was written in a newer format than this pipeprof reads."""


class RunTooOld(RunError):  # noqa: N818
    """The run was written in an older format than this pipeprof reads."""


_INNER_ERROR = re.compile(r"[A-Za-z_][\w.]*: \S")


def describe_error(error: BaseException) -> str:
    """Describes any exception, the user's too, in one line: its class and the first line of its text.

    TensorFlow wraps the exception of a generator in one of its own, whose first line ends with a colon.
    The later line with the user's error is then added.
    """
    lines = [line.strip() for line in _text_of(error).splitlines() if line.strip()]
    first, *further = lines or [""]
    inner = next(filter(_INNER_ERROR.match, further), None) if first.endswith(":") else None
    text = " ".join(part for part in (first, inner) if part)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a class of the user's own may fail at that too
        return ""
