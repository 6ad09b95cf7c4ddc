"""What a training would take if something were otherwise: predicted from one recorded run.

`pipeprof.analysis.predicting.training_model` is the model; here stands what each supposition changes in it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

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
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.step_blocks import step_error
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.analysis.predicting.training_model import (
    MOST_UNEXPLAINED,
    Training,
    computing_less,
    expect,
    in_workers,
    loaded_ahead,
    modelled_ms,
    running_at_once,
    training_of,
    with_costs,
)
from pipeprof.analysis.verdicts.bottleneck import beneath
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.errors import UsageError
from pipeprof.recording.account import HostCall, Part
from pipeprof.recording.level_names import Level as LevelName


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
        measured_ms = verdict.measured.times.step_ms_with_epoch_starts
        if measured_ms is None:
            raise UsageError(
                "expected a run whose steps were measured, received one without counted steps."
            )
        self._today = training_of(verdict)
        explained_ms = modelled_ms(self._today)
        self._unexplained_ms = measured_ms - explained_ms
        if abs(self._unexplained_ms) > MOST_UNEXPLAINED * measured_ms:
            raise UsageError(
                f"the model explains {explained_ms:.3g} of {measured_ms:.3g} ms of today's step: "
                "too little to predict what a change would give."
            )
        self._error = step_error(verdict.measured.loop)
        self.today_ms = measured_ms
        self.epoch_start_ms = self._today.epoch_start_ms
        self.costs = self._today.costs

    def predict(self, *suppositions: Supposition) -> SupposedStep:
        """The step time if all of these were so.

        Raises:
            UsageError: a stage or callback does not exist.
        """
        verdict, supposed = self.verdict, self._today
        for supposition in suppositions:
            supposed = _suppose(supposed, supposition, verdict)
        if any(isinstance(supposition, FreeBatches) for supposition in suppositions):
            callbacks = (each.callback for each in suppositions if isinstance(each, NoCallback))
            saved_ms = math.fsum(callback_ms(verdict, name) for name in callbacks)
            return _ideal(verdict, self.today_ms, self._unexplained_ms, saved_ms)
        assert verdict.ideal is not None
        expected = expect(
            self.today_ms,
            self._today,
            supposed,
            error=self._error,
            shortest_ms=verdict.ideal.interval.low,
        )
        memory = _memory_of(verdict, suppositions)
        return SupposedStep(
            step_ms=expected.step_ms,
            interval=expected.interval,
            speedup=_speedup(self.today_ms, expected.step_ms),
            today_ms=self.today_ms,
            unexplained_ms=expected.unexplained_ms,
            wall_s=_wall_s(verdict, self.today_ms, expected.step_ms),
            memory_bytes=memory,
            memory_fits=_fits(verdict, memory),
        )


def _suppose(training: Training, supposition: Supposition, verdict: Verdict) -> Training:
    match supposition:
        case StageCosts():
            chosen = _stage(training, supposition.stage)
            return with_costs(
                training, {cost.index: cost.cost_ms * supposition.factor for cost in chosen}
            )
        case StageRuns():
            chosen = _stage(training, supposition.stage)
            return running_at_once(training, chosen, supposition.parallelism)
        case LoadedAhead():
            return loaded_ahead(training)
        case LoadedByWorkers():
            return in_workers(training, supposition.workers, processes=supposition.processes)
        case CachedBehind():
            [*chosen] = _stage(training, supposition.stage)
            gone = {index for cost in chosen for index in beneath(cost, training.costs)}
            gone |= {cost.index for cost in chosen}
            return with_costs(training, dict.fromkeys(gone, 0.0))
        case NoEpochStarts():
            return replace(training, epoch_start_ms=0.0)
        case NoCallback():
            return computing_less(training, callback_ms(verdict, supposition.callback))
        case WithCores():
            return _with_cores(training, supposition.cores, verdict)
        case FreeBatches():
            return training


def _stage(training: Training, name: str) -> list[StageCost]:
    chosen = [cost for cost in training.costs if cost.stage.name == name]
    if not chosen:
        known = ", ".join(dict.fromkeys(cost.stage.name for cost in training.costs))
        raise UsageError(f"expected a stage of the main loop ({known}), received {name}.")
    return chosen


def _with_cores(training: Training, cores: float, verdict: Verdict) -> Training:
    """More cores: less of a step's computing stands in the queue for one."""
    queued, step = verdict.held_up.cpu_queue_ratio or 0.0, verdict.measured.times.step
    freed_ms = queued * step.mean * max(1 - training.cores / cores, 0.0) if step else 0.0
    return replace(
        computing_less(training, freed_ms),
        cores=cores,
        cpu_ms=training.cpu_ms * training.cores / cores,
    )


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
        speedup=_speedup(today_ms, step_ms),
        today_ms=today_ms,
        unexplained_ms=unexplained_ms,
        wall_s=_wall_s(verdict, today_ms, step_ms),
    )


def _speedup(today_ms: float, step_ms: float) -> float:
    return today_ms / step_ms if step_ms > 0 else math.inf


def _wall_s(verdict: Verdict, today_ms: float, step_ms: float) -> float:
    """The loop's training with steps of another length; what lies between its steps stays."""
    account = verdict.measured.account
    saved_ns = (today_ms - step_ms) * MS * verdict.measured.loop.step_count
    return max(account.training_ns - saved_ns, 0.0) / 1e9
