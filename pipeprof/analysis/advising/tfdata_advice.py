"""What to do about a slow tf.data pipeline: calls at once, a cache, another order of its stages."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import ceil

from pipeprof.analysis.advising.prediction import measured_elsewhere, with_prediction
from pipeprof.analysis.findings.advice_kinds import Advice, Remedy
from pipeprof.analysis.findings.input_findings import StartCause
from pipeprof.analysis.findings.tfdata_remedies import (
    BatchFirst,
    Cache,
    FilterFirst,
    MappedStage,
    MoreFiles,
    OpenInParallel,
    OwnThreads,
    ParallelCalls,
    ParallelFilter,
    ShuffleFirst,
)
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.epoch_starts import usual_start
from pipeprof.analysis.measures.stage_tree import (
    askers_of,
    by_user,
    chain_below,
    inputs_of,
    passes_on,
    users_map,
)
from pipeprof.analysis.predicting.training_model import running_at_once, with_costs
from pipeprof.analysis.verdicts.bottleneck import beneath, needed_ms
from pipeprof.analysis.verdicts.bounds import INPUT_FROM
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.account import Part
from pipeprof.recording.level_names import Level
from pipeprof.recording.loop import InputKind
from pipeprof.recording.stage import FunctionTrait, OperatorFamily, StageKind

# Calls that only wait cost no core; more of them at once than this is nobody's first step.
MOST_WAITING_AT_ONCE = 16

# A filter that keeps more than this has thrown little work away.
_KEEPS_MOST = 0.8
# A stage that takes less than this of all input work is not what to move.
_DEAR_FROM = 0.2
# What fills more of the free memory than this does not belong there.
_FITS_BELOW = 0.5

_MAPS = (OperatorFamily.MAP, OperatorFamily.MAP_AND_BATCH)
_OPENERS = (OperatorFamily.FLAT_MAP, OperatorFamily.INTERLEAVE)
_BATCHABLE = (FunctionTrait.PARSES_ONE_RECORD, FunctionTrait.CHEAPER_IN_BATCHES)


def parallel_calls(verdict: Verdict) -> Iterator[Advice]:
    """A transformation with a function, or files that are read, can be several calls at once."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    if worst is None or not ideal_ms or not by_user(worst):
        return
    waits = verdict.cause is Cause.BLOCKING
    computes = verdict.cause in (Cause.SERIAL, Cause.CPU) and not worst.stage.kind.python
    if not (waits or computes):
        return
    most = MOST_WAITING_AT_ONCE if waits else int(verdict.measured.context.worth)
    calls = min(max(ceil(worst.cost_ms / ideal_ms), 2), most) if waits else most
    if calls < 2 or calls <= worst.place.parallelism:
        return
    chosen = _in_parallel(worst, verdict.measured.costs, calls, autotuned=not waits)
    few = chosen is not None and isinstance(chosen[1], MoreFiles)
    if waits and worst.place.allowed is not None and not few:
        yield from _own_threads(verdict, worst, min(calls, int(worst.place.allowed)))
    elif chosen is not None:
        yield from _made_parallel(verdict, worst, calls, *chosen)


def _own_threads(verdict: Verdict, worst: StageCost, calls: int) -> Iterator[Advice]:
    """A stage may make its calls at once, but tf.data has no threads for them."""
    remedy = OwnThreads(stage=worst.stage.name, threads=_threads_for(int(worst.place.allowed or 0)))
    change = partial(running_at_once, chosen=[worst], parallelism=calls)
    yield from with_prediction(verdict, remedy, change)


def _made_parallel(
    verdict: Verdict, worst: StageCost, calls: int, target: StageCost, remedy: Remedy
) -> Iterator[Advice]:
    cores = verdict.measured.cpu.cores
    if isinstance(remedy, ParallelFilter):  # AUTOTUNE makes no more calls than there are cores
        calls = min(calls, cores)
    elif isinstance(remedy, ParallelCalls | OpenInParallel | MoreFiles) and calls > cores:
        remedy = replace(remedy, threads=_threads_for(calls))
    change = partial(running_at_once, chosen=[target], parallelism=calls, opened=worst)
    if isinstance(remedy, ParallelCalls):
        costs, ideal_ms = verdict.measured.costs, verdict.ideal_ms or 0.0
        before, behind = _slow_as_well(worst, costs, ideal_ms, calls)
        change = partial(running_at_once, chosen=[target, *before, *behind], parallelism=calls)
        remedy = replace(remedy, before=_mapped(before), behind=_mapped(behind))
    yield from with_prediction(verdict, remedy, change)


