"""Adds the batches of an epoch up to hashes of the whole epoch, in bounded memory."""

from collections import Counter

import numpy as np
import xxhash

from pipeprof.capture.probes.delivery.batch_content import BatchContent, Hashes
from pipeprof.capture.probes.delivery.followed_samples import FollowedSamples
from pipeprof.recording.delivered_content import DeliveredEpoch, DeliveredShape

MOST_SHAPES = 64
SHOWN_SHAPES = 8

_ALL_BITS = (1 << 64) - 1

_Shape = tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]


class HashSums:
    """Two hashes of a row of samples: one that depends on their order, and one that does not."""

    def __init__(self) -> None:
        self._ordered = xxhash.xxh3_64()
        self._sum = 0

    def add(self, hashes: Hashes) -> None:
        """Adds samples at the end."""
        self._ordered.update(hashes.tobytes())
        self._sum = (self._sum + int(hashes.sum(dtype=np.uint64))) & _ALL_BITS

    @property
    def ordered(self) -> int:
        """The hash of the samples in their order."""
        return self._ordered.intdigest() >> 1

    @property
    def unordered(self) -> int:
        """The hash of the samples in any order."""
        return self._sum >> 1


class EpochSums:
    """Adds up the batches of one epoch.

    Args:
        epoch: its number.
        trained_steps: training steps of the model before it.
        followed: follows the samples over all epochs.
    """

    def __init__(self, epoch: int, trained_steps: int, followed: FollowedSamples) -> None:
        self.epoch = epoch
        self.batches = 0
        self._trained_steps = trained_steps
        self._followed = followed
        self._all = HashSums()
        self._arrays: list[HashSums] = []
        self._samples: int | None = 0
        self._largest = 0
        self._with_largest = 0
        self._last: int | None = None
        self._size_bytes = 0
        self._shapes: Counter[_Shape] = Counter()

    @property
    def samples(self) -> int | None:
        """Samples so far, or None where batches have no common axis of samples."""
        return self._samples

    def add(self, batch: BatchContent) -> None:
        """Adds a batch."""
        self.batches += 1
        self._size_bytes += batch.size_bytes
        self._count_samples(batch.samples)
        self._all.add(batch.of_samples)
        self._arrays += [HashSums() for _ in range(len(batch.of_arrays) - len(self._arrays))]
        for sums, hashes in zip(self._arrays, batch.of_arrays, strict=False):
            sums.add(hashes)
        if batch.samples is not None:
            self._followed.add(batch.of_samples)
        shape = (batch.dtypes, batch.shapes)
        if shape in self._shapes or len(self._shapes) < MOST_SHAPES:
            self._shapes[shape] += 1

    def _count_samples(self, samples: int | None) -> None:
        self._last = samples
        if samples is None or self._samples is None:
            self._samples = None
            return
        self._samples += samples
        if samples > self._largest:
            self._largest, self._with_largest = samples, 0
        self._with_largest += samples == self._largest

    def freeze(self) -> DeliveredEpoch:
        """The epoch, which ends here."""
        followed = self._followed.end_epoch()
        return DeliveredEpoch(
            epoch=self.epoch,
            trained_steps=self._trained_steps,
            batches=self.batches,
            samples=self._samples,
            short_batches=0 if self._samples is None else self.batches - self._with_largest,
            last_samples=self._last,
            size_bytes=self._size_bytes,
            ordered=self._all.ordered,
            unordered=self._all.unordered,
            ordered_arrays=tuple(sums.ordered for sums in self._arrays),
            unordered_arrays=tuple(sums.unordered for sums in self._arrays),
            level=followed.level,
            followed=followed.followed,
            repeated=followed.repeated,
            known=followed.known,
            missing=followed.missing,
            shapes=tuple(
                DeliveredShape(dtypes=dtypes, shapes=shapes, batches=count)
                for (dtypes, shapes), count in self._shapes.most_common(SHOWN_SHAPES)
            ),
        )
