"""What could be otherwise in a run, as choices of a reader, with a prediction for one or two at once."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    FreeBatches,
    LoadedAhead,
    LoadedByWorkers,
    NoCallback,
    NoEpochStarts,
    StageCosts,
    StageRuns,
    SupposedStep,
    Supposition,
    WithCores,
)
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.predicting.what_if import (
    Predictor,
    callback_ms,
    calls_of_callbacks,
    class_of,
)
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import StageKind

MOST_STAGES = 6
MOST_CALLBACKS = 3

# What is a smaller part of a step cannot gain more than that.
_LEAST_SHARE = 0.01
_FACTORS = (0.5, 0.0)
_AT_ONCE = (2, 4, 8)
_MORE_CORES = (2, 4, 8)

ChoiceIndex = tuple[int, int]
"""A choice: the number of its control, and its number in that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Something that can be otherwise in one of several ways.

    Attributes:
        stage: the stage that it changes, or None.
        choices: the ways, at least one.
    """

    stage: str | None
    choices: tuple[Supposition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """All that can be chosen, and what is predicted.

    Attributes:
        controls: what can be otherwise; those of stages first, the dearest stage first.
        today_ms: today's mean step time, the beginnings of epochs included.
        free: with input for free.
        predictions: of one choice, or of two in different controls, by their places in order; two that do
            not go together have none.
    """

    controls: tuple[Control, ...]
    today_ms: float
    free: SupposedStep
    predictions: Mapping[tuple[ChoiceIndex, ...], SupposedStep]


def predict_choices(verdict: Verdict) -> Choices:
    """Predicts all choices that a run has.

    Raises:
        UsageError: something needed was not measured, or the model does not explain the present.
    """
    predictor = Predictor(verdict)
    controls = tuple(_possible(predictor, _controls(predictor)))
    places = [
        (number, choice)
        for number, control in enumerate(controls)
        for choice in range(len(control.choices))
    ]
    wanted: list[tuple[ChoiceIndex, ...]] = [(place,) for place in places]
    wanted += [pair for pair in combinations(places, 2) if pair[0][0] != pair[1][0]]
    predictions = {}
    for chosen in wanted:
        supposed = [controls[number].choices[choice] for number, choice in chosen]
        found = _predicted(predictor, supposed)
        if found is not None:
            predictions[chosen] = found
    return Choices(
        controls=controls,
        today_ms=predictor.today_ms,
        free=predictor.predict(FreeBatches()),
        predictions=predictions,
    )


def _predicted(predictor: Predictor, supposed: Sequence[Supposition]) -> SupposedStep | None:
    try:
        return predictor.predict(*supposed)
    except UsageError:
        return None


def _possible(predictor: Predictor, controls: Iterator[Control]) -> Iterator[Control]:
    """Controls with the choices alone that can be predicted."""
    for control in controls:
        choices = tuple(one for one in control.choices if _predicted(predictor, [one]) is not None)
        if choices:
            yield Control(stage=control.stage, choices=choices)


def _controls(predictor: Predictor) -> Iterator[Control]:
    verdict = predictor.verdict
    least_ms = _LEAST_SHARE * predictor.today_ms
    for name, costs in _dearest(predictor.costs, least_ms):
        yield Control(stage=name, choices=tuple(_of_stage(name, costs)))
    if any(not cost.place.ahead and cost.cost_ms >= least_ms for cost in predictor.costs):
        yield Control(stage=None, choices=(LoadedAhead(),))
    if any(cost.stage.kind.python for cost in predictor.costs):
        yield Control(
            stage=None,
            choices=tuple(
                LoadedByWorkers(workers=workers, processes=processes)
                for processes in (False, True)
                for workers in _AT_ONCE
            ),
        )
    if predictor.epoch_start_ms >= least_ms:
        yield Control(stage=None, choices=(NoEpochStarts(),))
    callbacks = {class_of(call) for call in calls_of_callbacks(verdict)}
    taken = sorted(((callback_ms(verdict, name), name) for name in callbacks), reverse=True)
    for ms, name in taken[:MOST_CALLBACKS]:
        if ms >= least_ms:
            yield Control(stage=None, choices=(NoCallback(callback=name),))
    cores = verdict.measured.context.worth
    yield Control(stage=None, choices=tuple(WithCores(cores=cores * more) for more in _MORE_CORES))


def _dearest(costs: Sequence[StageCost], least_ms: float) -> list[tuple[str, list[StageCost]]]:
    """Stages by name, the dearest first, that are at least that dear."""
    named: dict[str, list[StageCost]] = {}
    for cost in costs:
        named.setdefault(cost.stage.name, []).append(cost)
    sums = {name: sum(cost.cost_ms for cost in those) for name, those in named.items()}
    dear = sorted((name for name in named if sums[name] >= least_ms), key=lambda name: -sums[name])
    return [(name, named[name]) for name in dear[:MOST_STAGES]]


def _of_stage(name: str, costs: Sequence[StageCost]) -> Iterator[Supposition]:
    for factor in _FACTORS:
        yield StageCosts(stage=name, factor=factor)
    if any(cost.stage.kind is StageKind.TRANSPORT for cost in costs):
        return
    today = max(cost.place.parallelism for cost in costs)
    for at_once in _AT_ONCE:
        if at_once > today:
            yield StageRuns(stage=name, parallelism=at_once)
    yield CachedBehind(stage=name)
