"""The loss of each batch, from the losses that a framework shows."""

import numpy as np
import numpy.typing as npt

from pipeprof.recording.delivered_content import Delivery
from pipeprof.recording.light_dataclasses import dataclass
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
        samples_before: how many times the samples of the step the mean is over, which shows that error.
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
    own = _samples_of_steps(delivery, ordinal)
    before = np.concatenate([[0], samples[:-1]])
    mean_before = np.concatenate([[0.0], shown[:-1]])
    alone = (samples > 0) & (
        samples == own
    )  # a mean over the step itself, or the first of an epoch
    further = ~alone & (own > 0) & (samples - before == own)
    raw = np.full(len(ordinal), np.nan)
    raw[alone] = shown[alone]
    total = shown * samples - mean_before * before
    np.divide(total, own, out=raw, where=further)
    weight = samples / np.maximum(own, 1)
    return Losses(ordinal=ordinal, shown=shown, raw=raw, samples_before=weight)


def _samples_of_steps(delivery: Delivery, ordinal: IntArray) -> IntArray:
    """The samples of the batches since the loss before, for each loss; 0 where they are not known."""
    numbers, _, sizes, _ = delivery.batches.T
    behind = np.concatenate([[-1], ordinal[:-1]])
    first = np.searchsorted(numbers, behind, "right")
    last = np.searchsorted(numbers, ordinal, "right")
    summed = np.concatenate([[0], np.cumsum(sizes)])
    unknown = np.concatenate([[0], np.cumsum(sizes < 0)])
    whole = (last - first == ordinal - behind) & (unknown[last] == unknown[first])
    found: IntArray = np.where(whole, summed[last] - summed[first], 0)
    return found
