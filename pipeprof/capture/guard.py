"""Keeps failures of pipeprof's own code out of the user's training.

It knows nothing about the code that it guards.
"""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pipeprof.errors import describe_error

P = ParamSpec("P")
T = TypeVar("T")


class Guard:
    """Runs actions of one part of the recording. When one raises, it warns once and turns the part off.

    Args:
        warn: adds a sentence to the run's warnings.
        failure: begin of the warning: what could not be done.
        loss: end of the warning: what is missing because of that.
        retries: whether later actions still run after one has failed.

    Attributes:
        failed: whether an action has failed.
        off: whether the part is off, so that no action runs.
    """

    __slots__ = ("_failure", "_loss", "_retries", "_warn", "failed", "off")

    def __init__(
        self, warn: Callable[[str], None], failure: str, loss: str = "", *, retries: bool = False
    ) -> None:
        self.failed = False
        self.off = False
        self._warn = warn
        self._failure = failure
        self._loss = loss
        self._retries = retries

    def run(self, action: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Returns what the action returns; None when it failed or the part is off."""
        if self.off:
            return None
        try:
            return action(*args, **kwargs)
        except Exception as error:
            self.fail(error)
            return None

    def wrap(self, action: Callable[P, Any]) -> Callable[P, None]:
        """The action as a function that never raises and returns nothing."""

        @functools.wraps(action)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            self.run(action, *args, **kwargs)

        return run

    def fail(self, error: Exception) -> None:
        """Turns the part off, and warns of the error if it is the first."""
        self.off = not self._retries
        if not self.failed:
            self.failed = True
            loss = f": {self._loss}" if self._loss else ""
            self._warn(f"{self._failure} ({describe_error(error)}){loss}.")


class Guarded(Protocol):
    """An object whose methods `guarded` protects."""

    @property
    def guard(self) -> Guard:
        """The guard that runs the methods."""


G = TypeVar("G", bound=Guarded)


def guarded(method: Callable[Concatenate[G, P], None]) -> Callable[Concatenate[G, P], None]:
    """Decorates a method that the user's code calls: it runs under its object's guard."""

    @functools.wraps(method)
    def run(self: G, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.guard.run(method, self, *args, **kwargs)

    return run
