"""What a training would take if something were otherwise: predicted from one recorded run.

The model is that of operational analysis (Denning and Buzen 1978: utilisation law, bottleneck bound)
with a finite buffer. Stages that share a place take turns there, so a place needs the sum of their
costs over its parallelism for each batch (Little's law gives the parallelism). All work on CPUs needs
its CPU time over the cores. Threads that run Python code take turns at the GIL, so they need its CPU
time one after another. The slowest of these gives the pace at which batches become ready. How a
training with uneven steps waits for batches of that pace, with a buffer between them, is simulated
batch by batch (Lindley 1952).

The model first predicts the present. What it does not explain is carried along, and where that is more
than a quarter of the step, nothing is predicted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeprof.analysis.findings.findings import Interval
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
from pipeprof.analysis.measures.batch_queue import mean_step_ms
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.placement import WORKERS_KEY, StagePlace
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.analysis.verdicts.bottleneck import beneath, sharing_with
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.errors import UsageError
from pipeprof.recording.account import HostCall, Part
from pipeprof.recording.level_names import Level as LevelName
from pipeprof.recording.stage import StageKind

# Nothing is predicted by a model that misses the present by more than this part of the step.
MOST_UNEXPLAINED = 0.25

# Pickling, sending and unpickling a batch from another process; its part in the interval is as large.
_TRANSPORT_NS_PER_BYTE = 3.0

_BUFFERED = 2
_MOST_STEPS = 2_000
_BLOCKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """A training as the model sees it.

    Attributes:
        costs: its stages.
        compute_ms: what each of its steps takes beside its wait, in order.
        epoch_start_ms: what the beginnings of epochs add to a step, on average.
        cpu_ms: CPU time that a step needs, input and training together, over all cores.
        cores: cores' worth of CPU time that it may use.
        held_ms: the part of a step's computing that the input's own work holds up.
        in_turns: the part of its Python stages' CPU time that holds the GIL.
        processes: whether its workers are processes.
        transport_ms: what a batch takes from another process.
        buffered: batches that lie ready at the most.
    """

    costs: tuple[StageCost, ...]
    compute_ms: tuple[float, ...]
    epoch_start_ms: float
    cpu_ms: float
    cores: float
    held_ms: float
    in_turns: float = 1.0
    processes: bool = False
    transport_ms: float = 0.0
    buffered: int = _BUFFERED


def what_if(verdict: Verdict, *suppositions: Supposition) -> SupposedStep:
    """Predicts a loop's step time if all of these were so.

    Args:
        verdict: that of the loop.
        suppositions: what is otherwise.

    Raises:
        UsageError: something needed was not measured, a stage or callback does not exist, or the model
            does not explain the present.
    """
    return Predictor(verdict).predict(*suppositions)


class Predictor:
    """Predicts a loop's step time under any number of suppositions.

    Args:
        verdict: that of the loop.

    Raises:
        UsageError: something needed was not measured, or the model does not explain the present.

    Attributes:
        verdict: that of the loop.
        today_ms: today's mean step time, the beginnings of epochs included.
        epoch_start_ms: the part of it that the beginnings of epochs add.
        costs: the stages that take part.
    """

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self._today = _training_of(verdict)
        measured_ms = verdict.measured.times.step_ms_with_epoch_starts
        if measured_ms is None:
            raise UsageError(
                "expected a run whose steps were measured, received one without counted steps."
            )
        modelled_ms = _step_ms(self._today)
        self._unexplained_ms = measured_ms - modelled_ms
        if abs(self._unexplained_ms) > MOST_UNEXPLAINED * measured_ms:
            raise UsageError(
                f"the model explains {modelled_ms:.3g} of {measured_ms:.3g} ms of today's step: "
                "too little to predict what a change would give."
            )
        if verdict.ideal is None:
            raise UsageError(
                "expected a run whose computing was measured: no step without its wait is known."
            )
        self._ideal = verdict.ideal
        self._error_ms = _error_of(self._today)
        self.today_ms = measured_ms
        self.epoch_start_ms = self._today.epoch_start_ms
        self.costs = self._today.costs

    def predict(self, *suppositions: Supposition) -> SupposedStep:
        """The step time if all of these were so.

        Raises:
            UsageError: a stage or callback does not exist.
        """
        verdict, supposed = self.verdict, self._today
        least_ms = self._ideal.interval.low
        for supposition in suppositions:
            supposed = _suppose(supposed, supposition, verdict)
            if isinstance(supposition, NoCallback):
                least_ms = max(least_ms - callback_ms(verdict, supposition.callback), 0.0)
        if any(isinstance(supposition, FreeBatches) for supposition in suppositions):
            callbacks = (each.callback for each in suppositions if isinstance(each, NoCallback))
            saved_ms = math.fsum(callback_ms(verdict, name) for name in callbacks)
            return _ideal(verdict, self.today_ms, self._unexplained_ms, saved_ms)
        carried_ms = self._unexplained_ms if _waits(supposed) else min(self._unexplained_ms, 0.0)
        step_ms = max(_step_ms(supposed) + carried_ms, least_ms)
        sent_ms = supposed.transport_ms - self._today.transport_ms
        error_ms = math.hypot(self._error_ms, self._unexplained_ms, sent_ms)
        memory = _memory_of(verdict, suppositions)
        return SupposedStep(
            step_ms=step_ms,
            interval=Interval(low=max(step_ms - error_ms, least_ms), high=step_ms + error_ms),
            speedup=self.today_ms / step_ms if step_ms > 0 else math.inf,
            today_ms=self.today_ms,
            unexplained_ms=self._unexplained_ms,
            wall_s=_wall_s(verdict, self.today_ms, step_ms),
            memory_bytes=memory,
            memory_fits=_fits(verdict, memory),
        )


def _training_of(verdict: Verdict) -> _Training:
    measured, times = verdict.measured, verdict.measured.times
    if times.compute is None or times.step is None or times.rest_ms is None:
        raise UsageError("expected a run whose waits were measured, received one without.")
    whole_ms = times.step_ms_with_epoch_starts or times.step.mean
    costs = tuple(cost for cost in measured.costs if cost.stage.kind is not StageKind.EPOCH_START)
    transports = [cost for cost in costs if cost.stage.kind is StageKind.TRANSPORT]
    fed = measured.loop.input
    # Today's worker threads show it: what they did in a step they did not do one after another.
    at_gil_ms = math.fsum(
        _cpu_of(cost)
        for cost in costs
        if cost.place.key == WORKERS_KEY and cost.stage.kind.python and not transports
    )
    return _Training(
        in_turns=min(times.step.mean / at_gil_ms, 1.0) if at_gil_ms > 0 else 1.0,
        costs=costs,
        compute_ms=_computes(verdict, times.rest_ms),
        epoch_start_ms=max(whole_ms - times.step.mean, 0.0),
        cpu_ms=verdict.cpu_ms,
        cores=measured.context.worth,
        held_ms=verdict.held_up.counted_ratio * times.step.mean,
        processes=bool(transports),
        transport_ms=sum(cost.cost_ms for cost in transports),
        buffered=max(fed.queue_size or 0, _BUFFERED),
    )


def _computes(verdict: Verdict, mean_ms: float) -> tuple[float, ...]:
    """Steps without their waits, in order; the mean for each where they were not kept one by one."""
    loop = verdict.measured.loop
    steps = loop.steps
    counted = steps.counted(loop.warmup_steps) & (steps.wait_ns >= 0)
    durations = (steps.end_ns - steps.start_ns - steps.wait_ns)[counted][:_MOST_STEPS] / MS
    if not len(durations) or durations.mean() <= 0:
        return (mean_ms,) * _BLOCKS
    return tuple((durations * (mean_ms / durations.mean())).tolist())


def _suppose(training: _Training, supposition: Supposition, verdict: Verdict) -> _Training:
    match supposition:
        case StageCosts():
            chosen = _stage(training, supposition.stage)
            return _with_costs(
                training, {cost.index: cost.cost_ms * supposition.factor for cost in chosen}
            )
        case StageRuns():
            chosen = _stage(training, supposition.stage)
            return _running_at_once(training, chosen, supposition.parallelism)
        case LoadedAhead():
            beside = StagePlace(key=("prefetch", ()), parallelism=1.0, ahead=True)
            moved = [
                cost if cost.place.ahead else replace(cost, place=beside) for cost in training.costs
            ]
            return replace(training, costs=tuple(moved))
        case LoadedByWorkers():
            return _in_workers(training, supposition, verdict)
        case CachedBehind():
            [*chosen] = _stage(training, supposition.stage)
            gone = {index for cost in chosen for index in beneath(cost, training.costs)}
            gone |= {cost.index for cost in chosen}
            return _with_costs(training, dict.fromkeys(gone, 0.0))
        case NoEpochStarts():
            return replace(training, epoch_start_ms=0.0)
        case NoCallback():
            saved = callback_ms(verdict, supposition.callback)
            return replace(
                training, compute_ms=tuple(max(ms - saved, 0.0) for ms in training.compute_ms)
            )
        case WithCores():
            queued = verdict.held_up.cpu_queue_ratio or 0.0
            step = verdict.measured.times.step
            freed = (
                queued * step.mean * max(1 - training.cores / supposition.cores, 0.0)
                if step
                else 0.0
            )
            return replace(
                training,
                cores=supposition.cores,
                cpu_ms=training.cpu_ms * training.cores / supposition.cores,
                compute_ms=tuple(max(ms - freed, 0.0) for ms in training.compute_ms),
            )
        case FreeBatches():
            return training


def _stage(training: _Training, name: str) -> list[StageCost]:
    chosen = [cost for cost in training.costs if cost.stage.name == name]
    if not chosen:
        known = ", ".join(dict.fromkeys(cost.stage.name for cost in training.costs))
        raise UsageError(f"expected a stage of the main loop ({known}), received {name}.")
    return chosen


def _with_costs(training: _Training, cost_ms: dict[int, float]) -> _Training:
    """Stages with other costs; less CPU work also holds the training up less."""
    before = sum(_cpu_of(cost) for cost in training.costs)
    costs = tuple(
        replace(cost, cost_ms=cost_ms.get(cost.index, cost.cost_ms)) for cost in training.costs
    )
    after = sum(_cpu_of(cost) for cost in costs)
    freed_ms = training.held_ms * (1 - after / before) if before > 0 else 0.0
    return replace(
        training,
        costs=costs,
        cpu_ms=max(training.cpu_ms - (before - after) / training.cores, 0.0),
        held_ms=training.held_ms - freed_ms,
        compute_ms=tuple(max(ms - freed_ms, 0.0) for ms in training.compute_ms),
    )


def _running_at_once(
    training: _Training, chosen: Sequence[StageCost], parallelism: int
) -> _Training:
    """Stages with so many calls at once: they and what feeds them run ahead of the loop."""
    costs = list(training.costs)
    for stage in chosen:
        own = StagePlace(key=("calls", (stage.index,)), parallelism=float(parallelism), ahead=True)
        behind = StagePlace(key=("behind", (stage.index,)), parallelism=1.0, ahead=True)
        below = beneath(stage, training.costs)
        for number, cost in enumerate(costs):
            if cost.index == stage.index:
                costs[number] = replace(cost, place=own)
            elif cost.index in below and cost.place.key == stage.place.key:
                costs[number] = replace(cost, place=behind)
    return replace(training, costs=tuple(costs))


def _in_workers(training: _Training, supposed: LoadedByWorkers, verdict: Verdict) -> _Training:
    python = [cost for cost in training.costs if cost.stage.kind.python]
    if not python:
        raise UsageError("expected an input in Python to run in workers, received one without any.")
    moved = {cost.index for one in python for cost in sharing_with(one, training.costs)}
    place = StagePlace(key=WORKERS_KEY, parallelism=float(supposed.workers), ahead=True)
    costs = tuple(
        replace(cost, place=place) if cost.index in moved else cost
        for cost in training.costs
        if cost.stage.kind is not StageKind.TRANSPORT
    )
    transport_ms = 0.0
    if supposed.processes:
        transport_ms = training.transport_ms or _batch_bytes(verdict) * _TRANSPORT_NS_PER_BYTE / MS
    return replace(
        training,
        costs=costs,
        processes=supposed.processes,
        transport_ms=transport_ms,
        buffered=max(training.buffered, 2 * supposed.workers),
    )


def _step_ms(training: _Training) -> float:
    """Mean step time of the model, the beginnings of epochs included."""
    mean_ms = mean_step_ms(
        _pace_ms(training), _within_ms(training), training.compute_ms, training.buffered
    )
    return max(mean_ms, training.cpu_ms) + training.epoch_start_ms


def _waits(training: _Training) -> bool:
    """Whether the loop waits for its input in the model."""
    mean_ms = math.fsum(training.compute_ms) / len(training.compute_ms)
    return _within_ms(training) > 0 or _pace_ms(training) > mean_ms


def _pace_ms(training: _Training) -> float:
    """How long after one batch the next is ready, where the work runs ahead of the loop."""
    places: dict[object, list[StageCost]] = {}
    for cost in training.costs:
        if cost.cost_ms > 0 and cost.place.ahead:
            places.setdefault(cost.place.key, []).append(cost)
    paces = [_place_ms(sharing, training) for sharing in places.values()]
    return max([*paces, training.transport_ms, 0.0])


def _place_ms(sharing: Sequence[StageCost], training: _Training) -> float:
    parallelism = max(cost.place.parallelism for cost in sharing)
    work_ms = math.fsum(cost.cost_ms for cost in sharing)
    on_cpu_ms = math.fsum(_cpu_of(cost) for cost in sharing)
    at_once_ms = on_cpu_ms / training.cores
    if sharing[0].place.key == WORKERS_KEY and not training.processes:
        python_ms = math.fsum(_cpu_of(cost) for cost in sharing if cost.stage.kind.python)
        at_once_ms = max(at_once_ms, training.in_turns * python_ms)
    return max(work_ms / parallelism, min(at_once_ms, work_ms))


def _within_ms(training: _Training) -> float:
    """What runs within the wait of the loop."""
    return math.fsum(cost.cost_ms for cost in training.costs if not cost.place.ahead)


def _cpu_of(cost: StageCost) -> float:
    """CPU time of a stage for a batch; all its work where its CPU time was not read."""
    return cost.cost_ms * (1.0 if cost.cpu_ratio is None else cost.cpu_ratio)


def calls_of_callbacks(verdict: Verdict) -> list[HostCall]:
    """The methods of callbacks that the loop called."""
    return [call for call in verdict.measured.loop.account.calls if call.part is Part.CALLBACKS]


def class_of(call: HostCall) -> str:
    """The class of a callback; its method's whole name where the class was not recorded."""
    return call.callback.owner if call.callback else call.name


