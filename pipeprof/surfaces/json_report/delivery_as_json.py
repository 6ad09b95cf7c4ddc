"""What was delivered to the main loop, as the JSON report has it."""

import math
from typing import Any

from pipeprof.analysis.findings.delivery_findings import (
    ConsumedFinding,
    EvaluationPair,
    EvaluationPass,
    Order,
    Recurrence,
)
from pipeprof.analysis.findings.findings import Findings
from pipeprof.surfaces.json_report.json_values import number

# Of a long training, the losses of so many of the first and of the last batches.
_SHOWN_LOSSES = 256


def delivery_dict(findings: Findings) -> dict[str, Any]:
    """The delivery to the main loop as a plain dictionary."""
    found = findings.delivery
    consumed = found.consumed if found else None
    sizes = found.batch_sizes if found else None
    dtypes = found.dtypes if found else None
    shapes = found.shapes if found else None
    return {
        "batches": found.batches if found else None,
        "samples": found.samples if found else None,
        "batch_sizes": None if sizes is None else {str(size): n for size, n in sizes.items()},
        "dtypes": None if dtypes is None else list(dtypes),
        "shapes": None if shapes is None else [list(shape) for shape in shapes],
        "bytes_per_step": number(found.bytes_per_step) if found else None,
        "fingerprint": None
        if consumed is None
        else {"ordered": consumed.ordered, "unordered": consumed.unordered},
        **_losses(consumed),
        "consumed": None if consumed is None else _consumed(consumed),
        "evaluations": [_pair(pair) for pair in findings.evaluations] or None,
    }


def _losses(found: ConsumedFinding | None) -> dict[str, Any]:
    if found is None or not len(found.losses):
        return {"loss_batches": None, "raw_loss": None, "running_mean_loss": None}
    places = range(len(found.losses))
    if len(places) > 2 * _SHOWN_LOSSES:
        chosen = [*places[:_SHOWN_LOSSES], *places[-_SHOWN_LOSSES:]]
    else:
        chosen = list(places)
    losses = found.losses
    return {
        "loss_batches": [int(losses.ordinal[place]) for place in chosen],
        "raw_loss": [_loss(float(losses.raw[place])) for place in chosen],
        "running_mean_loss": [_loss(float(losses.shown[place])) for place in chosen],
    }


def _loss(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _consumed(found: ConsumedFinding) -> dict[str, Any]:
    return {
        "epochs": found.epochs,
        "batches_per_epoch": found.batches,
        "samples_per_epoch": found.samples,
        "batch_size": found.batch_size,
        "short_batches": found.short_batches,
        "last_batch_samples": found.last_samples,
        "different_samples": found.different,
        "repeated_samples": found.repeated,
        "missing_samples": found.missing,
        "followed_ratio": number(found.followed_ratio),
        "order_equal": {Order.EQUAL: True, Order.DIFFERENT: False, Order.UNKNOWN: None}[
            found.order
        ],
        "augmented": {Recurrence.SAME: False, Recurrence.AUGMENTED: True}.get(found.recurrence),
        "recurrence": found.recurrence.value,
        "changing_arrays": list(found.changing),
        "dtypes": list(found.shapes[0].dtypes) if found.shapes else None,
        "shapes": [list(shape) for shape in found.shapes[0].shapes] if found.shapes else None,
        "bytes_per_step": number(found.bytes_per_step),
        "conversions": [
            {"array": each.array, "given": each.given, "consumed": each.consumed}
            for each in found.conversions
        ],
        "compute_dtype": found.compute_dtype,
        "cost_ms": number(found.cost_ms),
        "cost_ratio": number(found.cost_ratio),
    }


def _pair(pair: EvaluationPair) -> dict[str, Any]:
    return {
        "inside": _pass(pair.inside),
        "alone": _pass(pair.alone),
        "same_samples": pair.same_samples,
        "same_order": pair.same_order,
        "mode_layers": [
            {"name": layer.name, "class": layer.class_name, "kind": layer.kind.value}
            for layer in pair.mode_layers
        ],
    }


def _pass(found: EvaluationPass) -> dict[str, Any]:
    return {
        "batches": found.batches,
        "samples": found.samples,
        "trained_steps": found.trained_steps,
        "loss": None if found.loss is None else _loss(found.loss),
    }
