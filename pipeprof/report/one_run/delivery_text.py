"""What the model consumed, in words."""

from collections.abc import Iterator

from pipeprof.analysis.findings.delivery_findings import (
    ConsumedFinding,
    EvaluationPair,
    EvaluationPass,
    Order,
    Recurrence,
)
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.delivered_content import ModeKind, ModeLayer
from pipeprof.report.numbers import count, duration, few_digits, percent, size

_MODES = {
    ModeKind.DROPOUT: "dropout",
    ModeKind.NORMALIZATION: "batch normalisation",
    ModeKind.AUGMENTATION: "augmentation",
    ModeKind.OWN: "own use of 'training'",
}
_MOST_LAYERS = 4


def delivery_sentences(findings: Findings) -> list[str]:
    """What the main loop's model consumed, one sentence each; none where that was not recorded."""
    found = findings.delivery.consumed if findings.delivery else None
    if found is None:
        return []
    return [
        *_epoch(found),
        *_again(found),
        *_arrays(found),
        *(sentence for pair in findings.evaluations for sentence in _evaluations(pair)),
        *_cost(found),
    ]


def _epoch(found: ConsumedFinding) -> Iterator[str]:
    sentence = (
        f"{'Each epoch' if found.epochs > 1 else 'The epoch'}: {count(found.batches, 'batch')}"
    )
    if found.samples is not None:
        sentence += f", {count(found.samples, 'sample')}"
    if found.batch_size is not None:
        sentence += f", up to {found.batch_size:,} in a batch"
    if found.short_batches == 1 and found.last_samples and found.last_samples != found.batch_size:
        sentence += f"; the last batch has {found.last_samples:,}"
    elif found.short_batches:
        sentence += f"; {count(found.short_batches, 'batch')} of fewer"
    yield f"{sentence}."


def _again(found: ConsumedFinding) -> Iterator[str]:
    about = "" if found.followed_ratio == 1 else "about "
    if found.repeated:
        yield _sentence(
            f"{about}{count(found.repeated, 'sample')} came more than once in an epoch."
        )
    if found.missing:
        yield _sentence(
            f"{about}{count(found.missing, 'sample')} of one epoch did not come in another."
        )
    order = {
        Order.EQUAL: "in one order",
        Order.DIFFERENT: "in another order each time",
        Order.UNKNOWN: "",
    }[found.order]
    match found.recurrence:
        case Recurrence.SAME:
            yield f"All epochs have the same samples, {order}; nothing is augmented."
        case Recurrence.AUGMENTED:
            arrays = ", ".join(str(number + 1) for number in found.changing)
            yield (
                f"Samples come back with other content in array {arrays} of the batch: they are "
                f"augmented. The rest comes {order}."
            )
        case Recurrence.PARTLY:
            yield "Some samples of an epoch come back in the next, and some are new."
        case Recurrence.NEW:
            yield "No sample comes back in another epoch: all arrays have new content."
        case Recurrence.UNKNOWN:
            pass
    if found.followed_ratio < 1:
        yield f"Single samples were followed by their hashes, {percent(found.followed_ratio)} of them."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _arrays(found: ConsumedFinding) -> Iterator[str]:
    if found.shapes:
        shape = found.shapes[0]
        arrays = ", ".join(
            f"{dtype} {list(lengths)}"
            for dtype, lengths in zip(shape.dtypes, shape.shapes, strict=True)
        )
        moved = "" if found.bytes_per_step is None else f", {size(found.bytes_per_step)} per step"
        yield f"Consumed as {arrays}{moved}."
    for each in found.conversions:
        yield f"Array {each.array + 1} was given as {each.given} and consumed as {each.consumed}."


def _evaluations(pair: EvaluationPair) -> Iterator[str]:
    same = "the same samples" if pair.same_samples else "different samples"
    order = ", in one order" if pair.same_order else ", in another order" * pair.same_samples
    yield (
        f"Validation inside fit and evaluate consumed {same}{order}: {_pass(pair.inside)} against "
        f"{_pass(pair.alone)}."
    )
    if pair.inside.trained_steps != pair.alone.trained_steps:
        yield (
            f"They used different weights: those after {count(pair.inside.trained_steps, 'step')} "
            f"and after {count(pair.alone.trained_steps, 'step')}."
        )
    if pair.mode_layers:
        yield (
            f"Both run without training mode: {_layers(pair.mode_layers)} differ from what the "
            "training loss is computed with."
        )


def _pass(found: EvaluationPass) -> str:
    samples = "" if found.samples is None else f" of {count(found.samples, 'sample')}"
    loss = "" if found.loss is None else f", loss {found.loss:.6g}"
    return f"{count(found.batches, 'batch')}{samples}{loss}"


def _layers(layers: tuple[ModeLayer, ...]) -> str:
    named = [f"{layer.name} ({_MODES[layer.kind]})" for layer in layers[:_MOST_LAYERS]]
    others = len(layers) - len(named)
    return ", ".join(named) + (f" and {count(others, 'more layer')}" if others else "")


def _cost(found: ConsumedFinding) -> Iterator[str]:
    if found.cost_ratio is not None:
        yield (
            f"Fingerprints took {duration(found.cost_ms)} per batch, {percent(found.cost_ratio)} of the "
            "training's time."
        )
    shown = found.losses.raw[~(found.losses.raw != found.losses.raw)]
    if len(shown):
        yield (
            f"Loss of the first batch {few_digits(float(shown[0]))}, of the last "
            f"{few_digits(float(shown[-1]))}; Keras shows {few_digits(float(found.losses.shown[-1]))}, "
            "the mean over the epoch so far."
        )
