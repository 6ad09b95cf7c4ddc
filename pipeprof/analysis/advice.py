"""What to do about a bottleneck, with the step time to expect where that can be estimated.

Each rule answers one way in which input can be slow. A rule gives nothing where it would not help:
no workers on a CPU without a free core, no threads under the GIL, no gain that is within the noise.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import ceil

from pipeprof.analysis.account_findings import EpochAccount
from pipeprof.analysis.advice_kinds import (
    Advice,
    Cache,
    FedBy,
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreWorkers,
    OwnProcesses,
    ParallelCalls,
    Prefetch,
    Remedy,
    SmallerBatches,
    SwitchAutotuneOn,
    TensorflowOps,
    WaitLess,
    WorkerThreads,
)
from pipeprof.analysis.bottleneck import beneath, predict_step_ms, sharing_with
from pipeprof.analysis.causes import BLOCKING_BELOW
from pipeprof.analysis.costs import StageCost
from pipeprof.analysis.host_advice import host_advice
from pipeprof.analysis.placement import WORKERS_KEY, Place
from pipeprof.analysis.unevenness import waits_are_over
from pipeprof.analysis.verdict import Verdict, cpu_work_ms
from pipeprof.analysis.verdict_kinds import Cause
from pipeprof.recording.loop import InputKind
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind

# A prediction must promise at least this to be worth a change.
_LEAST_GAIN = 1.03

# Beside the best change, one that saves less than this share of what that saves is not worth the lines.
_LEAST_SHARE_OF_BEST = 0.2

# Calls that only wait cost no core; more of them at once than this is nobody's first step.
MOST_WAITING_AT_ONCE = 16

_HELPED_BY_WORKERS = (Cause.SERIAL, Cause.GIL, Cause.CPU, Cause.TOO_FEW_WORKERS)

_PYTHON_INPUTS = (InputKind.GENERATOR, InputKind.ITERATOR, InputKind.SEQUENCE, InputKind.LOADER)


def give_advice(verdict: Verdict, epochs: Sequence[EpochAccount]) -> tuple[Advice, ...]:
    """What to do, best first: about the host where it is dear, then about the input where it is.

    Args:
        verdict: that of a loop.
        epochs: the accounts of its epochs; what they wait at the end is still to come.
    """
    host = tuple(host_advice(verdict))
    fed = tuple(_about_input(verdict, epochs))
    return (*host, *fed) if verdict.host_leads else (*fed, *host)


def _about_input(verdict: Verdict, epochs: Sequence[EpochAccount]) -> Iterator[Advice]:
    """What is sure to be possible, then what depends, then what is open."""
    if waits_are_over(epochs, verdict.measured.costs):
        return
    if not verdict.waits_for_input or verdict.worst is None or not verdict.ideal_ms:
        yield from _longer_epochs(verdict)
        yield from _own_gil(verdict)
        yield from _autotune(verdict)
        return
    rules = (_longer_epochs, _prefetch, _workers, _longer_queue, _parallel_calls, _threads)
    sure = [advice for rule in rules for advice in rule(verdict)]
    yield from _comparable(sure, verdict.step_ms or 0.0)
    yield from _cache(verdict, verdict.worst)
    yield from _unpredicted(verdict, verdict.worst)
    yield from _autotune(verdict)


def _predicted(
    verdict: Verdict, remedy: Remedy, costs: Iterable[StageCost], cpu_ms: float
) -> Iterator[Advice]:
    """The remedy with its step time, which follows from the costs that the stages would then have."""
    if verdict.step_ms is None or not verdict.ideal_ms:
        return
    # However it is moved, no more can be saved than the work that was seen.
    at_least = verdict.step_ms - verdict.input_ms
    step_ms = max(predict_step_ms(costs, verdict.ideal_ms, cpu_ms), at_least)
    yield from _worthwhile(verdict.step_ms, remedy, step_ms)


def _worthwhile(now_ms: float, remedy: Remedy, step_ms: float) -> Iterator[Advice]:
    if step_ms > 0 and now_ms / step_ms >= _LEAST_GAIN:
        yield Advice(remedy=remedy, predicted_step_ms=step_ms, predicted_speedup=now_ms / step_ms)


def _comparable(sure: Iterable[Advice], now_ms: float) -> list[Advice]:
    """Best first, without those that save next to nothing beside the best."""
    best_first = sorted(sure, key=lambda advice: advice.predicted_step_ms or 0.0)
    saved_ms = [now_ms - (advice.predicted_step_ms or now_ms) for advice in best_first]
    least_ms = _LEAST_SHARE_OF_BEST * max(saved_ms, default=0.0)
    return [advice for advice, saved in zip(best_first, saved_ms, strict=True) if saved >= least_ms]


def _open(remedy: Remedy) -> Advice:
    """A remedy whose effect cannot be predicted."""
    return Advice(remedy=remedy, predicted_step_ms=None, predicted_speedup=None)


def _fed_by(verdict: Verdict) -> FedBy:
    fed_by = verdict.measured.loop.input
    # TensorFlow loads Keras 3 by itself, but nobody loads Keras 2 who does not train with it.
    keras_2 = "tf_keras" in verdict.measured.profile.run.versions
    return FedBy(kind=fed_by.kind, name=fed_by.name, keras_2=keras_2)


def _longer_epochs(verdict: Verdict) -> Iterator[Advice]:
    step = verdict.measured.times.step
    if verdict.cause is Cause.EPOCH_START and step is not None and verdict.step_ms is not None:
        yield from _worthwhile(
            verdict.step_ms,
            LongerEpochs(fed_by=_fed_by(verdict)),
            max(step.mean, verdict.ideal_ms or 0.0),
        )


def _prefetch(verdict: Verdict) -> Iterator[Advice]:
    """Work that runs within the wait of the loop can run beside it."""
    worst = verdict.worst
    if worst is None or worst.place.ahead or verdict.cause is Cause.EPOCH_START:
        return
    beside = Place(key=("prefetch", ()), parallelism=1.0, ahead=True)
    moved = tuple(
        cost if cost.place.ahead else replace(cost, place=beside) for cost in verdict.measured.costs
    )
    yield from _predicted(verdict, Prefetch(fed_by=_fed_by(verdict)), moved, verdict.cpu_ms)


def _workers(verdict: Verdict) -> Iterator[Advice]:
    """Python work can run in several processes, or in threads where it only waits."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    if worst is None or not ideal_ms or not _may_run_in_workers(verdict, worst):
        return
    waits = verdict.cause is Cause.BLOCKING
    at_gil = verdict.cause is Cause.GIL
    moved_ms = {
        cost.index: _without_gil(cost) if at_gil else cost.cost_ms
        for cost in sharing_with(worst, verdict.measured.costs)
    }
    most = MOST_WAITING_AT_ONCE if waits else int(verdict.measured.context.room)
    workers = min(max(ceil(sum(moved_ms.values()) / ideal_ms), 2), most)
    if workers < 2 or (not at_gil and workers <= worst.place.parallelism):
        return
    place = Place(key=WORKERS_KEY, parallelism=float(workers), ahead=True)
    costs = tuple(
        replace(cost, place=place, cost_ms=moved_ms[cost.index]) if cost.index in moved_ms else cost
        for cost in verdict.measured.costs
    )
    # The loaders of other frameworks have no worker threads that do the whole work.
    threads = waits and verdict.measured.loop.input.kind is not InputKind.LOADER
    remedy = MoreWorkers(
        fed_by=_fed_by(verdict), stage=worst.stage.name, workers=workers, processes=not threads
    )
    yield from _predicted(verdict, remedy, costs, verdict.cpu_ms)


