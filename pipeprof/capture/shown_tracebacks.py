"""Tracebacks of the user's exceptions, without the frames that pipeprof has put between theirs."""

from collections.abc import Iterable, Iterator
from types import TracebackType

from pipeprof.recording.code_owner import is_pipeprofs_file


def hide_own_frames(error: BaseException) -> None:
    """Takes pipeprof's frames out of the tracebacks of an exception and of those that led to it.

    A traceback that has no others stays as it is: pipeprof itself has raised there.
    """
    for each in (error, *_led_to(error)):
        others = without_own(links_of(each.__traceback__))
        if others is not None:
            each.__traceback__ = others


def without_own(links: Iterable[TracebackType]) -> TracebackType | None:
    """A traceback of these links without those of pipeprof's code; None where no others are left."""
    others: TracebackType | None = None
    for link in reversed(list(links)):
        if not is_own(link):
            others = TracebackType(others, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return others


def is_own(link: TracebackType) -> bool:
    """Whether a link is of pipeprof's code."""
    return is_pipeprofs_file(link.tb_frame.f_code.co_filename)


def links_of(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """The links of a traceback, outermost first."""
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _led_to(error: BaseException) -> list[BaseException]:
    """The exceptions that Python shows before this one, or inside it where it is a group."""
    found: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        # Groups came with Python 3.11.
        for other in (one.__cause__, one.__context__, *getattr(one, "exceptions", ())):
            known = any(other is each for each in (error, *found))
            if isinstance(other, BaseException) and not known:
                found.append(other)
                left.append(other)
    return found
