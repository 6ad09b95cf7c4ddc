"""What the analysis finds about the content that a loop's model consumed."""

from enum import Enum

from pipeprof.analysis.findings.losses import Losses
from pipeprof.recording.delivered_content import DeliveredShape, ModeLayer
from pipeprof.recording.light_dataclasses import dataclass


class Order(Enum):
    """Whether the samples come in one order in all epochs."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


class Recurrence(Enum):
    """Whether the samples of an epoch come back in the others."""

    SAME = "same"
    """All epochs have the same samples."""
    AUGMENTED = "augmented"
    """Some of the arrays come back and others do not: the same samples with other content."""
    PARTLY = "partly"
    """Some samples come back."""
    NEW = "new"
    """No sample comes back."""
    UNKNOWN = "unknown"
    """There was one epoch, or samples could not be distinguished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """An array whose data type was changed on its way to the model.

    Attributes:
        array: its number among the arrays of a batch, from 0.
        given: data type in which it was given or made.
        consumed: data type in which the model consumed it.
    """

    array: int
    given: str
    consumed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumedFinding:
    """What a loop's model consumed.

    Attributes:
        epochs: how many epochs were begun.
        batches: batches of the first whole epoch.
        samples: samples of it, or None where they are not known.
        batch_size: samples of its largest batches, or None.
        short_batches: batches of it with fewer samples.
        last_samples: samples of its last batch.
        different: about how many different samples it had, or None.
        repeated: about how many of them it had more than once.
        missing: about how many samples of other epochs the worst later epoch did not have.
        followed_ratio: the part of the samples that these numbers are projected from.
        order: whether the order is equal from epoch to epoch.
        recurrence: whether samples come back.
        changing: numbers of the arrays whose content changes from epoch to epoch.
        shapes: the commonest shapes of batches in the first epoch.
        bytes_per_step: bytes that a step consumes, or None.
        conversions: arrays whose data type was changed on the way.
        compute_dtype: data type in which the model computes, or None.
        ordered: hash of the first whole epoch's samples in their order.
        unordered: hash of them in any order.
        losses: the recorded losses.
        cost_ratio: what recording all this took of the loop's time, or None.
        cost_ms: what it took per batch.
    """

    epochs: int
    batches: int
    samples: int | None
    batch_size: int | None
    short_batches: int
    last_samples: int | None
    different: int | None
    repeated: int
    missing: int
    followed_ratio: float
    order: Order
    recurrence: Recurrence
    changing: tuple[int, ...]
    shapes: tuple[DeliveredShape, ...]
    bytes_per_step: float | None
    conversions: tuple[Conversion, ...]
    compute_dtype: str | None
    ordered: str
    unordered: str
    losses: Losses
    cost_ratio: float | None
    cost_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPass:
    """One evaluation of a model.

    Attributes:
        batches: batches in it.
        samples: samples in it, or None.
        trained_steps: training steps of the model before it.
        loss: its loss, or None where it was not recorded.
    """

    batches: int
    samples: int | None
    trained_steps: int
    loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPair:
    """The last validation inside a ``fit`` and an ``evaluate`` of the same model by itself.

    Attributes:
        inside: the validation.
        alone: the evaluation.
        same_samples: whether both consumed equal samples.
        same_order: whether both consumed them in one order.
        mode_layers: layers of the model that compute something else in training than in both of these.
    """

    inside: EvaluationPass
    alone: EvaluationPass
    same_samples: bool
    same_order: bool
    mode_layers: tuple[ModeLayer, ...]