def _may_run_in_workers(verdict: Verdict, worst: StageCost) -> bool:
    """Whether more workers can help a stage, as far as its code and its cause let them."""
    if verdict.measured.loop.input.kind not in _PYTHON_INPUTS or verdict.measured.cpu.saturated:
        return False
    if not worst.stage.kind.python or worst.stage.kind is StageKind.TF_DATA_PYTHON:
        return False
    return verdict.cause is Cause.BLOCKING or verdict.cause in _HELPED_BY_WORKERS


def _without_gil(cost: StageCost) -> float:
    """Its CPU time: what is left of the work of threads once they need not wait for the GIL."""
    return cost.cost_ms * (1.0 if cost.cpu_ratio is None else cost.cpu_ratio)


def _longer_queue(verdict: Verdict) -> Iterator[Advice]:
    """Workers that may run further ahead need not pause for one slow batch."""
    if verdict.cause is not Cause.HEAD_OF_LINE:
        return
    fed_by = verdict.measured.loop.input
    size = 2 * max(fed_by.queue_size or 0, fed_by.workers or 0, 8)
    remedy = LongerQueue(fed_by=_fed_by(verdict), size=size)
    yield from _predicted(verdict, remedy, verdict.measured.costs, verdict.cpu_ms)


def _own_gil(verdict: Verdict) -> Iterator[Advice]:
    """Processes leave the training's GIL to the training."""
    fed_by = verdict.measured.loop.input
    if verdict.crowds_gil and fed_by.kind in _PYTHON_INPUTS:
        yield _open(OwnProcesses(fed_by=_fed_by(verdict), workers=max(fed_by.workers or 0, 2)))


