"""Answers to the questions that people ask about Keras's losses, each as what was measured."""

from enum import Enum
from typing import TypeAlias

from pipeprof.analysis.comparing.run_comparison import Comparison
from pipeprof.analysis.findings.delivery_findings import EvaluationPair
from pipeprof.analysis.findings.losses import Losses
from pipeprof.recording.light_dataclasses import dataclass


class Feed(Enum):
    """A way to feed a training that is compared with arrays in their own order."""

    GENERATOR = "generator"
    SEQUENCE = "sequence"
    TRAIN_ON_BATCH = "train_on_batch"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAnswer:
    """Whether a way to feed gives the losses that ``fit`` has on arrays in their own order.

    Attributes:
        feed: the way.
        comparison: the training on arrays beside that one.
    """

    feed: Feed
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanAnswer:
    """What the loss is that ``fit`` shows.

    Attributes:
        losses: those of the training.
        batches_per_epoch: batches of each epoch.
    """

    losses: Losses
    batches_per_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationAnswer:
    """Validation inside ``fit`` beside ``evaluate``, on the very data that was trained on.

    Attributes:
        augments: whether the model has an augmentation layer, and not dropout and batch normalisation.
        pair: both evaluations.
        training_loss: the loss that ``fit`` shows for its last epoch.
    """

    augments: bool
    pair: EvaluationPair
    training_loss: float


ClassicAnswer: TypeAlias = FeedAnswer | MeanAnswer | EvaluationAnswer
