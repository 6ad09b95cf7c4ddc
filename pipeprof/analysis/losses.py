"""The loss of each batch, from the losses that a framework shows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeprof.recording.delivered_content import Delivery
from pipeprof.recording.series import IntArray

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses in the order of the batches.

    Attributes:
        ordinal: number of the batch in its loop; of several batches in one step, of the last one.
        shown: what the framework shows: on Keras the mean over the epoch so far.
        raw: the loss of the step's own batches; not a number where that is not known. It is the difference
            of two means, so its error grows with the number of samples before it: after 1,000 batches of
            an epoch it is about 1e-4 of the loss where means are 32-bit floats.
        samples_before: how many times the samples of the step the mean is over, which tells that error.
    """

    ordinal: IntArray
    shown: Floats
    raw: Floats
    samples_before: Floats

    def __len__(self) -> int:
        return len(self.ordinal)


def losses_of(delivery: Delivery) -> Losses:
    """The losses that were recorded for a loop."""
    ordinal, samples, bits = delivery.losses.T
    shown = np.ascontiguousarray(bits).view(np.float64)
    before = np.concatenate([[0], samples[:-1]])
    mean_before = np.concatenate([[0.0], shown[:-1]])
    steps = np.diff(ordinal, prepend=-1)
    usual = int(np.median(steps)) if len(steps) else 1
    # A mean over fewer samples than the one before began anew; behind a hole nothing is known of it.
    begun = samples <= before
    added = samples - np.where(begun, 0, before)
    known = (samples > 0) & (begun | (steps <= max(usual, 1)))
    known[:1] &= len(ordinal) > 0
    total = shown * samples - np.where(begun, 0.0, mean_before * before)
    raw = np.full(len(ordinal), np.nan)
    np.divide(total, added, out=raw, where=known & (added > 0))
    weight = samples / np.maximum(added, 1)
    return Losses(ordinal=ordinal, shown=shown, raw=raw, samples_before=weight)