def _parallel_calls(verdict: Verdict) -> Iterator[Advice]:
    """A tf.data transformation with a function can make several calls at once."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    if worst is None or not ideal_ms or not _can_call_in_parallel(worst):
        return
    waits = verdict.cause is Cause.BLOCKING
    computes = verdict.cause in (Cause.SERIAL, Cause.CPU) and not worst.stage.kind.python
    if not waits and not computes:
        return
    most = MOST_WAITING_AT_ONCE if waits else int(verdict.measured.context.room)
    calls = min(max(ceil(worst.cost_ms / ideal_ms), 2), most) if waits else most
    if calls < 2 or calls <= worst.place.parallelism:
        return
    remedy = ParallelCalls(
        stage=worst.stage.name, function=worst.stage.function, calls=calls, autotuned=not waits
    )
    yield from _predicted(
        verdict, remedy, _with_parallel_calls(verdict, worst, calls), verdict.cpu_ms
    )


def _can_call_in_parallel(cost: StageCost) -> bool:
    if cost.stage.kind not in (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON):
        return False
    family = cost.stage.family
    if family is None or family is OperatorFamily.GENERATOR:
        return False
    return cost.stage.function is not None or family.maps


def _with_parallel_calls(verdict: Verdict, worst: StageCost, calls: int) -> tuple[StageCost, ...]:
    """The costs of all stages once one has parallel calls: it and what feeds it run ahead of the loop."""
    own = Place(key=("calls", (worst.index,)), parallelism=float(calls), ahead=True)
    behind = Place(key=("behind", (worst.index,)), parallelism=1.0, ahead=True)
    below = beneath(worst, verdict.measured.costs)
    costs = []
    for cost in verdict.measured.costs:
        if cost.index == worst.index:
            costs.append(replace(cost, place=own))
        elif cost.index in below and cost.place.key == worst.place.key:
            costs.append(replace(cost, place=behind))
        else:
            costs.append(cost)
    return tuple(costs)


def _threads(verdict: Verdict) -> Iterator[Advice]:
    """Advises threads in place of processes: they need no transport, but take turns at the GIL."""
    worst = verdict.worst
    if worst is None or verdict.cause is not Cause.TRANSPORT:
        return
    costs = []
    for cost in verdict.measured.costs:
        if cost.stage.kind is StageKind.TRANSPORT:
            continue
        computes = cost.cpu_ratio is None or cost.cpu_ratio >= BLOCKING_BELOW
        in_turns = cost.place.key == WORKERS_KEY and computes
        place = replace(cost.place, parallelism=1.0)
        costs.append(replace(cost, place=place) if in_turns else cost)
    remedy = WorkerThreads(
        fed_by=_fed_by(verdict), workers=verdict.measured.loop.input.workers or 2
    )
    cpu_ms = 0.0 if verdict.measured.cpu.process_ratio is None else verdict.cpu_ms
    yield from _predicted(verdict, remedy, costs, cpu_ms)


def _cache(verdict: Verdict, worst: StageCost) -> Iterator[Advice]:
    """What a stage gave in the first epoch need not be made again in the next."""
    loop, costs = verdict.measured.loop, verdict.measured.costs
    if loop.input.kind is not InputKind.TF_DATA or loop.epochs < 2:
        return
    if verdict.cause is Cause.EPOCH_START:
        return
    if any(cost.stage.family is OperatorFamily.CACHE for cost in costs):
        return
    saved = beneath(worst, costs) | {worst.index}
    stages = {cost.index: cost.stage for cost in costs}
    shuffles = {index for index in saved if stages[index].family is OperatorFamily.SHUFFLE}
    if shuffles:
        # A cache behind a shuffle would give the first epoch's order, and batches, for ever.
        regroups = any(_regroups(stages[index]) for index in saved)
        if worst.index in shuffles or worst.stage.function is None or regroups:
            return
        saved -= shuffles
    remedy = Cache(
        stage=worst.stage.name, function=worst.stage.function, before_shuffle=bool(shuffles)
    )
    left = tuple(cost for cost in costs if cost.index not in saved)
    gone = tuple(cost for cost in costs if cost.index in saved)
    yield from _predicted(verdict, remedy, left, _cpu_ms_without(verdict, gone, left))


def _cpu_ms_without(
    verdict: Verdict, gone: tuple[StageCost, ...], left: tuple[StageCost, ...]
) -> float:
    """CPU work of a step over the processors, once some of the stages have no work."""
    room = verdict.measured.context.room
    if verdict.measured.cpu.process_ratio is None:
        return cpu_work_ms(left, unread=1.0) / room
    cpu_ms = max(verdict.cpu_ms - cpu_work_ms(gone, unread=0.0) / room, 0.0)
    # Of gone stages whose CPU time was not read: what the training itself uses beside the stages
    # that are left, it uses while it computes, on all cores at the most.
    return min(cpu_ms, (verdict.ideal_ms or 0.0) + cpu_work_ms(left, unread=1.0) / room)


def _regroups(stage: Stage) -> bool:
    return stage.family is not None and stage.family.regroups


def _autotune(verdict: Verdict) -> Iterator[Advice]:
    """What nobody tunes and nobody counts is slow, and nobody sees where."""
    if verdict.waits_for_input and verdict.measured.loop.input.autotune is False:
        yield _open(SwitchAutotuneOn())


def _unpredicted(verdict: Verdict, worst: StageCost) -> Iterator[Advice]:
    """What helps to an extent that cannot be known before."""
    stage = worst.stage
    holds_gil = stage.kind.python and verdict.cause in (Cause.GIL, Cause.SERIAL)
    if verdict.cause is Cause.CPU_SATURATED:
        by_user = bool(stage.function or stage.location)
        yield _open(LessWork(stage=stage.name, by_user=by_user))
    elif verdict.cause is Cause.BLOCKING and verdict.measured.cpu.saturated:
        yield _open(WaitLess(stage=stage.name))
    elif verdict.cause is Cause.TRANSPORT:
        yield _open(SmallerBatches())
    elif verdict.measured.loop.input.kind is InputKind.TF_DATA and holds_gil:
        yield _open(TensorflowOps(stage=stage.name))