def callback_ms(verdict: Verdict, name: str) -> float:
    """What a callback's methods take of a step."""
    loop = verdict.measured.loop
    calls = calls_of_callbacks(verdict)
    own = [call for call in calls if name in (call.name, class_of(call))]
    if not own:
        known = ", ".join(dict.fromkeys(class_of(call) for call in calls))
        raise UsageError(
            f"expected a callback of the main loop ({known or 'none'}), received {name}."
        )
    return sum(call.total_ns for call in own) / max(loop.step_count, 1) / MS


def _batch_bytes(verdict: Verdict) -> float:
    sizes = [
        cost.size_bytes / cost.calls
        for cost in verdict.measured.costs
        if cost.size_bytes and cost.calls and cost.stage.parent is None
    ]
    return max(sizes, default=0.0)


def _memory_of(verdict: Verdict, suppositions: Sequence[Supposition]) -> float | None:
    """What a cache behind a stage would hold: what the stage gives in an epoch."""
    cached = [one.stage for one in suppositions if isinstance(one, CachedBehind)]
    loop = verdict.measured.loop
    if not cached or not loop.epochs:
        return None
    per_step = [
        cost.size_bytes / max(verdict.measured.counted_time.steps, 1)
        for cost in verdict.measured.costs
        if cost.stage.name in cached and cost.size_bytes
    ]
    return float(max(per_step)) * loop.step_count / loop.epochs if per_step else None


