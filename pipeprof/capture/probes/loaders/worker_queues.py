"""The queue between Keras's workers and the training: what lies ready in it when the training asks.

Keras asks its pool for the batches of an epoch in order and puts what the pool answers at once, results
that are not there yet, into a queue. This looks at it from outside: it takes nothing out and puts
nothing in. Keras 2 and 3 name the same things differently; where neither is found, there is no queue.
"""

import inspect
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

# Attribute of a watched sequence's class: the `Pool` that makes its batches.
POOL = "_pipeprof_pool"

# More batches than this do not lie ready; Keras's default is 10.
MOST_READY = 256


class Asked(NamedTuple):
    """How the queue stood when the training asked for a batch.

    Attributes:
        ready: batches that lay ready.
        next_is_ready: whether the next in order was among them.
    """

    ready: int
    next_is_ready: bool


class Pool(Protocol):
    """What is known of the workers that fill a queue."""

    @property
    def ready_ns(self) -> "deque[int]":
        """When each of the latest batches had been made, latest last."""

    def began(self, start_ns: int, end_ns: int) -> int:
        """A pass has given its first batch, for which its generator waited that long.

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
        """How it stands now, or None where Keras has it otherwise than known."""
        with suppress(Exception):
            pending = getattr(self._enqueuer, "future_queue", None) or self._enqueuer.queue
            left_over = getattr(self._enqueuer, "ready_queue", None)
            results = tuple(pending.queue)
            ready = [result.ready() for result in results]
            kept = left_over.qsize() if left_over is not None else 0
            return Asked(sum(ready) + kept, kept > 0 or ready[:1] == [True])
        return None

    def head_of_line_ns(self, asked: Asked, start_ns: int, end_ns: int) -> int:
        """How much of a wait there was a later batch that lay ready, but not the next in order.

        Args:
            asked: how the queue stood when the wait began.
            start_ns: begin of the wait.
            end_ns: when the next batch had come.
        """
        if asked.next_is_ready:
            return 0
        if asked.ready:
            return end_ns - start_ns
        now = self.look()
        if now is None or not now.ready:
            return 0
        # Whatever was made during the wait was taken by nobody yet.
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
