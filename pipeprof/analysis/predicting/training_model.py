"""A training as one model sees it: the step time of today, and of the same training with something changed.

The model is that of operational analysis (Denning and Buzen 1978: utilisation law, bottleneck bound)
with a finite buffer. Stages that share a place take turns there, so a place needs the sum of their
costs over its parallelism for each batch (Little's law gives the parallelism). All work on CPUs needs
its CPU time over the cores. Threads that run Python code take turns at the GIL, so they need its CPU
time one after another. The slowest of these gives the pace at which batches become ready. How a
training with uneven steps waits for batches of that pace, with a buffer between them, is simulated
batch by batch (Lindley 1952).

The model first predicts the present. What it does not explain is carried along, and where that is more
than a quarter of the step, nothing is predicted. Advice, what-if and the order of trials all rest on it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeprof.analysis.findings.findings import Interval
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.batch_queue import mean_step_ms
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.lane_use import LEAVES_GIL_BELOW, gil_held_ratio
from pipeprof.analysis.measures.placement import WORKERS_KEY, PlaceKind, StagePlace
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.analysis.verdicts.bottleneck import beneath, sharing_with
from pipeprof.analysis.verdicts.causes import known_cpu_ratio
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import StageKind

# Nothing is predicted by a model that misses the present by more than this part of the step.
MOST_UNEXPLAINED = 0.25

# Pickling, sending and unpickling a batch from another process; its part in the interval is as large.
_TRANSPORT_NS_PER_BYTE = 3.0

# Steps that wait for nothing need not get going again: computing of 2.4 ms behind waits took 1.1 ms
# without any, measured on two cores.
_WITHOUT_WAITS = 0.45

_BUFFERED = 2
_MOST_STEPS = 2_000
_BLOCKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training as the model sees it.

    Attributes:
        costs: its stages.
        compute_ms: what each of its steps takes beside its wait, in order.
        epoch_start_ms: what the beginnings of epochs add to a step, on average.
        cpu_ms: CPU time that a step needs, input and training together, over all cores.
        cpu_read: whether that was read; else it is that of the stages.
        cores: cores' worth of CPU time that it may use.
        held_ms: the part of a step's computing that the input's own work holds up.
        ideal_ms: a step with input for free.
        batch_bytes: what a batch holds; 0 where that is not known.
        at_gil: whether its worker threads wait for the GIL within their costs.
        in_turns: the part of its Python stages' CPU time that holds the GIL.
        processes: whether its workers are processes.
        transport_ms: what a batch takes from another process.
        buffered: batches that lie ready at the most.
    """

    costs: tuple[StageCost, ...]
    compute_ms: tuple[float, ...]
    epoch_start_ms: float
    cpu_ms: float
    cpu_read: bool
    cores: float
    held_ms: float
    ideal_ms: float
    batch_bytes: float = 0.0
    at_gil: bool = False
    in_turns: float = 1.0
    processes: bool = False
    transport_ms: float = 0.0
    buffered: int = _BUFFERED

    @property
    def computing_ms(self) -> float:
        """What a step takes beside its wait, on average."""
        return math.fsum(self.compute_ms) / len(self.compute_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A step after a change.

    Attributes:
        step_ms: its time.
        interval: where that lies.
        unexplained_ms: the part of today's step that the model does not explain, or explains beyond it.
    """

    step_ms: float
    interval: Interval
    unexplained_ms: float


# Of today.


def training_of(verdict: Verdict) -> Training:
    """A loop as it is today.

    Raises:
        UsageError: something needed was not measured.
    """
    measured, times = verdict.measured, verdict.measured.times
    if times.step is None or times.rest_ms is None:
        raise UsageError("expected a run whose waits were measured, received one without.")
    if verdict.ideal is None:
        raise UsageError(
            "expected a run whose computing was measured: no step without its wait is known."
        )
    whole_ms = times.step_ms_with_epoch_starts or times.step.mean
    context = measured.context
    costs = tuple(
        replace(cost, cpu_ratio=known_cpu_ratio(cost, context)) if cost.cpu_ratio is None else cost
        for cost in measured.costs
        if cost.stage.kind is not StageKind.EPOCH_START
    )
    processes = any(cost.stage.kind is StageKind.TRANSPORT for cost in costs)
    return Training(
        costs=costs,
        compute_ms=_computes(verdict, times.rest_ms),
        epoch_start_ms=max(whole_ms - times.step.mean, 0.0),
        cpu_ms=verdict.cpu_ms,
        cpu_read=measured.cpu.process_ratio is not None,
        cores=context.worth,
        held_ms=verdict.held_up.counted_ratio * times.step.mean,
        ideal_ms=verdict.ideal.ms,
        batch_bytes=_batch_bytes(costs),
        at_gil=verdict.cause is Cause.GIL,
        in_turns=_in_turns(verdict, costs, times.step.mean),
        processes=processes,
        transport_ms=_transport_ms(costs),
        buffered=max(measured.loop.input.queue_size or 0, _BUFFERED),
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


def _in_turns(verdict: Verdict, costs: Sequence[StageCost], step_ms: float) -> float:
    """The part of Python stages' CPU time that holds the GIL, as far as that was seen."""
    python = [cost for cost in costs if cost.stage.kind.python]
    lanes = (number for cost in python for number in cost.stage.lanes)
    held = gil_held_ratio(verdict.measured.profile, lanes)
    if held is not None and held < LEAVES_GIL_BELOW:
        return held
    if any(cost.stage.kind is StageKind.TRANSPORT for cost in costs):
        return 1.0
    # What threads did at once in a step they did not do one after another.
    at_once_ms = _cpu_work_ms([cost for cost in python if cost.place.key == WORKERS_KEY])
    return min(step_ms / at_once_ms, 1.0) if at_once_ms > 0 else 1.0


def _batch_bytes(costs: Sequence[StageCost]) -> float:
    sizes = [
        cost.size_bytes / cost.calls
        for cost in costs
        if cost.size_bytes and cost.calls and cost.stage.parent is None
    ]
    return max(sizes, default=0.0)


def _transport_ms(costs: Sequence[StageCost]) -> float:
    return math.fsum(cost.cost_ms for cost in costs if cost.stage.kind is StageKind.TRANSPORT)


def _cpu_work_ms(costs: Sequence[StageCost], unread: float = 1.0) -> float:
    return math.fsum(cost.cpu_ms(unread) for cost in costs)


# Changes.


def with_stages(training: Training, costs: Sequence[StageCost]) -> Training:
    """The training with these stages; where they compute less, they also hold the training up less."""
    before, after = (_cpu_work_ms(each) for each in (training.costs, costs))
    freed_ms = training.held_ms * (1 - after / before) if before > 0 else 0.0
    return replace(
        training,
        costs=tuple(costs),
        cpu_ms=_cpu_ms(training, costs),
        held_ms=training.held_ms - freed_ms,
        compute_ms=tuple(max(ms - freed_ms, 0.0) for ms in training.compute_ms),
        transport_ms=_transport_ms(costs),
    )


def _cpu_ms(training: Training, costs: Sequence[StageCost]) -> float:
    """CPU time of a step with other stages, over the cores."""
    unread = 0.0 if training.cpu_read else 1.0
    before, after = (_cpu_work_ms(each, unread) for each in (training.costs, costs))
    cpu_ms = max(training.cpu_ms - (before - after) / training.cores, 0.0)
    work = [_cpu_work_ms(each) for each in (training.costs, costs)]
    if work[1] >= work[0]:
        return cpu_ms
    # Of work that is gone and whose CPU time was not read: what the training itself uses beside the
    # stages that are left, it uses while it computes, on all cores at the most.
    return min(cpu_ms, training.ideal_ms + work[1] / training.cores)


def with_costs(training: Training, cost_ms: Mapping[int, float]) -> Training:
    """The training with other costs for some stages, by their indices."""
    return with_stages(
        training,
        [replace(cost, cost_ms=cost_ms.get(cost.index, cost.cost_ms)) for cost in training.costs],
    )


def loaded_ahead(training: Training) -> Training:
    """The training with all its input ahead of it, one batch after another."""
    beside = StagePlace(key=(PlaceKind.PREFETCH, ()), parallelism=1.0, ahead=True)
    moved = [cost if cost.place.ahead else replace(cost, place=beside) for cost in training.costs]
    return replace(training, costs=tuple(moved))


def running_at_once(
    training: Training,
    chosen: Sequence[StageCost],
    parallelism: int,
    opened: StageCost | None = None,
) -> Training:
    """The training with so many calls of some stages at once: they and what feeds them run ahead of it.

    Args:
        training: as it is.
        chosen: the stages.
        parallelism: how many calls of each.
        opened: a stage that they open as often, and that runs with each of them.
    """
    costs = list(training.costs)
    for stage in chosen:
        own = StagePlace(
            key=(PlaceKind.CALLS, (stage.index,)), parallelism=float(parallelism), ahead=True
        )
        inside = StagePlace(
            key=(PlaceKind.OPENED, (stage.index,)), parallelism=float(parallelism), ahead=True
        )
        behind = StagePlace(key=(PlaceKind.BEHIND, (stage.index,)), parallelism=1.0, ahead=True)
        below = beneath(stage, training.costs)
        today = next(cost.place.key for cost in costs if cost.index == stage.index)
        for number, cost in enumerate(costs):
            if cost.index == stage.index:
                costs[number] = replace(cost, place=own)
            elif opened is not None and cost.index == opened.index:
                costs[number] = replace(cost, place=inside)
            elif cost.index in below and cost.place.key == today:
                costs[number] = replace(cost, place=behind)
    return replace(training, costs=tuple(costs))


def in_workers(training: Training, workers: int, *, processes: bool) -> Training:
    """The training with its Python code in worker threads or processes.

    Raises:
        UsageError: it has none.
    """
    python = [cost for cost in training.costs if cost.stage.kind.python]
    if not python:
        raise UsageError("expected an input in Python to run in workers, received one without any.")
    moved = {cost.index for one in python for cost in sharing_with(one, training.costs)}
    place = StagePlace(key=WORKERS_KEY, parallelism=float(workers), ahead=True)
    leave_gil = training.at_gil and processes
    costs = [
        (_without_gil(cost, place) if leave_gil else replace(cost, place=place))
        if cost.index in moved
        else cost
        for cost in training.costs
        if cost.stage.kind is not StageKind.TRANSPORT
    ]
    sent_ms = training.transport_ms or training.batch_bytes * _TRANSPORT_NS_PER_BYTE / MS
    return replace(
        with_stages(training, costs),
        processes=processes,
        transport_ms=sent_ms if processes else 0.0,
        buffered=max(training.buffered, 2 * workers),
    )


def _without_gil(cost: StageCost, place: StagePlace) -> StageCost:
    """A stage of threads once they need not wait for the GIL: its CPU time is left."""
    if cost.cpu_ratio is None:
        return replace(cost, place=place)
    return replace(cost, place=place, cost_ms=cost.cpu_ms(), cpu_ratio=1.0)


def computing_less(training: Training, saved_ms: float) -> Training:
    """The training with steps that compute so much less."""
    computes = tuple(max(ms - saved_ms, 0.0) for ms in training.compute_ms)
    return replace(training, compute_ms=computes)


# Its step time.


def modelled_ms(training: Training) -> float:
    """Mean step time by the model, the beginnings of epochs included."""
    mean_ms = mean_step_ms(
        _pace_ms(training), _within_ms(training), training.compute_ms, training.buffered
    )
    return max(mean_ms, training.cpu_ms) + training.epoch_start_ms


def expect(
    measured_ms: float, today: Training, after: Training, *, error: float, shortest_ms: float
) -> Expected:
    """The step after a change, from today's as it was measured.

    Args:
        measured_ms: today's step.
        today: the training as it is.
        after: as it would be.
        error: how far another run's mean step may be from this one's, as a part of it.
        shortest_ms: no step after any change of the input is shorter.
    """
    unexplained_ms = measured_ms - modelled_ms(today)
    carried_ms = unexplained_ms if _is_waited_for(after) else min(unexplained_ms, 0.0)
    expected_ms = modelled_ms(after) + carried_ms
    computed_ms = today.computing_ms - after.computing_ms
    started_ms = today.epoch_start_ms - after.epoch_start_ms
    # However it is moved, no more of the input can be saved than the work that was seen.
    seen_ms = math.fsum(cost.cost_ms for cost in today.costs)
    saved_ms = max(computed_ms, 0.0) + max(started_ms, 0.0)
    least_ms = max(today.ideal_ms, measured_ms - seen_ms) - saved_ms
    step_ms = max(expected_ms, least_ms, 0.0)
    sent_ms = after.transport_ms - today.transport_ms
    error_ms = math.hypot(error * step_ms, unexplained_ms, sent_ms)
    lowest_ms = expected_ms - error_ms
    if not _is_waited_for(after):
        lowest_ms = min(lowest_ms, _WITHOUT_WAITS * expected_ms)
    low_ms = max(lowest_ms, shortest_ms - saved_ms, 0.0)
    return Expected(
        step_ms=step_ms,
        interval=Interval(
            low=min(low_ms, step_ms), high=max(expected_ms + error_ms, step_ms * (1 + error))
        ),
        unexplained_ms=unexplained_ms,
    )


def _is_waited_for(training: Training) -> bool:
    """Whether the loop waits for its input in the model, or does a part of it itself."""
    within = any(not cost.place.ahead for cost in training.costs)
    return within or _pace_ms(training) > training.computing_ms


def _pace_ms(training: Training) -> float:
    """How long after one batch the next is ready, where the work runs ahead of the loop."""
    places: dict[object, list[StageCost]] = {}
    for cost in training.costs:
        if cost.cost_ms > 0 and cost.place.ahead:
            places.setdefault(cost.place.key, []).append(cost)
    paces = [_place_ms(sharing, training) for sharing in places.values()]
    return max([*paces, training.transport_ms, 0.0])


def _place_ms(sharing: Sequence[StageCost], training: Training) -> float:
    parallelism = max(cost.place.parallelism for cost in sharing)
    work_ms = math.fsum(cost.cost_ms for cost in sharing)
    at_once_ms = _cpu_work_ms(sharing) / training.cores
    if sharing[0].place.key == WORKERS_KEY and not training.processes:
        python_ms = _cpu_work_ms([cost for cost in sharing if cost.stage.kind.python])
        at_once_ms = max(at_once_ms, training.in_turns * python_ms)
    return max(work_ms / parallelism, min(at_once_ms, work_ms))


def _within_ms(training: Training) -> float:
    """What runs within the wait of the loop."""
    return math.fsum(cost.cost_ms for cost in training.costs if not cost.place.ahead)
