"""Finds the user's line behind a call, and the line of a user's function. Knows no framework."""

import functools
from types import FrameType
from typing import Any

from pipeprof.capture.recorder.recorder import location_of, location_of_frame
from pipeprof.recording.code_owner import is_users_file
from pipeprof.recording.source_code import Location


def users_line(frame: FrameType | None) -> Location | None:
    """The innermost line of the user's code in a frame and its callers, or None without any."""
    while frame is not None:
        if is_users_file(frame.f_code.co_filename):
            return location_of_frame(frame)
        frame = frame.f_back
    return None


def users_function(function: Any) -> Location | None:
    """File and first line of a function or method of the user's, or None for one of a library."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return location_of(code) if code is not None and is_users_file(code.co_filename) else None
