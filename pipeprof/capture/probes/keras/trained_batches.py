"""What a hand-written loop gives to ``train_on_batch``, and the loss that comes back."""

from typing import Any

from pipeprof.capture.probes.delivery.deliveries import HashedBatch
from pipeprof.capture.probes.keras.described_models import DescribedModels
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder.facts import DeliveryUpdate


class TrainedBatches:
    """Records the batches that ``train_on_batch`` is given.

    Args:
        context: the profile's.
    """

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._models = DescribedModels()

    def given(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HashedBatch | None:
        """Hashes a call's arrays before it, or returns None where nobody asked for that."""
        if self._context.by_hand_deliveries is None:
            return None
        y, weights = (*args, None, None)[:2]
        parts = (x, kwargs.get("y", y), kwargs.get("sample_weight", weights))
        return self._context.deliveries.hash(parts)

    def trained(self, model: Any, batch: HashedBatch | None, result: Any) -> None:
        """Records a call that has ended.

        Args:
            model: the model that was trained.
            batch: what `given` returned.
            result: what the call returned.
        """
        self._context.deliveries.guard.run(self._trained, model, batch, result)

    def _trained(self, model: Any, batch: HashedBatch | None, result: Any) -> None:
        hand, deliveries = self._context.loops.hand, self._context.deliveries
        loop = hand.loop
        if loop is None:
            return
        if not loop.step or batch is not None:
            deliveries.note(DeliveryUpdate(loop=loop.number, model=self._models.describe(model)))
        if batch is None or self._context.by_hand_deliveries is None:
            return
        self._context.by_hand_deliveries.called(batch)
        loss = _loss_of(result)
        if loss is not None:
            deliveries.loss(loop, loss, over=samples_of_loss(model))


def _loss_of(result: Any) -> float | None:
    """The loss among what ``train_on_batch`` returns."""
    if isinstance(result, dict):
        result = result.get("loss")
    elif isinstance(result, (tuple, list)) and result:
        result = result[0]
    try:
        return float(result)
    except (TypeError, ValueError):
        return None


def samples_of_loss(model: Any) -> int | None:
    """Over how many samples, of all replicas together, the model's loss is a mean.

    None where that is not known; 0 before the first batch.
    """
    for metric in getattr(model, "metrics", [])[:1]:
        count = getattr(metric, "count", None)
        if getattr(metric, "name", None) == "loss" and count is not None:
            return round(float(count.numpy()))
    return None
