"""Which of the user's lines called, or which function of the user's it is. Knows no framework."""

import functools
from types import FrameType
from typing import Any

from pipeprof.capture.recorder.recorder import location_of, location_of_frame
from pipeprof.recording.code_owner import is_users_file
from pipeprof.recording.source_code import Location


def users_line(frame: FrameType | None) -> Location | None:
    """The innermost line of the user's that a frame was called from, itself included; None without any."""
    while frame is not None:
        if is_users_file(frame.f_code.co_filename):
            return location_of_frame(frame)
        frame = frame.f_back
    return None


def users_function(function: Any) -> Location | None:
    """Where a function or method begins that the user wrote, or None where a library did."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return location_of(code) if code is not None and is_users_file(code.co_filename) else None