def _fits(verdict: Verdict, memory_bytes: float | None) -> bool | None:
    measured = verdict.measured
    gauges = measured.profile.gauges
    room, used = (
        measured.counted_time.level(gauges.get(level.value))
        for level in (LevelName.MEMORY_ROOM, LevelName.MEMORY)
    )
    if memory_bytes is None or room is None:
        return None
    return memory_bytes + (used or 0.0) < room


def _error_of(training: _Training) -> float:
    """How uncertain the mean of the steps' computing is: two standard errors, from blocks of steps."""
    steps = np.array(training.compute_ms)
    size = max(len(steps) // _BLOCKS, 1)
    means = [steps[start : start + size].mean() for start in range(0, len(steps) - size + 1, size)]
    return 2.0 * float(np.std(means)) / math.sqrt(len(means)) if len(means) > 1 else 0.0


def _ideal(
    verdict: Verdict, today_ms: float, unexplained_ms: float, saved_ms: float
) -> SupposedStep:
    ideal = verdict.ideal
    assert ideal is not None
    step_ms = max(ideal.ms - saved_ms, 0.0)
    low, high = (max(ms - saved_ms, 0.0) for ms in (ideal.interval.low, ideal.interval.high))
    return SupposedStep(
        step_ms=step_ms,
        interval=Interval(low=low, high=high),
        speedup=today_ms / step_ms if step_ms > 0 else math.inf,
        today_ms=today_ms,
        unexplained_ms=unexplained_ms,
        wall_s=_wall_s(verdict, today_ms, step_ms),
    )


def _wall_s(verdict: Verdict, today_ms: float, step_ms: float) -> float:
    """The loop's training with steps of another length; what lies between its steps stays."""
    account = verdict.measured.account
    saved_ns = (today_ms - step_ms) * MS * verdict.measured.loop.step_count
    return max(account.training_ns - saved_ns, 0.0) / 1e9
