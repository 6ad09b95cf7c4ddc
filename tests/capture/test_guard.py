import pytest

from pipeprof.capture.guard import Guard, guarded
from pipeprof.errors import describe_error


class Part:
    def __init__(self, *, retries: bool = False) -> None:
        self.warnings: list[str] = []
        self.guard = Guard(self.warnings.append, "It broke", "much is missing", retries=retries)
        self.done: list[int] = []

    @guarded
    def divide(self, by: int) -> None:
        if not by:
            raise ValueError("nothing to divide by")
        self.done.append(8 // by)


def test_what_fails_is_warned_of_once_and_stays_off() -> None:
    part = Part()
    for by in (1, 0, 0, 1):
        part.divide(by)
    assert part.done == [8]
    assert part.guard.off
    assert part.warnings == ["It broke (ValueError: nothing to divide by): much is missing."]


def test_what_is_to_be_tried_again_goes_on_after_one_warning() -> None:
    part = Part(retries=True)
    for by in (0, 0, 1):
        part.divide(by)
    assert part.done == [8]
    assert (part.guard.failed, part.guard.off) == (True, False)
    assert len(part.warnings) == 1


def test_a_result_comes_through_and_none_in_place_of_one_that_is_missing() -> None:
    guard = Part().guard
    assert guard.run(divmod, 7, 2) == (3, 1)
    assert guard.run(divmod, 7, 0) is None
    assert guard.run(divmod, 7, 2) is None


def test_a_wrapped_action_never_raises() -> None:
    warnings: list[str] = []
    Guard(warnings.append, "It broke").wrap(lambda: {}["a"])()
    assert warnings == ["It broke (KeyError: 'a')."]


def test_an_interrupt_is_none_of_its_business() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Part().guard.run(interrupted)


class SilentError(Exception):
    def __str__(self) -> str:
        raise AttributeError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no image"), "ValueError: no image"),
        (ValueError(), "ValueError"),
        (ValueError("\n first\nsecond"), "ValueError: first"),
        (
            OSError("in graph:\n  frame\nValueError: no image"),
            "OSError: in graph: ValueError: no image",
        ),
        (SilentError(), "SilentError"),
    ],
)
def test_an_error_in_one_line(error: Exception, line: str) -> None:
    assert describe_error(error) == line
