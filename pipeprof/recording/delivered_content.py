"""What a loop's model consumed: the fingerprints of its batches, epoch by epoch, and its losses.

All hashes are xxhash's 64-bit XXH3 without their lowest bit, so that they are never negative.
"""

from dataclasses import field
from enum import Enum

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredShape:
    """One shape in which batches were consumed; all arrays of a batch, flattened.

    Attributes:
        dtypes: data type of each array.
        shapes: shape of each array.
        batches: how many batches had this shape.
    """

    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredEpoch:
    """What was consumed in one epoch.

    Of a long epoch only a part of the samples is followed one by one: those whose hash can be divided by
    ``2 ** level``. Equal samples are therefore followed in all epochs and in all runs, or in none.

    Attributes:
        epoch: number of the epoch in its loop, from 0.
        trained_steps: training steps of the model before it, as far as they were recorded.
        batches: batches in it.
        samples: samples in it, or None where batches have no common axis of samples.
        short_batches: batches with fewer samples than the largest.
        last_samples: samples in its last batch, or None.
        size_bytes: bytes of all its batches.
        ordered: hash of all samples in their order.
        unordered: hash that does not depend on the order of the samples.
        ordered_arrays: `ordered` for each array of the batches by itself.
        unordered_arrays: `unordered` for each array of the batches by itself.
        level: which samples are followed, see above.
        followed: how many different samples were followed in it.
        repeated: how many of them were in it more than once.
        known: how many of them an earlier epoch of the loop had.
        missing: how many samples of earlier epochs were followed and not in it.
        shapes: the commonest shapes of its batches.
    """

    epoch: int
    trained_steps: int
    batches: int
    samples: int | None
    short_batches: int
    last_samples: int | None
    size_bytes: int
    ordered: int
    unordered: int
    ordered_arrays: tuple[int, ...]
    unordered_arrays: tuple[int, ...]
    level: int
    followed: int
    repeated: int
    known: int
    missing: int
    shapes: tuple[DeliveredShape, ...]


class ModeKind(Enum):
    """Why a layer computes something else in training than in evaluation."""

    DROPOUT = "dropout"
    NORMALIZATION = "normalization"
    AUGMENTATION = "augmentation"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeLayer:
    """A layer that computes something else in training than in evaluation.

    Attributes:
        name: the layer's name.
        class_name: name of its class.
        kind: why it does so.
    """

    name: str
    class_name: str
    kind: ModeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """The model of a loop.

    Attributes:
        name: its name.
        parameters: how many numbers its weights have, or None before it was built.
        compute_dtype: data type in which its layers compute, or None where it is not known.
        optimizer: class of its optimizer, or None without one.
        mode_layers: layers that compute something else in training than in evaluation.
    """

    name: str
    parameters: int | None = None
    compute_dtype: str | None = None
    optimizer: str | None = None
    mode_layers: tuple[ModeLayer, ...] = ()


# Columns of `Delivery.batches`: number of the batch in its loop, its epoch, its samples (-1 where they are
# not known), and the hash of its content.
BATCH_COLUMNS = ("ordinal", "epoch", "samples", "content")

# Columns of `Delivery.losses`: number of the latest batch, over how many samples the loss is a mean (0 if
# that is not known), and the loss as the bits of a 64-bit float.
LOSS_COLUMNS = ("ordinal", "samples", "loss_bits")


def _no_rows(columns: int) -> IntArray:
    return np.empty((0, columns), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a loop's model consumed, where its content was recorded.

    Attributes:
        batch_count: batches whose content was hashed.
        cost_ns: time that it took in the loop's thread to record them.
        batches: the first and the last batches one by one; columns of `BATCH_COLUMNS`.
        losses: the loss after the first and the last batches; columns of `LOSS_COLUMNS`.
        epochs: the epochs in their order; of many epochs, the first ones, some later ones and the last.
        given_dtypes: data types of the arrays that were given to the loop, or None where they are not
            known.
    """

    batch_count: int = 0
    cost_ns: int = 0
    batches: IntArray = field(default_factory=lambda: _no_rows(len(BATCH_COLUMNS)))
    losses: IntArray = field(default_factory=lambda: _no_rows(len(LOSS_COLUMNS)))
    epochs: tuple[DeliveredEpoch, ...] = ()
    given_dtypes: tuple[str, ...] | None = None
