import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pipeprof.capture.probes.python.user_frames import find_user_frame

LIBRARY = "/env/lib/python3.11/site-packages/somewhere/files.py"


def in_file(file: str, source: str) -> dict[str, Any]:
    """What a module's source defines, as if it stood in that file."""
    names: dict[str, Any] = {}
    exec(compile(source, file, "exec"), names)
    return names


def here(then: Callable[[], Any]) -> Any:
    return then()


@pytest.fixture
def library() -> dict[str, Any]:
    source = """
def outer(then):
    return inner(then)
def inner(then):
    return then()
def decorated(function):
    def wrapper(*args):
        return function(*args)
    return wrapper
wrapped = decorated(outer)
"""
    return in_file(LIBRARY, source)


def names(found: tuple[FrameType | None, tuple[Any, ...]]) -> tuple[str | None, list[str]]:
    frame, passed = found
    return frame.f_code.co_name if frame else None, [code.co_name for code in passed]


@pytest.mark.parametrize("called", ["outer", "wrapped"])
def test_what_a_library_does_belongs_to_the_line_that_calls_it(
    called: str, library: dict[str, Any]
) -> None:
    look = in_file(LIBRARY, "def look(): return find(frame())")["look"]
    look.__globals__.update(find=find_user_frame, frame=lambda: sys._getframe(1))

    def users_function() -> Any:
        return library[called](look)

    assert names(users_function()) == ("users_function", ["outer", "inner", "look"])


def test_the_users_own_function_comes_before_those_that_call_it(library: dict[str, Any]) -> None:
    def users_callback() -> Any:
        return names(find_user_frame(sys._getframe()))

    assert library["outer"](users_callback) == ("users_callback", [])


def test_there_may_be_nothing_of_the_users(library: dict[str, Any]) -> None:
    assert find_user_frame(None) == (None, ())
    frames: list[FrameType] = []
    library["outer"](lambda: frames.append(sys._getframe()))
    assert names(find_user_frame(frames[0]))[0] == "<lambda>"
