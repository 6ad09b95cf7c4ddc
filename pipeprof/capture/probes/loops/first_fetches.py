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
        """Whether a source that is over now gave at most one batch, which then was only looked at."""
        single = sum(fetch.source == source for fetch in self._fetches) < 2
        if single:
            self._single.add(source)
        return single

    def look(self) -> None:
        """Marks all batches taken so far as only looked at."""
        self._only_looked_at = len(self._fetches)

    def forget(self) -> None:
        """Forgets the batches: a loop has begun."""
        self._fetches, self._only_looked_at = [], 0

    @property
    def possible(self) -> list[Fetch]:
        """The batches that may be a loop's first."""
        return self._fetches[self._only_looked_at :]

    @property
    def held(self) -> Fetch | None:
        """The first of the possible batches whose iterator may give more, or None."""
        return next(
            (f for f in self.possible if not f.is_gone() and f.source not in self._single), None
        )

    def since(self, source: int) -> list[Fetch]:
        """The batches from the first one of a source on; empty without one. Earlier ones were looked at."""
        sources = [fetch.source for fetch in self._fetches]
        return self._fetches[sources.index(source) :] if source in sources else []