def _threads_for(calls: int) -> int:
    """Threads of its own that let a pipeline make so many calls: tf.data has one a core without them."""
    return calls + 1


def _in_parallel(
    worst: StageCost, costs: Sequence[StageCost], calls: int, *, autotuned: bool
) -> tuple[StageCost, Remedy] | None:
    """The stage that is to make several calls at once for a slow one, and how that is written."""
    name, function = worst.stage.name, worst.stage.function
    match worst.stage.family:
        case OperatorFamily.MAP | OperatorFamily.MAP_AND_BATCH:
            remedy = ParallelCalls(stage=name, function=function, calls=calls, autotuned=autotuned)
            return worst, remedy
        case OperatorFamily.FILTER:
            return worst, ParallelFilter(stage=name, function=function)
        case OperatorFamily.FLAT_MAP | OperatorFamily.INTERLEAVE:
            return worst, _opening(worst, calls)
        case OperatorFamily.READ | OperatorFamily.GENERATOR:
            opener = _opener_of(worst, costs)
            if opener is not None and not opener.stage.parallel:
                return opener, _opening(opener, calls)
            few = opener is None or _few_files(opener, costs)
            if worst.stage.family is OperatorFamily.READ and few:
                return worst, MoreFiles(reader=name, calls=calls)
    return None


def _slow_as_well(
    worst: StageCost, costs: Sequence[StageCost], ideal_ms: float, calls: int
) -> tuple[list[StageCost], list[StageCost]]:
    """Further maps, before and behind the slowest, that are too slow for the training by themselves."""
    above = [cost.index for cost in askers_of(worst, costs)]
    below = beneath(worst, costs)
    slow = [
        cost
        for cost in costs
        if cost.index != worst.index
        and by_user(cost)
        and cost.stage.family in _MAPS
        and cost.stage.kind is worst.stage.kind
        and cost.place.parallelism < calls
        and cost.cost_ms > ideal_ms * cost.place.parallelism
    ]
    before = [cost for cost in slow if cost.index in below]
    before.sort(key=lambda cost: -len(list(askers_of(cost, costs))))
    behind = [cost for cost in slow if cost.index in above]
    behind.sort(key=lambda cost: above.index(cost.index))
    return before, behind


def _mapped(costs: Sequence[StageCost]) -> tuple[MappedStage, ...]:
    return tuple(MappedStage(stage=c.stage.name, function=c.stage.function) for c in costs)


def _opening(opener: StageCost, calls: int) -> OpenInParallel:
    return OpenInParallel(
        stage=opener.stage.name,
        function=opener.stage.function,
        calls=calls,
        in_order=opener.stage.family is OperatorFamily.INTERLEAVE,
    )


def _opener_of(inside: StageCost, costs: Sequence[StageCost]) -> StageCost | None:
    """The nearest stage that opens this one as one of its inputs, or None.

    What it opens gives all that it gives; what it takes its names from gives far fewer elements.
    """
    opener = next((a for a in askers_of(inside, costs) if a.stage.family in _OPENERS), None)
    if opener is None or 2 * inside.calls < opener.calls or not by_user(opener):
        return None
    return opener


def _few_files(opener: StageCost, costs: Sequence[StageCost]) -> bool:
    """Whether a stage has fewer inputs to open than calls that it may make."""
    names = [cost.calls for cost in inputs_of(opener, costs) if 2 * cost.calls < opener.calls]
    return bool(names) and min(names) < opener.place.parallelism


