"""Batches that were taken by hand while no loop was known: each may be a loop's first, or only a look.

Knows no framework.
"""

from collections.abc import Callable
from typing import NamedTuple

from pipeprof.capture.probes.loops.batch_shapes import BatchShape
from pipeprof.capture.recorder.facts import InputFacts

# Batches taken one by one outside of any loop that are remembered.
_MOST_FIRST = 16


class Fetch(NamedTuple):
    """A batch taken by hand; ``is_gone`` returns whether nobody holds its iterator any more."""

    source: int
    fed_by: InputFacts
    start_ns: int
    end_ns: int
    shape: BatchShape | None
    is_gone: Callable[[], bool]


class FirstFetches:
    """The batches taken since the latest loop."""

    def __init__(self) -> None:
        self._fetches: list[Fetch] = []
        self._only_looked_at = 0
        self._single: set[int] = set()  # sources that were over after one batch

    def add(self, fetch: Fetch) -> None:
        """Remembers a batch."""
        if len(self._fetches) < _MOST_FIRST:
            self._fetches.append(fetch)

    def is_a_look(self, source: int) -> bool:
        """Whether a source that is over now gave one batch at most: then that one was looked at."""
        single = sum(fetch.source == source for fetch in self._fetches) < 2
        if single:
            self._single.add(source)
        return single

    def look(self) -> None:
        """What was taken so far was only looked at."""
        self._only_looked_at = len(self._fetches)

    def forget(self) -> None:
        """A loop has begun."""
        self._fetches, self._only_looked_at = [], 0

    @property
    def possible(self) -> list[Fetch]:
        """Those that may be a loop's first."""
        return self._fetches[self._only_looked_at :]

    @property
    def held(self) -> Fetch | None:
        """The first of them whose iterator may give more."""
        return next(
            (f for f in self.possible if not f.is_gone() and f.source not in self._single), None
        )

    def since(self, source: int) -> list[Fetch]:
        """Those from a source's first one on; what lies before was only looked at."""
        sources = [fetch.source for fetch in self._fetches]
        return self._fetches[sources.index(source) :] if source in sources else []
