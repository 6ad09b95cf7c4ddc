"""Records what the models of loops consume. Knows no framework: a probe hands it each batch and loss."""

import struct
from collections import deque
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.delivery.batch_content import BatchContent, hash_batch
from pipeprof.capture.probes.delivery.computed_losses import is_at_hand
from pipeprof.capture.probes.delivery.epoch_sums import EpochSums
from pipeprof.capture.probes.delivery.followed_samples import FollowedSamples
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.recorder.facts import DeliveredFacts, DeliveryUpdate
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns

# Of a loop with more epochs, those are reported whose number is a power of two, and the last one.
FIRST_EPOCHS = 48
# The most that a record has room for.
_MOST_SAMPLES = (1 << 31) - 1
# Losses that are not computed yet, or that lie on a device until their epoch's end.
MOST_PENDING = 4096

_FLOAT_BITS, _INT_BITS = struct.Struct("<d"), struct.Struct("<q")


class Deliveries:
    """Records the batches and losses of the loops of one profile. Called by the thread that trains.

    Args:
        recorder: where to record.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.guard = Guard(
            recorder.warn,
            "What the model consumed could not be recorded any more",
            "later batches are missing from the delivery",
        )
        self._recorder = recorder
        self._loops: dict[int, _DeliveredLoop] = {}
        self._trained: dict[int | None, int] = {}

    def hash(self, batch: Any, cost_ns: int = 0) -> "HashedBatch | None":
        """Hashes a batch that is about to be consumed, or None where that is not possible.

        Args:
            batch: the batch.
            cost_ns: what it costs the training to show the batch to pipeprof.
        """
        return self.guard.run(self._hash, batch, cost_ns)

    def _hash(self, batch: Any, cost_ns: int) -> "HashedBatch | None":
        start_ns = now_ns()
        content = hash_batch(batch)
        if content is None:
            return None
        return HashedBatch(content, start_ns, now_ns() - start_ns + cost_ns)

    def deliver(
        self, loop: OpenLoop, batch: "HashedBatch | None", epoch: int | None = None
    ) -> None:
        """Records that a loop's model is given a batch.

        Args:
            loop: the loop.
            batch: the batch, or None where it could not be hashed.
            epoch: its epoch; that which runs without it.
        """
        if batch is not None:
            at = max(loop.epoch if epoch is None else epoch, 0)
            self.guard.run(self._deliver, loop, batch, at)

    def _deliver(self, loop: OpenLoop, batch: "HashedBatch", epoch: int) -> None:
        begin_ns = now_ns()
        of_loop = self._of(loop)
        if of_loop.open is None or of_loop.open.epoch != epoch:
            self._end_epoch(loop.number)
            trained = self._trained.get(loop.model, 0)
            of_loop.open = EpochSums(epoch, trained, of_loop.followed)
        of_loop.open.add(batch.content)
        of_loop.batches += 1
        if loop.kind.trains:
            self._trained[loop.model] = self._trained.get(loop.model, 0) + 1
        samples = batch.content.samples
        value = epoch << 32 | (0 if samples is None else samples + 1)
        self._recorder.lane().write(
            code(Kind.DELIVERED, loop.number),
            batch.start_ns,
            batch.start_ns + batch.cost_ns + now_ns() - begin_ns,
            batch.content.whole,
            value,
        )

    def note(self, update: DeliveryUpdate) -> None:
        """Records facts about what a loop consumes."""
        self.guard.run(self._note, update)

    def _note(self, update: DeliveryUpdate) -> None:
        known = self._loops.setdefault(update.loop, _DeliveredLoop())
        if update != known.noted:
            known.noted = update
            self._recorder.names.add(self._recorder.names.new(update), update)

    def loss(self, loop: OpenLoop, loss: Any, over: int | None = None) -> None:
        """Records a loop's loss after the batch that it was given last; never waits for the device.

        Args:
            loop: the loop.
            loss: a number, or a scalar of a framework that may not be computed yet.
            over: over how many samples the loss is a mean; over those of the epoch so far without it.
        """
        self.guard.run(self._add_loss, loop, loss, over)

    def _add_loss(self, loop: OpenLoop, loss: Any, over: int | None) -> None:
        of_loop = self._of(loop)
        if of_loop.open is None:
            return
        pending = of_loop.pending
        samples = min((of_loop.open.samples if over is None else over) or 0, _MOST_SAMPLES)
        pending.append((samples << 32 | of_loop.batches - 1, loss))
        while pending and is_at_hand(pending[0][1]):
            place, first = pending.popleft()
            self._write_loss(loop.number, place, float(first))
        if len(pending) > MOST_PENDING:
            pending.popleft()

    def settle_losses(self, loop: OpenLoop) -> None:
        """Records the losses of an epoch that has ended: Keras itself waits for the last of them."""
        of_loop = self._loops.get(loop.number)
        while of_loop is not None and of_loop.pending:
            place, loss = of_loop.pending.popleft()
            value = self.guard.run(float, loss)
            if value is not None:
                self._write_loss(loop.number, place, value)

    def _write_loss(self, loop: int, place: int, value: float) -> None:
        (bits,) = _INT_BITS.unpack(_FLOAT_BITS.pack(value))
        now = now_ns()
        self._recorder.lane().write(code(Kind.LOSS, loop), now, now, place, bits)

    def end_epoch(self, loop: OpenLoop) -> None:
        """An epoch of a loop is over."""
        self.settle_losses(loop)
        self.guard.run(self._end_epoch, loop.number)

    def _end_epoch(self, number: int) -> None:
        of_loop = self._loops[number]
        if of_loop.open is None:
            return
        delivered, of_loop.open = of_loop.open.freeze(), None
        of_loop.ended += 1
        of_loop.unreported = None
        facts = DeliveredFacts(loop=number, delivered=delivered)
        if of_loop.ended <= FIRST_EPOCHS or of_loop.ended & (of_loop.ended - 1) == 0:
            self._recorder.names.new(facts)
        else:
            of_loop.unreported = facts

    def close(self) -> None:
        """Reports the last epochs, at the end of the profile."""
        for number, of_loop in self._loops.items():
            self.guard.run(self._end_epoch, number)
            if of_loop.unreported is not None:
                self._recorder.names.new(of_loop.unreported)

    def _of(self, loop: OpenLoop) -> "_DeliveredLoop":
        known = self._loops.get(loop.number)
        if known is None:
            known = self._loops[loop.number] = _DeliveredLoop()
        return known


class HashedBatch:
    """A batch's hashes, when they were computed, and what that cost so far."""

    __slots__ = ("content", "cost_ns", "start_ns")

    def __init__(self, content: BatchContent, start_ns: int, cost_ns: int) -> None:
        self.content = content
        self.start_ns = start_ns
        self.cost_ns = cost_ns


class _DeliveredLoop:
    """What is known of one loop."""

    def __init__(self) -> None:
        self.followed = FollowedSamples()
        self.open: EpochSums | None = None
        self.batches = 0
        self.ended = 0
        self.unreported: DeliveredFacts | None = None
        self.noted: DeliveryUpdate | None = None
        self.pending: deque[tuple[int, Any]] = deque()
