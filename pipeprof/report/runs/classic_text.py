"""The classic questions about Keras's losses, and the measured answers, in words."""

import math

from pipeprof.analysis.comparing.classic_answers import (
    ClassicAnswer,
    EvaluationAnswer,
    Feed,
    FeedAnswer,
    MeanAnswer,
)
from pipeprof.analysis.comparing.work_sameness import Sameness
from pipeprof.analysis.findings.delivery_findings import EvaluationPair
from pipeprof.report.numbers import count, duration, percent

_FEEDS = {
    Feed.GENERATOR: "fit on a generator",
    Feed.SEQUENCE: "fit on a Sequence (PyDataset)",
    Feed.TRAIN_ON_BATCH: "train_on_batch in a loop",
    Feed.SHUFFLED: "fit on arrays with shuffle=True, its default,",
}
_SAMENESS = {
    Sameness.SAME: "the same samples in one order",
    Sameness.OTHER_ORDER: "the same samples in another order",
    Sameness.DIFFERENT: "other samples",
    Sameness.UNKNOWN: "samples that are not known",
}


def question_of(answer: ClassicAnswer) -> str:
    """The question that an answer is to."""
    match answer:
        case FeedAnswer():
            return f"Does {_FEEDS[answer.feed]} give the losses of fit on the same arrays in their order?"
        case MeanAnswer():
            return "Is the loss that fit shows that of the batch?"
        case EvaluationAnswer(augments=True):
            return "And with an augmentation layer in the model?"
        case EvaluationAnswer():
            return (
                "Do the training loss, validation inside fit, and evaluate agree on the very same data, "
                "with dropout and batch normalisation in the model?"
            )


def answer_text(answer: ClassicAnswer) -> str:
    """An answer as it was measured."""
    match answer:
        case FeedAnswer():
            return _of_feed(answer)
        case MeanAnswer():
            return _of_mean(answer)
        case EvaluationAnswer():
            return _of_evaluation(answer)


def _of_feed(answer: FeedAnswer) -> str:
    work = answer.comparison.work
    match = work.losses
    consumed = f"It consumed {_SAMENESS[work.sameness]}."
    if match is None:
        return f"The losses were not recorded. {consumed}"
    if match.equal == match.compared:
        found = f"Yes: the losses of all {count(match.compared, 'batch')} are equal."
    elif match.equal:
        found = (
            f"At first: the losses of {match.equal} of {count(match.compared, 'batch')} are equal, then "
            f"they differ by up to {percent(match.largest)}."
        )
    else:
        found = f"No: they differ from the first batch on, by up to {percent(match.largest)}."
    return f"{found} {consumed}{_pace(answer)}"


def _pace(answer: FeedAnswer) -> str:
    row = answer.comparison.row("step_ms")
    if row is None or row.before is None or row.after is None:
        return ""
    times = f"{duration(row.after)} against {duration(row.before)} on arrays"
    return f" A step took {times}{'' if row.beyond_noise else ', which is within the noise'}."


def _of_mean(answer: MeanAnswer) -> str:
    losses, last = answer.losses, answer.batches_per_epoch - 1
    first = losses.raw[: answer.batches_per_epoch]
    known = [float(loss) for loss in first if math.isfinite(loss)]
    return (
        f"No, it is the mean over the epoch so far. After the first epoch's {last + 1} batches fit shows "
        f"{losses.shown[last]:.4f}; the last batch's own loss was {known[-1]:.4f}, the first one's "
        f"{known[0]:.4f}."
    )


def _of_evaluation(answer: EvaluationAnswer) -> str:
    pair = answer.pair
    return (
        f"fit showed a training loss of {answer.training_loss:.4f}, {_evaluations(pair)}. The training "
        "loss is a mean over steps whose weights still changed, computed in training mode"
        f"{_layers(pair)}."
    )


def _evaluations(pair: EvaluationPair) -> str:
    inside, alone = pair.inside.loss, pair.alone.loss
    if inside is None or alone is None:
        return "and the losses of the evaluations were not recorded"
    alike = math.isclose(inside, alone, rel_tol=1e-5)
    if alike:
        return f"validation inside fit and evaluate agree at {alone:.4f}{_why_alike(pair)}"
    return f"validation inside fit {inside:.4f}, evaluate {alone:.4f}"


def _why_alike(pair: EvaluationPair) -> str:
    if pair.same_samples and pair.inside.trained_steps == pair.alone.trained_steps:
        return f" (equal samples, both after {count(pair.alone.trained_steps, 'step')})"
    return ""


def _layers(pair: EvaluationPair) -> str:
    names = [layer.name for layer in pair.mode_layers]
    if not names:
        return ""
    return f", in which {', '.join(names)} {'works' if len(names) == 1 else 'work'}"
