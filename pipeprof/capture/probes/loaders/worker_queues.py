"""Reads the queue between Keras's workers and the training: how many batches lie ready.

Keras asks its pool for the batches of an epoch in order, and puts the pool's pending results into a queue.
This module only reads the queue. Keras 2 and 3 name its parts differently; where neither version's names
are found, there is no queue.
"""

import inspect
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

# Attribute of a recorded sequence's class: the `Pool` that makes its batches.
POOL = "_pipeprof_pool"

# The most batches that are counted; Keras's default size is 10.
MOST_READY = 256


class Asked(NamedTuple):
    """The state of the queue when the training asked for a batch.

    Attributes:
        ready: how many batches lay ready.
        next_is_ready: whether the next batch in order was among them.
    """

    ready: int
    next_is_ready: bool


class Pool(Protocol):
    """The workers that fill a queue."""

    @property
    def ready_ns(self) -> "deque[int]":
        """When each of the latest batches was finished, the latest last."""

    def began(self, start_ns: int, end_ns: int) -> int:
        """A pass over the sequence has given its first batch.

        Args:
            start_ns: when Keras's generator began to wait for it.
            end_ns: when the batch came.

        Returns:
            Since when the training has waited for it.
        """


class WorkerQueue:
    """The queue of one pass over a sequence.

    Args:
        enqueuer: Keras's ``OrderedEnqueuer``.
        pool: the workers that fill it.
    """

    def __init__(self, enqueuer: Any, pool: Pool) -> None:
        self.began = pool.began
        self._enqueuer = enqueuer
        self._ready_ns = pool.ready_ns

    def look(self) -> Asked | None:
        """The present state, or None where this version of Keras is not known."""
        with suppress(Exception):
            pending = getattr(self._enqueuer, "future_queue", None) or self._enqueuer.queue
            left_over = getattr(self._enqueuer, "ready_queue", None)
            results = tuple(pending.queue)
            ready = [result.ready() for result in results]
            kept = left_over.qsize() if left_over is not None else 0
            return Asked(sum(ready) + kept, kept > 0 or ready[:1] == [True])
        return None

    def head_of_line_ns(self, asked: Asked, start_ns: int, end_ns: int) -> int:
        """For how long of a wait a later batch lay ready while the next in order did not.

        Args:
            asked: the state of the queue when the wait began.
            start_ns: begin of the wait.
            end_ns: end of the wait, when the next batch came.
        """
        if asked.next_is_ready:
            return 0
        if asked.ready:
            return end_ns - start_ns
        now = self.look()
        if now is None or not now.ready:
            return 0
        # No batch that was finished during the wait has been taken yet.
        return end_ns - min((at for at in self._ready_ns if at > start_ns), default=end_ns)


def find_queue(source: Iterator[Any]) -> WorkerQueue | None:
    """The queue that one of Keras's own generators takes its batches from, or None."""
    if not inspect.isgenerator(source) or source.gi_frame is None:
        return None
    owner = source.gi_frame.f_locals.get("self")
    # Keras 3's adapter has none where it loads without workers; Keras 2's generator is the enqueuer's own.
    enqueuer = getattr(owner, "enqueuer", owner)
    sequence = getattr(enqueuer, "py_dataset", None) or getattr(enqueuer, "sequence", None)
    pool = getattr(type(sequence), POOL, None)
    return WorkerQueue(enqueuer, pool) if pool is not None else None
