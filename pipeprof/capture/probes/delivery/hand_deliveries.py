"""Which batches a hand-written loop gives to its model. Knows no framework.

A call of ``train_on_batch`` shows what the model consumes. Where a loop has none, its model consumes what
the loop fetches.
"""

from collections import deque
from typing import Any

from pipeprof.capture.probes.delivery.deliveries import Deliveries, HashedBatch
from pipeprof.capture.probes.loops.hand_loops import HandLoop
from pipeprof.capture.probes.loops.open_loop import OpenLoop

# Batches before it is known which loop takes them.
_MOST_EARLY = 64


class _Fetched:
    """A batch that was fetched and may be consumed."""

    __slots__ = ("batch", "epoch", "loop", "source")

    def __init__(self, batch: HashedBatch, source: int, loop: OpenLoop | None) -> None:
        self.batch = batch
        self.source = source
        self.loop = loop
        self.epoch = None if loop is None else loop.epoch


class HandDeliveries:
    """Records what hand-written loops consume.

    Args:
        deliveries: records it.
        hand: the hand-written loop.
    """

    def __init__(self, deliveries: Deliveries, hand: HandLoop) -> None:
        self._deliveries = deliveries
        self._hand = hand
        self._held: _Fetched | None = None
        self._early: deque[_Fetched] = deque(maxlen=_MOST_EARLY)

    def fetched(self, source: int, batch: Any) -> None:
        """A hand-written loop has fetched a batch; call it when the loop has taken the batch.

        Args:
            source: identifies the object that it was taken from.
            batch: the batch.
        """
        loop = self._hand.loop
        self._pass_on()
        if loop is not None and self._hand.trains_on_batch:
            return
        hashed = self._deliveries.hash(batch)
        if hashed is not None:
            at_home = loop if self._hand.source == source else None
            self._held = _Fetched(hashed, source, at_home)

    def exhausted(self) -> None:
        """A source had no more batches."""
        self._pass_on()

    def called(self, batch: HashedBatch | None) -> None:
        """``train_on_batch`` was given a batch; call it when the call is over."""
        self._held = None
        self._early.clear()
        if self._hand.loop is not None:
            self._deliveries.deliver(self._hand.loop, batch)

    def _pass_on(self) -> None:
        """Records the batch that was fetched last: no call has shown that another was consumed."""
        if self._held is not None:
            self._early.append(self._held)
        self._held = None
        loop = self._hand.loop
        for _ in range(len(self._early)):
            each = self._early.popleft()
            mine = each.loop or (loop if each.source == self._hand.source else None)
            if mine is not None:
                self._deliveries.deliver(mine, each.batch, each.epoch)
            else:
                self._early.append(each)

    def close(self) -> None:
        """Records the last batch, at the end of the profile."""
        self._pass_on()
        self._early.clear()