def cache(verdict: Verdict) -> Iterator[Advice]:
    """What a stage gave in the first epoch need not be made again in the next, if it is the same."""
    worst, loop, costs = verdict.worst, verdict.measured.loop, verdict.measured.costs
    if worst is None or loop.input.kind is not InputKind.TF_DATA or loop.epochs < 2:
        return
    if verdict.cause is Cause.EPOCH_START or _cached_already(worst, costs):
        return
    found = _to_cache(worst, costs)
    if found is None:
        return
    kept, saved, before_shuffle = found
    if not before_shuffle:
        kept, saved = _made_by_library(kept, saved, costs)
    size = _epoch_bytes(verdict, kept)
    room = verdict.measured.profile.gauges.get(Level.MEMORY_ROOM.value)
    free_bytes = None if room is None else room.last
    remedy = Cache(
        stage=kept.stage.made_by or kept.stage.name,
        function=kept.stage.function,
        before_shuffle=before_shuffle,
        size_bytes=size,
        on_disk=size is not None and free_bytes is not None and size > _FITS_BELOW * free_bytes,
    )
    change = partial(with_costs, cost_ms=dict.fromkeys(saved, 0.0))
    yield from with_prediction(verdict, remedy, change)


def _cached_already(worst: StageCost, costs: Sequence[StageCost]) -> bool:
    on_the_way = beneath(worst, costs) | {cost.index for cost in askers_of(worst, costs)}
    return any(
        cost.stage.family is OperatorFamily.CACHE for cost in costs if cost.index in on_the_way
    )


def _to_cache(
    worst: StageCost, costs: Sequence[StageCost]
) -> tuple[StageCost, frozenset[int], bool] | None:
    """The stage behind which to cache, those that it saves, and whether a shuffle has to move.

    It is the bottleneck, or where that or a stage below it is random, the first below that is not.
    """
    for kept in (worst, *chain_below(worst, costs, lambda cost: True)):
        saved = beneath(kept, costs) | {kept.index}
        stages = {cost.index: cost.stage for cost in costs if cost.index in saved}
        traits = {trait for stage in stages.values() for trait in stage.traits}
        if FunctionTrait.RANDOM in traits or (kept is not worst and not by_user(kept)):
            continue
        if kept.stage.kind is StageKind.GENERATOR and _draws_as_generator(costs):
            return None
        shuffles = {i for i, stage in stages.items() if stage.family is OperatorFamily.SHUFFLE}
        if not shuffles:
            return kept, saved, False
        # A cache behind a shuffle would give the first epoch's order, and batches, for ever.
        regroups = any(
            stage.family is not None and stage.family.regroups for stage in stages.values()
        )
        if kept.index in shuffles or kept.stage.function is None or regroups:
            continue
        return kept, saved - shuffles, True
    return None


def _made_by_library(
    kept: StageCost, saved: frozenset[int], costs: Sequence[StageCost]
) -> tuple[StageCost, frozenset[int]]:
    """What to cache of all that a library's function made, since nobody can write inside of it."""
    made_by, made_at = kept.stage.made_by, kept.stage.made_at
    for asker in askers_of(kept, costs) if made_by else ():
        stage = asker.stage
        random = FunctionTrait.RANDOM in stage.traits or stage.family is OperatorFamily.SHUFFLE
        if (stage.made_by, stage.made_at) != (made_by, made_at) or random:
            break
        kept, saved = asker, beneath(asker, costs) | {asker.index}
    return kept, saved


def _draws_as_generator(costs: Sequence[StageCost]) -> bool:
    """Whether what calls the user's generators draws random numbers: their stages do not show it."""
    return any(
        cost.stage.family is OperatorFamily.GENERATOR and FunctionTrait.RANDOM in cost.stage.traits
        for cost in costs
    )


def _epoch_bytes(verdict: Verdict, kept: StageCost) -> int | None:
    """What a stage gives in an epoch."""
    loop, steps = verdict.measured.loop, verdict.measured.counted_time.steps
    if kept.size_bytes is None or not steps:
        return None
    return round(kept.size_bytes / steps * loop.step_count / max(loop.epochs, 1))


