"""What a loop's model consumed, from the hashes of its batches."""

from collections.abc import Sequence

from pipeprof.analysis.findings.delivery_findings import (
    ConsumedFinding,
    Conversion,
    EvaluationPair,
    EvaluationPass,
    Order,
    Recurrence,
)
from pipeprof.analysis.findings.losses import losses_of
from pipeprof.recording.delivered_content import DeliveredEpoch
from pipeprof.recording.loop import Loop, LoopKind

# A sample that comes back by chance does not make an epoch one that comes back.
_NEW = 0.02


def describe_consumed(loop: Loop, made_dtypes: Sequence[str] | None) -> ConsumedFinding | None:
    """What a loop's model consumed, or None where that was not recorded.

    Args:
        loop: the loop.
        made_dtypes: data types in which its batches were made, where that was seen.
    """
    delivery = loop.delivery
    if delivery is None or not delivery.epochs:
        return None
    epochs = whole_epochs(delivery.epochs)
    first = epochs[0]
    scale = 1 << first.level
    recurring = _recurrence(epochs)
    wall_ns = loop.end_ns - loop.start_ns
    batches = sum(epoch.batches for epoch in delivery.epochs)
    model = loop.trained_model
    return ConsumedFinding(
        epochs=delivery.epochs[-1].epoch + 1,
        batches=first.batches,
        samples=first.samples,
        batch_size=_batch_size(first),
        short_batches=first.short_batches,
        last_samples=first.last_samples,
        different=None if first.samples is None else _at_most(first.followed * scale, first),
        repeated=max(epoch.repeated << epoch.level for epoch in epochs),
        missing=_missing(epochs, recurring),
        followed_ratio=1 / (1 << max(epoch.level for epoch in epochs)),
        order=_order(epochs, recurring),
        recurrence=recurring,
        changing=_changing(epochs),
        shapes=first.shapes,
        bytes_per_step=sum(epoch.size_bytes for epoch in delivery.epochs)
        / batches
        * loop.batch_count
        / loop.step_count
        if batches and loop.step_count
        else None,
        conversions=_conversions(delivery.given_dtypes or made_dtypes, first),
        compute_dtype=model.compute_dtype if model else None,
        ordered=f"{first.ordered:016x}",
        unordered=f"{first.unordered:016x}",
        losses=losses_of(delivery),
        cost_ratio=delivery.cost_ns / wall_ns if wall_ns > 0 else None,
        cost_ms=delivery.cost_ns / max(delivery.batch_count, 1) / 1e6,
    )


def whole_epochs(epochs: Sequence[DeliveredEpoch]) -> Sequence[DeliveredEpoch]:
    """The epochs without the last one where that was cut off: it has fewer batches than the others."""
    if len(epochs) > 1 and epochs[-1].batches < min(epoch.batches for epoch in epochs[:-1]):
        return epochs[:-1]
    return epochs


def _at_most(different: int, epoch: DeliveredEpoch) -> int:
    return different if epoch.samples is None else min(different, epoch.samples)


def _batch_size(epoch: DeliveredEpoch) -> int | None:
    if epoch.samples is None or not epoch.batches:
        return None
    sizes = [shape.shapes[0][0] for shape in epoch.shapes if shape.shapes and shape.shapes[0]]
    return max(sizes, default=None)


def _recurrence(epochs: Sequence[DeliveredEpoch]) -> Recurrence:
    if len(epochs) < 2 or epochs[0].samples is None:
        return Recurrence.UNKNOWN
    if all(epoch.unordered == epochs[0].unordered for epoch in epochs):
        return Recurrence.SAME
    later = epochs[1:]
    followed = sum(epoch.followed for epoch in later)
    known = sum(epoch.known for epoch in later)
    if not followed:
        return Recurrence.UNKNOWN
    if known / followed >= _NEW:
        return Recurrence.PARTLY
    arrays = len(epochs[0].unordered_arrays)
    return Recurrence.AUGMENTED if 0 < len(_changing(epochs)) < arrays else Recurrence.NEW


def _changing(epochs: Sequence[DeliveredEpoch]) -> tuple[int, ...]:
    first = epochs[0].unordered_arrays
    return tuple(
        number
        for number, value in enumerate(first)
        if any(
            len(epoch.unordered_arrays) != len(first) or epoch.unordered_arrays[number] != value
            for epoch in epochs[1:]
        )
    )


def _order(epochs: Sequence[DeliveredEpoch], recurrence: Recurrence) -> Order:
    """Whether the order is equal: that of the arrays that come back, where others change."""
    if recurrence not in (Recurrence.SAME, Recurrence.AUGMENTED):
        return Order.UNKNOWN
    changing = _changing(epochs)
    staying = [n for n in range(len(epochs[0].ordered_arrays)) if n not in changing]
    orders = {tuple(epoch.ordered_arrays[n] for n in staying) for epoch in epochs}
    return Order.EQUAL if len(orders) == 1 else Order.DIFFERENT


def _missing(epochs: Sequence[DeliveredEpoch], recurrence: Recurrence) -> int:
    if recurrence not in (Recurrence.SAME, Recurrence.PARTLY):
        return 0
    return max((epoch.missing << epoch.level for epoch in epochs[1:]), default=0)


def _conversions(given: Sequence[str] | None, epoch: DeliveredEpoch) -> tuple[Conversion, ...]:
    consumed = epoch.shapes[0].dtypes if epoch.shapes else ()
    if given is None or len(given) != len(consumed):
        return ()
    return tuple(
        Conversion(array=number, given=before, consumed=after)
        for number, (before, after) in enumerate(zip(given, consumed, strict=True))
        if before != after
    )


def pair_evaluations(loops: Sequence[Loop], main: Loop | None) -> tuple[EvaluationPair, ...]:
    """The validation inside a loop beside each evaluation by itself of the same model.

    Args:
        loops: all loops of the run.
        main: the loop whose validation is meant.
    """
    if main is None or main.model is None:
        return ()
    evaluations = [loop for loop in loops if loop.kind is LoopKind.EVALUATE]
    evaluations = [loop for loop in evaluations if loop.delivery and loop.delivery.epochs]
    inside = [e for e in evaluations if e.parent is not None and loops[e.parent] is main]
    alone = [e for e in evaluations if e.parent is None and e.model == main.model]
    if not inside:
        return ()
    return tuple(_pair(inside[-1], each, main) for each in alone)


def _pair(inside: Loop, alone: Loop, main: Loop) -> EvaluationPair:
    assert inside.delivery is not None
    assert alone.delivery is not None
    first, second = inside.delivery.epochs[-1], alone.delivery.epochs[-1]
    return EvaluationPair(
        inside=_pass(inside, first),
        alone=_pass(alone, second),
        same_samples=first.unordered == second.unordered,
        same_order=first.ordered == second.ordered,
        mode_layers=main.trained_model.mode_layers if main.trained_model else (),
    )


def _pass(loop: Loop, epoch: DeliveredEpoch) -> EvaluationPass:
    assert loop.delivery is not None
    losses = losses_of(loop.delivery)
    return EvaluationPass(
        batches=epoch.batches,
        samples=epoch.samples,
        trained_steps=epoch.trained_steps,
        loss=float(losses.shown[-1]) if len(losses) else None,
    )
