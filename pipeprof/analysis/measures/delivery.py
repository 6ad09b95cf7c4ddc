"""What was delivered to a loop, so that two ways of feeding a model can be compared fairly."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeprof.analysis.findings.findings import DeliveryFinding
from pipeprof.analysis.measures.consumed import describe_consumed
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.loop import Loop


def describe_delivery(loop: Loop, deliveries: Sequence[Signature]) -> DeliveryFinding:
    """Counts of the loop, and the commonest of the shapes in which batches came."""
    seen = _to_loops_like(loop, [delivery for delivery in deliveries if delivery.batches > 0])
    commonest = max(seen, key=lambda delivery: delivery.batches, default=None)
    return DeliveryFinding(
        batches=loop.batch_count,
        samples=loop.sample_count,
        batch_sizes=_batch_sizes(seen),
        dtypes=commonest.dtypes if commonest else None,
        shapes=commonest.shapes if commonest else None,
        bytes_per_step=_bytes_per_step(loop, seen),
        consumed=describe_consumed(loop, commonest.dtypes if commonest else None),
    )


def _to_loops_like(loop: Loop, deliveries: Sequence[Signature]) -> Sequence[Signature]:
    """The batches of training where the loop trains, and those of validation where it does not.

    A dataset given to the profile itself may have fed loops of both kinds, and describes neither.
    """
    matching = [one for one in deliveries if one.validation is not loop.kind.trains]
    return matching or deliveries


def _batch_sizes(deliveries: Sequence[Signature]) -> Mapping[int, int] | None:
    sizes: Counter[int] = Counter()
    for delivery in deliveries:
        if delivery.samples is None:
            return None
        sizes[delivery.samples] += delivery.batches
    return dict(sorted(sizes.items(), reverse=True)) or None


def _bytes_per_step(loop: Loop, deliveries: Sequence[Signature]) -> float | None:
    batches = sum(delivery.batches for delivery in deliveries)
    if not batches or not loop.step_count:
        return None
    whole = sum(delivery.batches * delivery.size_bytes for delivery in deliveries)
    return whole / batches * loop.batch_count / loop.step_count
