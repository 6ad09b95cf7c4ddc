"""A warning of a library names the line of the user's that called it, not pipeprof's around it."""

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from pipeprof.capture import guard
from pipeprof.capture.passed_frames import name_callers, pass_over
from pipeprof.recording.code_owner import is_pipeprofs_file


def library(stacklevel: int) -> None:
    warnings.warn("old", DeprecationWarning, stacklevel=stacklevel)


def around(original: Callable[..., None]) -> Any:
    """A wrapper as a probe makes them, in a file of pipeprof's."""

    def watched(*args: Any) -> None:
        original(*args)

    watched.__code__ = watched.__code__.replace(co_filename=guard.__file__)
    return watched


def warned(call: Callable[[], None]) -> tuple[str, int]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    (warning,) = caught
    return warning.filename, warning.lineno


@pytest.mark.parametrize("stacklevel", [1, 2, 3])
def test_a_warning_names_what_it_would_name_without_the_wrapper(stacklevel: int) -> None:
    def call(function: Callable[..., None]) -> None:
        function(stacklevel)

    inner = around(library)
    pass_over(inner)
    outer = around(inner)
    pass_over(outer)
    seen, passed, bare = (
        warned(lambda function=function: call(function))
        for function in (around(library), outer, library)
    )
    assert passed == bare
    assert (seen == bare) == (stacklevel == 1)


def test_only_functions_of_pipeprof_are_passed_over() -> None:
    for other in (library, staticmethod(library), print, 3):
        pass_over(other)
    assert library.__code__.co_filename == __file__
    static = staticmethod(around(library))
    pass_over(static)
    assert warned(lambda: static(2))[0] == __file__


def test_a_traceback_still_shows_the_wrapper() -> None:
    def fail() -> None:
        raise ValueError("bad")

    watched = around(fail)
    pass_over(watched)
    with pytest.raises(ValueError, match="bad") as raised:
        watched()
    files = [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert [is_pipeprofs_file(file) for file in files[-3:]] == [False, True, False]
    assert files[-2].endswith("/capture/guard.py")


def test_a_message_that_names_its_caller_names_the_users() -> None:
    messages: list[str] = []
    logger = logging.Logger("library")
    logger.addFilter(name_callers)
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)

    def deprecated() -> None:
        caller = sys._getframe(1)
        where = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        logger.warning("From %s: %s is deprecated (%d)", where, "it", 3)

    watched = around(around(deprecated))
    pass_over(watched)
    pass_over(watched.__closure__[0].cell_contents)
    line = sys._getframe().f_lineno + 1
    watched()
    assert messages == [f"From {__file__}:{line}: it is deprecated (3)"]
    logger.warning("nothing to name")
    logger.warning("a dict: %(a)s", {"a": 1})
    assert messages[1:] == ["nothing to name", "a dict: 1"]
