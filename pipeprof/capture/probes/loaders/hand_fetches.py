"""Reports to the loop tracker the batches that a hand-written loop takes from one object."""

import itertools
from typing import Any

from pipeprof.capture.probes.loops.batch_shapes import BatchShape
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.timed_generators import Fetches, ShortWay
from pipeprof.capture.recorder.facts import InputFacts


class HandFetches(Fetches):
    """Reports each batch that a hand-written loop takes from one object to the loop tracker.

    Args:
        context: what the probes share.
        fed_by: facts about the object.
    """

    _sources = itertools.count(1)

    def __init__(self, context: ProbeContext, fed_by: InputFacts) -> None:
        self._context = context
        self._fed_by = fed_by
        self._source = -next(self._sources)  # never the `id` of anything
        self._validates = context.validating

    def asks(self) -> None:
        """A batch will be taken."""
        hand = self._context.loops.hand
        if hand.running and self._context.by_hand():
            hand.asks(self._source)

    def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
        """A batch was taken, by a hand-written loop or for a framework's."""
        context = self._context
        if context.by_hand():
            shape = context.inspector.look(item)
            context.loops.hand.fetched(self._source, self._fed_by, start_ns, end_ns, shape)
            if context.by_hand_deliveries is not None:
                context.by_hand_deliveries.fetched(self._source, item)
        elif context.on:
            context.origins.made(item, start_ns)
            self.note(item)

    def short_way(self, item: Any) -> ShortWay | None:
        """As `Fetches.short_way`; None unless a hand-written loop takes batch after batch."""
        if not self._context.by_hand():
            return None
        look = self._context.inspector.look_like(item)
        return self._context.loops.hand.short_way(self._source, look)

    def note(self, item: Any) -> BatchShape | None:
        """Counts a batch that goes to a framework's loop; returns its shape, or None without arrays."""
        return self._context.inspector.note(item, validation=self._validates)

    def exhausted(self, start_ns: int) -> None:
        """There was no further batch."""
        if self._context.by_hand():
            if self._context.by_hand_deliveries is not None:
                self._context.by_hand_deliveries.exhausted()
            self._context.loops.hand.exhausted(self._source, start_ns)
