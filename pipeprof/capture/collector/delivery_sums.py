"""Collects what a loop's model consumed, in bounded memory: the first and the last batches, and epochs."""

from dataclasses import field

import numpy as np

from pipeprof.capture.collector.growing_series import LatestRows
from pipeprof.capture.recorder.facts import DeliveredFacts, DeliveryUpdate
from pipeprof.recording.delivered_content import (
    BATCH_COLUMNS,
    LOSS_COLUMNS,
    DeliveredEpoch,
    Delivery,
    TrainedModel,
)
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray

FIRST = 4096
LAST = 4096
# More epochs than a probe ever reports of one loop.
MOST_EPOCHS = 256


@dataclass(kw_only=True)
class KeptEnds:
    """The first and the last rows of a table that grows without end.

    Attributes:
        columns: numbers in each row.
        first: its first rows.
        recent: its latest rows.
        count: how many rows there were.
    """

    columns: int
    first: IntArray
    recent: LatestRows
    count: int = 0

    def __post_init__(self) -> None:
        for rows in (self.first, self.recent.rows()):
            if rows.ndim != 2 or rows.shape[1] != self.columns or len(rows) > max(FIRST, LAST):
                raise ValueError(f"rows of shape {rows.shape}")

    @classmethod
    def begin(cls, columns: int) -> "KeptEnds":
        """A table without rows."""
        none: IntArray = np.empty((0, columns), np.int64)
        return cls(columns=columns, first=none, recent=LatestRows(LAST, columns))

    def add(self, rows: IntArray) -> None:
        """Adds rows at the end."""
        room = max(FIRST - self.count, 0)
        self.first = np.concatenate([self.first, rows[:room]])
        self.recent.add(rows[room:])
        self.count += len(rows)

    def freeze(self) -> IntArray:
        """The kept rows."""
        return np.concatenate([self.first, self.recent.rows()])


@dataclass(kw_only=True)
class DeliverySums:
    """Collects one `Delivery`; a checkpoint stores it without change.

    Attributes:
        batches: the batches.
        losses: the losses.
        cost_ns: time that it took to record them.
        epochs: the epochs, by number.
        given_dtypes: as of `Delivery`.
        model: the loop's model.
    """

    batches: KeptEnds = field(default_factory=lambda: KeptEnds.begin(len(BATCH_COLUMNS)))
    losses: KeptEnds = field(default_factory=lambda: KeptEnds.begin(len(LOSS_COLUMNS)))
    cost_ns: int = 0
    epochs: dict[int, DeliveredEpoch] = field(default_factory=dict)
    given_dtypes: tuple[str, ...] | None = None
    model: TrainedModel | None = None

    def add_batches(
        self, epoch: IntArray, samples: IntArray, content: IntArray, cost_ns: int
    ) -> None:
        """Adds batches in their order.

        Args:
            epoch: epoch of each batch.
            samples: samples of each batch, -1 where they are not known.
            content: hash of each batch.
            cost_ns: time that it took to record them.
        """
        ordinal = self.batches.count + np.arange(len(epoch), dtype=np.int64)
        self.batches.add(np.column_stack([ordinal, epoch, samples, content]))
        self.cost_ns += cost_ns

    def add_losses(self, rows: IntArray) -> None:
        """Adds losses; columns of `LOSS_COLUMNS`."""
        self.losses.add(rows)

    def learn(self, facts: DeliveredFacts | DeliveryUpdate) -> None:
        """Adds what became known."""
        match facts:
            case DeliveredFacts(delivered=delivered):
                if delivered.epoch in self.epochs or len(self.epochs) < MOST_EPOCHS:
                    self.epochs[delivered.epoch] = delivered
            case DeliveryUpdate():
                self.given_dtypes = facts.given_dtypes or self.given_dtypes
                self.model = facts.model or self.model

    def freeze(self) -> Delivery | None:
        """What was consumed, or None where nothing was recorded."""
        if not self.batches.count and not self.losses.count and not self.epochs:
            return None
        return Delivery(
            batch_count=self.batches.count,
            cost_ns=self.cost_ns,
            batches=self.batches.freeze(),
            losses=self.losses.freeze(),
            epochs=tuple(self.epochs[number] for number in sorted(self.epochs)),
            given_dtypes=self.given_dtypes,
        )
