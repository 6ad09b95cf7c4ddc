"""Functions that stand around a library's, and that its warnings pass over to name the user's line.

Python's ``warnings`` leaves out of ``stacklevel`` the frames of files whose names contain ``importlib`` and
``_bootstrap``. Keras leaves out of the tracebacks of its exceptions those whose names contain
``tensorflow/python``. So pipeprof's functions get a file name that contains both. What TensorFlow logs as
deprecated names the frame that called, whatever it is: there the caller's is put in its place.
"""

import logging
import sys
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TypeVar

from pipeprof.recording.code_owner import is_pipeprofs_file

_PACKAGE = Path(__file__).parents[1]
F = TypeVar("F")

# Still inside the package, so that all who ask know it for pipeprof's code.
_PASSED = f"{_PACKAGE}/<importlib._bootstrap>/tensorflow/python/"


def pass_over(function: F) -> F:
    """Has warnings pass over the frames of a function of pipeprof's, and of those that are defined in it.

    Args:
        function: the function, or a static method; anything else stays as it is.

    Returns:
        What was given, so that this is a decorator.
    """
    inner = getattr(function, "__func__", function)  # of a static method
    if isinstance(inner, FunctionType):
        inner.__code__ = _passed(inner.__code__)
    return function


def _passed(code: CodeType) -> CodeType:
    file = code.co_filename
    if not is_pipeprofs_file(file) or file.startswith(_PASSED):
        return code
    inner = (_passed(each) if isinstance(each, CodeType) else each for each in code.co_consts)
    passed = f"{_PASSED}{Path(file).relative_to(_PACKAGE)}"
    return code.replace(co_filename=passed, co_consts=tuple(inner))


def name_callers(record: logging.LogRecord) -> bool:
    """A filter of a logger: where a message names a line that is passed over, it names its caller's."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_past_ours, record.args))
    return True


def _past_ours(argument: object) -> object:
    if not isinstance(argument, str) or not argument.startswith(_PASSED):
        return argument
    frame: FrameType | None = sys._getframe()
    while frame is not None and f"{frame.f_code.co_filename}:{frame.f_lineno}" != argument:
        frame = frame.f_back
    while frame is not None and is_pipeprofs_file(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else argument
