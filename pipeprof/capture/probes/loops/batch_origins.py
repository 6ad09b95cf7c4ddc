"""Which piece of work made a batch: recorded where it is made, looked up where the training takes it.

Batches are recognised by the identity of their first array, which Keras hands on as it is. Where that
proves nothing (an array that is filled again for every batch, a copy) the origin is unknown, never guessed.
"""

import weakref
from collections import deque
from typing import Any

# More batches than this do not wait between a generator and the training.
_MOST_WAITING = 4096
# Arrays of a batch lie no deeper; what contains itself has no end.
_DEEPEST = 16
# Larger dictionaries are taken in their own order: sorting hundreds of keys would cost every batch.
_MOST_SORTED = 8


class _Origin:
    """When the work on a batch began, or None where several batches share the array."""

    __slots__ = ("first_part", "start_ns")

    def __init__(self, first_part: "weakref.ref[Any]", start_ns: int) -> None:
        self.first_part = first_part
        self.start_ns: int | None = start_ns


class BatchOrigins:
    """When the work began on each batch that was made and not yet handed on.

    Called from any thread. It has no lock, which a process forked just then would find taken: each
    step is one operation on a dictionary.
    """

    def __init__(self) -> None:
        self._origins: dict[int, _Origin] = {}

    def made(self, batch: Any, start_ns: int) -> None:
        """A batch was made, by work that began then."""
        part = _first_part(batch)
        number = id(part)
        origins = self._origins

        def gone(reference: "weakref.ref[Any]") -> None:
            known = origins.get(number)
            if known is not None and known.first_part is reference:
                origins.pop(number, None)

        try:
            origin = _Origin(weakref.ref(part, gone), start_ns)
        except TypeError:  # nothing that could be known again
            return
        known = origins.setdefault(number, origin)
        if known is origin:
            return
        if known.first_part() is part:
            known.start_ns = None
        else:
            origins[number] = origin

    def take(self, batch: Any) -> int | None:
        """When the work on a batch that is handed on began, or None where that is not known."""
        part = _first_part(batch)
        known = self._origins.get(id(part))
        if known is None or known.first_part() is not part or known.start_ns is None:
            return None  # what is shared stays so for as long as it is there
        self._origins.pop(id(part), None)
        return known.start_ns


def _first_part(batch: Any) -> Any:
    """The first array of a batch, or None where it lies too deep. Calls no code of user's containers."""
    for _ in range(_DEEPEST):
        if isinstance(batch, tuple) and tuple.__len__(batch):
            batch = tuple.__getitem__(batch, 0)
        elif isinstance(batch, list) and list.__len__(batch):
            batch = list.__getitem__(batch, 0)
        elif isinstance(batch, dict) and dict.__len__(batch):
            few = dict.__len__(batch) <= _MOST_SORTED
            keys = dict.__iter__(batch)
            batch = dict.__getitem__(batch, _first_key(list(keys)) if few else next(keys))
        else:
            return batch
    return None


def _first_key(keys: list[Any]) -> Any:
    """The smallest key where all are strings, so that their order does not matter; else the first."""
    return min(keys) if all(type(key) is str for key in keys) else keys[0]


class PendingBatches:
    """The origins of batches that were handed to a loop's pipeline and that no step has taken yet.

    The pipeline keeps their order. One iterator feeds an epoch, or several of them; where a second one
    begins in the same epoch it is not known which of them the steps take from.
    """

    def __init__(self) -> None:
        self.waiting: deque[int | None] = deque()
        self._begun_in_epoch = False
        self._lost = False

    def begin(self) -> "deque[int | None]":
        """Begins the batches of a new iterator; those of the one before that no step took are forgotten."""
        self._lost = self._begun_in_epoch
        self._begun_in_epoch = True
        self.waiting = deque()
        return self.waiting

    def hand(self, waiting: "deque[int | None]", start_ns: int | None) -> None:
        """Adds a batch that an iterator handed on."""
        if len(waiting) < _MOST_WAITING:
            waiting.append(start_ns)
        else:
            self._lost = True

    def take(self, batches: int) -> list[int]:
        """Removes the batches that a step took; returns when the work on each began, where it is known."""
        waiting = self.waiting  # an iterator may begin meanwhile, in a thread of its own
        taken = [waiting.popleft() for _ in range(min(batches, len(waiting)))]
        return [] if self._lost else [start_ns for start_ns in taken if start_ns is not None]

    def end_epoch(self) -> None:
        """The next iterator is the next epoch's."""
        self._begun_in_epoch = False