def filter_first(verdict: Verdict) -> Iterator[Advice]:
    """A dear stage before a filter works for elements that are thrown away."""
    costs = verdict.measured.costs
    alike: dict[tuple[str, str], list[tuple[StageCost, StageCost, float]]] = defaultdict(list)
    for found in costs:
        if found.stage.family is not OperatorFamily.FILTER or not by_user(found):
            continue
        maps = chain_below(found, costs, lambda cost: users_map(cost) or passes_on(cost))
        dear = max((c for c in maps if users_map(c)), key=lambda c: c.cost_ms, default=None)
        if dear is not None and dear.calls > 0 and found.calls < _KEEPS_MOST * dear.calls:
            alike[found.label, dear.label].append((found, dear, found.calls / dear.calls))
    for copies in alike.values():
        filters, [dear, *_], kept = zip(*copies, strict=True)
        shares = {cost.index: share for (_, cost, share) in copies}
        work_ms = sum(cost.cost_ms for (_, cost, _) in copies)
        if work_ms < _DEAR_FROM * verdict.input_ms:
            continue
        left = {cost.index: cost.cost_ms * shares[cost.index] for (_, cost, _) in copies}
        remedy = FilterFirst(
            stage=dear.stage.name,
            function=dear.stage.function,
            filter=filters[0].stage.name,
            predicate=filters[0].stage.function,
            kept_ratio=sum(kept) / len(kept),
        )
        yield from with_prediction(verdict, remedy, partial(with_costs, cost_ms=left))


def batch_first(verdict: Verdict) -> Iterator[Advice]:
    """A stage that parses single records, or looks single words up, can do a whole batch in one call."""
    costs, steps = verdict.measured.costs, verdict.measured.counted_time.steps
    for cost in costs:
        traits = [trait for trait in _BATCHABLE if trait in cost.stage.traits]
        if not traits or not by_user(cost) or cost.cost_ms < _DEAR_FROM * verdict.input_ms:
            continue
        elements = cost.calls if cost.stage.family is OperatorFamily.MAP else cost.taken or 0
        if elements > steps and _batched_behind(cost, costs):
            yield Advice(
                remedy=BatchFirst(
                    stage=cost.stage.name,
                    function=cost.stage.function,
                    parses=FunctionTrait.PARSES_ONE_RECORD in traits,
                )
            )


def _batched_behind(cost: StageCost, costs: Sequence[StageCost]) -> bool:
    """Whether a map's elements are batched behind it, with nothing between that needs single ones."""
    if cost.stage.family is OperatorFamily.MAP_AND_BATCH:
        return True
    if cost.stage.family is not OperatorFamily.MAP:
        return False
    for asker in askers_of(cost, costs):
        if asker.stage.family in (OperatorFamily.BATCH, OperatorFamily.MAP_AND_BATCH):
            return asker.stage.family is OperatorFamily.BATCH
        if not passes_on(asker) and asker.stage.family is not OperatorFamily.SHUFFLE:
            return False
    return False


def shuffle_first(verdict: Verdict) -> Iterator[Advice]:
    """A shuffle behind a stage that loads fills its buffer with what is dear, at every epoch."""
    start = usual_start(verdict.measured.fed.epoch_starts)
    if start is None or start.cause is not StartCause.FILL:
        return
    costs, step = verdict.measured.costs, verdict.measured.times.step
    account = verdict.measured.account
    alone = verdict.cause is Cause.EPOCH_START
    if not alone and account.ns(Part.EPOCH_START) < INPUT_FROM * account.training_ns:
        return
    for found in costs:
        if found.stage.family is not OperatorFamily.SHUFFLE or not by_user(found):
            continue
        maps = chain_below(found, costs, lambda cost: users_map(cost) or passes_on(cost))
        dear = max((c for c in maps if users_map(c)), key=lambda c: c.cost_ms, default=None)
        if dear is None or step is None or dear.cost_ms < _DEAR_FROM * verdict.input_ms:
            continue
        remedy = ShuffleFirst(stage=dear.stage.name, function=dear.stage.function)
        if not alone:  # it makes the steps inside the epochs wait as well
            yield Advice(remedy=remedy)
            return
        # What filled the buffer is then done in the steps, beside the computing.
        steady_ms = max(step.mean, verdict.ideal_ms or 0.0, needed_ms(dear, costs))
        yield from measured_elsewhere(verdict, remedy, steady_ms)
        return
