"""What a loop's whole wall time shows, in sentences: its host, its epochs, long waits, validation."""

from pipeprof.analysis.findings.account_findings import HostPlace
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.findings.wall_evidence_kinds import (
    EpochsApart,
    FewSteps,
    HostAtWork,
    Retracings,
    UnevenWaits,
    ValidationTime,
    WaitBesideHost,
    WallEvidence,
)
from pipeprof.recording.source_code import has_name
from pipeprof.report.names.part_names import place_name
from pipeprof.report.names.stage_labels import label_of
from pipeprof.report.numbers import count, duration, percent, percent_within

_MOST_EPOCHS = 3

_VALIDATION = {
    Bound.COMPUTE: "it computes",
    Bound.HOST: "most of it is Python code beside the model",
    Bound.BALANCED: "it waits for data a part of the time",
    Bound.UNKNOWN: "its waits were not measured",
}


def wall_sentence(found: WallEvidence) -> str:
    """The sentence of a piece of evidence on the wall time."""
    match found:
        case HostAtWork():
            return _host(found)
        case WaitBesideHost():
            return f"Waiting for data takes {percent(found.ratio)} of the time as well."
        case FewSteps():
            low, high = percent(found.low), percent(found.high)
            between = low if low == high else f"{low} to {high}"
            return f"Only {count(found.steps, 'step')}: {between} of the time waits for data."
        case EpochsApart():
            return _apart(found)
        case UnevenWaits():
            return _uneven(found)
        case ValidationTime():
            return _validation(found)
        case Retracings():
            return _retracings(found)


def _host(found: HostAtWork) -> str:
    parts = [
        (percent(ratio), what)
        for ratio, what in (
            (found.callbacks_ratio, "in callbacks"),
            (found.between_ratio, "between epochs"),
            (found.own_code_ratio, "in the training's own code"),
        )
        if ratio >= 0.005
    ]
    named = ", ".join(
        f"{_place(place)} {percent_within(place.ratio, place.error)}" for place in found.places
    )
    where = f": {named}" if named else ""
    (share, what), *rest = parts
    others = "".join(f" and {share} {what}" for share, what in rest)
    return f"{share} of the time passes {what}{others}{where}."


def _place(place: HostPlace) -> str:
    name = place_name(place.name)
    if place.location is None:
        return name
    return f"{name} ({place.location.short})" if has_name(name) else place.location.short


def _apart(found: EpochsApart) -> str:
    numbers = [f"{epoch + 1:,}" for epoch in found.epochs[:_MOST_EPOCHS]]
    more = len(found.epochs) - len(numbers)
    if more:
        numbers.append(f"{count(more, 'other')}")
    several = len(found.epochs) > 1
    listed = f"{', '.join(numbers[:-1])} and {numbers[-1]}" if several else numbers[0]
    waits = f"Epochs {listed} wait" if several else f"Epoch {listed} waits"
    why = "" if found.filled_cache is None else f": {label_of(found.filled_cache)} is being filled"
    return f"{waits} {percent(found.ratio)} of the time, the others {percent(found.others_ratio)}{why}."


def _uneven(found: UnevenWaits) -> str:
    share = percent(found.share)
    if found.period is not None:
        return (
            f"Every {_ordinal(found.period)} step waits {duration(found.wait_ms)}: the longest waits "
            f"hold {share} of all waiting."
        )
    return (
        f"The longest 5 % of waits, {duration(found.wait_ms)} and the like, hold {share} of all "
        "waiting."
    )


def _ordinal(number: int) -> str:
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def _validation(found: ValidationTime) -> str:
    takes = f"Validation takes {percent(found.ratio)} of the training's time"
    if found.bound is Bound.INPUT:
        waits = f"{percent(found.wait_ratio or 0.0)} of it waits for data"
        stage = "" if found.bottleneck is None else f", for {label_of(found.bottleneck)}"
        return f"{takes}: {waits}{stage}."
    return f"{takes}: {_VALIDATION[found.bound]}."


def _retracings(found: Retracings) -> str:
    others = f", and {count(found.others, 'other change')}" if found.others else ""
    often = "once" if found.count == 1 else f"{found.count:,} times"
    if found.change is None:
        why = f"a new one was made, as compile does{others}"
    else:
        why = f"the shape of its data changed, {found.change}{others}"
    remedy = " Batches of a few fixed shapes avoid that." if found.change and found.others else ""
    took = f"which took {duration(found.ms)}"
    return f"The training's function was compiled again {often}, {took}: {why}.{remedy}"
