"""Functions that stand around a library's, and that its warnings pass over to name the user's line.

Python's ``warnings`` leaves out of ``stacklevel`` the frames of files whose names contain ``importlib`` and
``_bootstrap``. What TensorFlow logs as deprecated names the frame that called, whatever it is: there the
caller's is put in its place.
"""

import logging
import sys
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

from pipeprof.recording.code_owner import is_pipeprofs_file

_PACKAGE = Path(__file__).parents[1]
# Still inside the package, so that all who ask know it for pipeprof's code.
_PASSED = f"{_PACKAGE}/<importlib._bootstrap>/"


def pass_over(function: Any) -> None:
    """Has warnings pass over the frames of a function of pipeprof's; anything else stays as it is."""
    function = getattr(function, "__func__", function)  # of a static method
    if not isinstance(function, FunctionType):
        return
    file = function.__code__.co_filename
    if is_pipeprofs_file(file) and not file.startswith(_PASSED):
        passed = f"{_PASSED}{Path(file).relative_to(_PACKAGE)}"
        function.__code__ = function.__code__.replace(co_filename=passed)


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
