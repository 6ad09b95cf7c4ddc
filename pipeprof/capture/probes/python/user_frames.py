"""The user's frame behind a call, and the functions of libraries between the two. Knows no framework."""

import functools
from collections.abc import Iterator
from inspect import CO_NESTED
from types import CodeType, FrameType

from pipeprof.recording.code_owner import is_pipeprofs_file, is_users_file

# Programs that call themselves this deep have their innermost calls looked at, and no more.
_MOST_FRAMES = 200

_is_users_file = functools.lru_cache(maxsize=4096)(is_users_file)


def find_user_frame(frame: FrameType | None) -> tuple[FrameType | None, tuple[CodeType, ...]]:
    """Finds the innermost frame of the user's code.

    Args:
        frame: where to begin; the search goes on to its callers.

    Returns:
        The frame, or None where the user's code is in none of them, and the code of the libraries that was
        called on the way from there, outermost first. Wrappers (functions made by decorators) and
        pipeprof's own code are left out.
    """
    passed: list[CodeType] = []
    for its_frame in _callers(frame):
        its_code = its_frame.f_code
        if _is_users_file(its_code.co_filename):
            return its_frame, tuple(reversed(passed))
        if not its_code.co_flags & CO_NESTED and not is_pipeprofs_file(its_code.co_filename):
            passed.append(its_code)
    return None, tuple(reversed(passed))


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back
