"""Tracebacks of the user's exceptions show the user's lines and not pipeprof's between them."""

import traceback
from pathlib import Path

import pytest

import pipeprof
from pipeprof.capture.shown_tracebacks import hide_own_frames, links_of
from pipeprof.recording.code_owner import is_pipeprofs_file


@pipeprof.stage("read")
def read() -> None:
    raise ValueError("bad file")


def read_all() -> None:
    try:
        read()
    except ValueError as error:
        raise RuntimeError("no data") from error


def functions(error: BaseException) -> list[str]:
    return [
        "pipeprof" if is_pipeprofs_file(frame.filename) else frame.name
        for frame in traceback.extract_tb(error.__traceback__)
    ]


def test_frames_of_pipeprof_are_taken_out_of_an_exception_and_of_what_led_to_it() -> None:
    with pytest.raises(RuntimeError) as raised:
        read_all()
    cause = raised.value.__cause__
    assert cause is not None
    assert functions(cause) == ["read_all", "pipeprof", "read"]
    hide_own_frames(raised.value)
    assert functions(cause) == ["read_all", "read"]
    assert functions(raised.value)[-1] == "read_all"


def test_exceptions_that_led_to_each_other_are_each_shown_once() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    hide_own_frames(first)
    assert first.__cause__ is second


def test_an_exception_of_pipeprofs_alone_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ValueError("bad")

    fail.__code__ = fail.__code__.replace(co_filename=hide_own_frames.__code__.co_filename)
    with pytest.raises(ValueError, match="bad") as raised:
        fail()
    (*_, last) = links_of(raised.value.__traceback__)
    error = raised.value.with_traceback(last)
    hide_own_frames(error)
    assert functions(error) == ["pipeprof"]


def test_an_exception_that_ends_a_profile_shows_the_users_lines(tmp_path: Path) -> None:
    def train() -> None:
        with pipeprof.profile(logdir=tmp_path, sample_hz=0):
            read()

    with pytest.raises(ValueError, match="bad file") as raised:
        train()
    assert functions(raised.value)[1:] == ["train", "read"]
