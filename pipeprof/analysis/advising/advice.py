"""What to do about a loop, with the step time to expect where that can be estimated.

Each rule answers one way in which a loop can be slow. A rule gives nothing where it would not help:
no workers on a CPU without a free core, no threads under the GIL, no gain that is within the noise.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import ceil

from pipeprof.analysis.advising.fed_by import describe_feed, smaller_batches
from pipeprof.analysis.advising.host_advice import host_advice
from pipeprof.analysis.advising.prediction import measured_elsewhere, with_prediction
from pipeprof.analysis.advising.service_advice import cheaper_service, more_data_workers
from pipeprof.analysis.advising.tfdata_advice import (
    MOST_WAITING_AT_ONCE,
    batch_first,
    cache,
    filter_first,
    parallel_calls,
    shuffle_first,
)
from pipeprof.analysis.findings.account_findings import EpochAccount
from pipeprof.analysis.findings.advice_kinds import Advice, FeedValidation, LeaveInput
from pipeprof.analysis.findings.host_remedies import CheaperOwnCode, MoreFeeders, ValidateLessOften
from pipeprof.analysis.findings.input_findings import StartCause
from pipeprof.analysis.findings.input_remedies import (
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreHelpers,
    MoreWorkers,
    OwnProcesses,
    Prefetch,
    WaitLess,
    WorkerThreads,
)
from pipeprof.analysis.findings.tfdata_remedies import (
    MoreFiles,
    OneIterator,
    OpenInParallel,
    ParallelCalls,
    ParallelFilter,
    SwitchAutotuneOn,
    TensorflowOps,
)
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.measures.cores import used_ratio
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.device_use import working_device
from pipeprof.analysis.measures.epoch_starts import usual_start
from pipeprof.analysis.measures.lane_use import LEAVES_GIL_BELOW, gil_held_ratio
from pipeprof.analysis.measures.stage_tree import askers_of
from pipeprof.analysis.predicting.training_model import in_workers, loaded_ahead
from pipeprof.analysis.verdicts.bottleneck import sharing_with
from pipeprof.analysis.verdicts.bottleneck_evidence import RESTS_BELOW, busy_ratio
from pipeprof.analysis.verdicts.bounds import INPUT_FROM
from pipeprof.analysis.verdicts.causes import BLOCKING_BELOW, known_cpu_ratio
from pipeprof.analysis.verdicts.shape_compiling import shapes_cost_much
from pipeprof.analysis.verdicts.unevenness import waits_are_over
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.account import FeederKind, Part
from pipeprof.recording.loop import InputKind, LoopKind
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind, StageOwner

# Beside the best change, one that saves less than this share of what that saves is not worth the lines.
_LEAST_SHARE_OF_BEST = 0.2

# Of what is on the CPU for less of its time than this, many calls at once need no core of their own.
_NO_CORE_BELOW = 0.15

_HELPED_BY_WORKERS = (Cause.SERIAL, Cause.GIL, Cause.CPU, Cause.TOO_FEW_WORKERS)

_PYTHON_INPUTS = (InputKind.GENERATOR, InputKind.ITERATOR, InputKind.SEQUENCE, InputKind.LOADER)

# Remedies after which a stage makes more calls at once.
_CALLS_AT_ONCE = (MoreWorkers, ParallelCalls, ParallelFilter, OpenInParallel, MoreFiles)

# Waiting for workers that start again is worth a change from this part of the training's time on.
_STARTS_FROM = 0.15

# What another pass over the data, begun sooner, would wait for as well.
_AT_EVERY_PASS = (StartCause.SKIP, StartCause.CACHE_WRITE)


def give_advice(
    verdict: Verdict, validations: Sequence[Verdict], epochs: Sequence[EpochAccount]
) -> tuple[Advice, ...]:
    """What to do about a loop: first about what takes most of its time.

    Args:
        verdict: that of the loop.
        validations: those of the evaluations inside it.
        epochs: the accounts of its epochs; what they wait at the end is still to come.
    """
    fed = tuple(_about_input(verdict, epochs))
    framework = tuple(_about_framework(verdict))
    account, walls = verdict.measured.account, verdict.walls
    of_framework = walls.framework if walls else 0.0
    of_validation = account.ns(Part.VALIDATION) / max(account.training_ns, 1)
    groups: tuple[tuple[float, Sequence[Advice]], ...] = (
        (walls.input if walls else 0.0, fed),
        (verdict.wall_host - of_framework, tuple(host_advice(verdict))),
        (of_framework, framework),
        (of_validation, tuple(_about_validation(verdict, validations))),
    )
    largest_first = sorted(groups, key=lambda group: group[0], reverse=True)
    given = tuple(advice for _, group in largest_first for advice in group)
    return given if fed or framework else (*given, *_leave_input(verdict))


def _about_input(verdict: Verdict, epochs: Sequence[EpochAccount]) -> Iterator[Advice]:
    """What is sure to be possible, then what depends, then what is open."""
    if waits_are_over(epochs, verdict.measured.costs):
        return
    if not verdict.waits_for_input or verdict.worst is None or not verdict.ideal_ms:
        yield from _longer_epochs(verdict)
        yield from _own_gil(verdict)
        yield from _own_maker(verdict)
        yield from _more_feeders(verdict)
        yield from _autotune(verdict)
        return
    rules = (
        _longer_epochs,
        _prefetch,
        _workers,
        _longer_queue,
        parallel_calls,
        more_data_workers,
        _threads,
    )
    reordered = (shuffle_first, filter_first, batch_first)
    known = [advice for rule in (*reordered, *rules) for advice in rule(verdict)]
    sure = (*_comparable(known, verdict.step_ms or 0.0), *cache(verdict))
    yield from sure
    at_once = any(isinstance(each.remedy, _CALLS_AT_ONCE) for each in known)
    open_ended = tuple(_unpredicted(verdict, verdict.worst, at_once=at_once))
    restarts = tuple(_restarted_workers(verdict))
    yield from (*open_ended, *restarts)
    always_busy = busy_ratio(verdict, verdict.worst) >= RESTS_BELOW
    helped = sure or open_ended or restarts
    if not helped and verdict.cause is Cause.CPU and always_busy:
        yield Advice(remedy=_less_work(verdict, verdict.worst.stage))
    yield from _autotune(verdict)


def _comparable(known: Iterable[Advice], now_ms: float) -> list[Advice]:
    """Best first, without those that save next to nothing beside the best; then those not predicted."""
    given = list(known)
    best_first = sorted(
        ((each.prediction.step_ms, number) for number, each in enumerate(given) if each.prediction),
    )
    least_ms = _LEAST_SHARE_OF_BEST * (now_ms - best_first[0][0]) if best_first else 0.0
    sure = [given[number] for step_ms, number in best_first if now_ms - step_ms >= least_ms]
    return [*sure, *(each for each in given if each.prediction is None)]


def _longer_epochs(verdict: Verdict) -> Iterator[Advice]:
    """Let passes begin less often, unless each begin does work that a longer pass has to do as well."""
    step = verdict.measured.times.step
    if verdict.cause is not Cause.EPOCH_START or step is None:
        return
    for remedy in _fewer_starts(verdict):
        yield from measured_elsewhere(verdict, remedy, max(step.mean, verdict.ideal_ms or 0.0))


def _restarted_workers(verdict: Verdict) -> Iterator[Advice]:
    """Let workers end and start again less often where that takes much beside another bottleneck."""
    measured = verdict.measured
    starts = [start for start in measured.fed.epoch_starts if start.cause is StartCause.WORKERS]
    waited_ms = sum(start.wait_ms for start in starts if start.epoch > 0)
    if verdict.cause is Cause.EPOCH_START or not waited_ms:
        return
    if waited_ms * 1e6 >= _STARTS_FROM * measured.account.training_ns:
        yield from (Advice(remedy=remedy) for remedy in _fewer_starts(verdict))


def _fewer_starts(verdict: Verdict) -> Iterator[LongerEpochs]:
    if any(shuffle_first(verdict)):
        return
    start = usual_start(verdict.measured.fed.epoch_starts)
    cause = start.cause if start is not None else None
    if cause in _AT_EVERY_PASS:
        return
    of_tf_data = verdict.measured.loop.input.kind is InputKind.TF_DATA
    yield LongerEpochs(
        fed_by=describe_feed(verdict), behind_shuffle=of_tf_data and cause is StartCause.FILL
    )


def _own_maker(verdict: Verdict) -> Iterator[Advice]:
    """What a loop calls for its next batch can run beside it, or do less."""
    if verdict.worst is None and verdict.feeder is not None and verdict.feeder.own_thread:
        yield Advice(remedy=CheaperOwnCode(function=verdict.feeder.function))


def _more_feeders(verdict: Verdict) -> Iterator[Advice]:
    """More of what a loop waits for, in threads of its own where these wait, in processes where not."""
    feeder = verdict.feeder
    if (
        feeder is None
        or feeder.own_thread
        or verdict.worst is not None
        or not verdict.waits_for_input
    ):
        return
    if verdict.held_by is not Cause.NONE:
        return
    in_processes = feeder.lane is not None and feeder.lane.kind is FeederKind.PROCESS
    by = FeederKind.THREAD
    if in_processes or verdict.cause in (Cause.CPU, Cause.GIL):
        by = FeederKind.PROCESS
    yield Advice(remedy=MoreFeeders(function=feeder.function, by=by))


def _prefetch(verdict: Verdict) -> Iterator[Advice]:
    """Work that runs within the wait of the loop can run beside it."""
    worst = verdict.worst
    if worst is None or worst.place.ahead or verdict.cause is Cause.EPOCH_START:
        return
    if verdict.measured.loop.input.kind is InputKind.ARRAYS:
        return
    remedy = Prefetch(fed_by=describe_feed(verdict))
    yield from with_prediction(verdict, remedy, loaded_ahead)


def _workers(verdict: Verdict) -> Iterator[Advice]:
    """Python work can run in several processes, or in threads where it waits or leaves the GIL."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    if worst is None or not ideal_ms or not _may_run_in_workers(verdict, worst):
        return
    waits = verdict.cause is Cause.BLOCKING
    at_gil = verdict.cause is Cause.GIL
    moved = sharing_with(worst, verdict.measured.costs)
    work_ms = sum(cost.cpu_ms() if at_gil else cost.cost_ms for cost in moved)
    most = MOST_WAITING_AT_ONCE if waits else int(verdict.measured.context.worth)
    workers = min(max(ceil(work_ms / ideal_ms), 2), most)
    if workers < 2 or (not at_gil and workers <= worst.place.parallelism):
        return
    # The loaders of other frameworks have no worker threads that do the whole work.
    in_threads = waits or (not at_gil and _leaves_gil(verdict, worst))
    threads = in_threads and verdict.measured.loop.input.kind is not InputKind.LOADER
    remedy = MoreWorkers(
        fed_by=describe_feed(verdict),
        stage=worst.stage.name,
        workers=workers,
        processes=not threads,
    )
    change = partial(in_workers, workers=workers, processes=not threads)
    yield from with_prediction(verdict, remedy, change)


def _may_run_in_workers(verdict: Verdict, worst: StageCost) -> bool:
    """Whether more workers can help a stage, as far as its code and its cause let them."""
    of_python = verdict.measured.loop.input.kind in _PYTHON_INPUTS
    if not of_python and not _is_in_generator(verdict, worst):
        return False
    if verdict.measured.cpu.saturated and not _needs_no_core(verdict, worst):
        return False
    if not worst.stage.kind.python or _is_mapped(worst):
        return False
    return verdict.cause is Cause.BLOCKING or verdict.cause in _HELPED_BY_WORKERS


def _is_in_generator(verdict: Verdict, worst: StageCost) -> bool:
    """Whether a stage is, or works for, a generator of the user's that feeds a pipeline of tf.data."""
    if verdict.measured.loop.input.kind is not InputKind.TF_DATA:
        return False
    around = [cost.stage for cost in (worst, *askers_of(worst, verdict.measured.costs))]
    return any(
        stage.kind is StageKind.GENERATOR or stage.family is OperatorFamily.GENERATOR
        for stage in around
    )


def _is_mapped(cost: StageCost) -> bool:
    """Whether a stage is Python code in a pipeline of tf.data, other than the generator that feeds it.

    Of a training that a callback joined, this generator is known as a stage of tf.data only.
    """
    generates = cost.stage.family is OperatorFamily.GENERATOR
    return cost.stage.kind is StageKind.TF_DATA_PYTHON and not generates


def _needs_no_core(verdict: Verdict, worst: StageCost) -> bool:
    """Whether a stage hardly does anything but wait, so that more calls at once need no free core."""
    ratio = known_cpu_ratio(worst, verdict.measured.context)
    return verdict.cause is Cause.BLOCKING and ratio is not None and ratio < _NO_CORE_BELOW


def _leaves_gil(verdict: Verdict, worst: StageCost) -> bool:
    """Whether the lanes of a stage were seen to compute without the GIL; not where nobody looked."""
    held = gil_held_ratio(verdict.measured.profile, worst.stage.lanes)
    return held is not None and held < LEAVES_GIL_BELOW


def _longer_queue(verdict: Verdict) -> Iterator[Advice]:
    """Workers that may run further ahead need not pause for one slow batch."""
    if verdict.cause is not Cause.HEAD_OF_LINE:
        return
    fed_by = verdict.measured.loop.input
    size = 2 * max(fed_by.queue_size or 0, fed_by.workers or 0, 8)
    yield Advice(remedy=LongerQueue(fed_by=describe_feed(verdict), size=size))


def _own_gil(verdict: Verdict) -> Iterator[Advice]:
    """Processes leave the training's GIL to the training."""
    fed_by = verdict.measured.loop.input
    if verdict.crowds_gil and fed_by.kind in _PYTHON_INPUTS:
        workers = max(fed_by.workers or 0, 2)
        yield Advice(remedy=OwnProcesses(fed_by=describe_feed(verdict), workers=workers))


def _threads(verdict: Verdict) -> Iterator[Advice]:
    """Advises threads in place of processes: they need no transport, but take turns at the GIL."""
    worst = verdict.worst
    if worst is None or verdict.cause is not Cause.TRANSPORT:
        return
    if verdict.measured.loop.input.kind is not InputKind.SEQUENCE:
        return
    workers = verdict.measured.loop.input.workers or 2
    remedy = WorkerThreads(fed_by=describe_feed(verdict), workers=workers)
    yield from with_prediction(
        verdict, remedy, partial(in_workers, workers=workers, processes=False)
    )


def _autotune(verdict: Verdict) -> Iterator[Advice]:
    """What nobody tunes and nobody counts is slow, and nobody sees where."""
    fed_by = verdict.measured.loop.input
    # Keras itself switches it off for the workers of a sequence.
    of_user = fed_by.kind not in (InputKind.SEQUENCE, InputKind.GENERATOR)
    if verdict.waits_for_input and fed_by.autotune is False and of_user:
        yield Advice(remedy=SwitchAutotuneOn())


def _unpredicted(verdict: Verdict, worst: StageCost, *, at_once: bool) -> Iterator[Advice]:
    """What helps to an extent that cannot be known before.

    Args:
        verdict: that of the loop.
        worst: its bottleneck.
        at_once: whether that is advised to make more calls at once.
    """
    stage = worst.stage
    holds_gil = stage.kind.python and verdict.cause in (Cause.GIL, Cause.SERIAL)
    if verdict.cause is Cause.CPU_SATURATED:
        yield Advice(remedy=_less_work(verdict, stage))
    elif verdict.cause is Cause.BLOCKING and verdict.measured.cpu.saturated and not at_once:
        yield Advice(remedy=WaitLess(stage=stage.name))
    elif verdict.cause is Cause.HELPERS:
        yield _about_helpers(verdict, stage)
    elif stage.kind is StageKind.TF_DATA_REMOTE and verdict.cause is Cause.TRANSPORT:
        yield cheaper_service(verdict, worst)
    elif verdict.cause is Cause.TRANSPORT:
        yield Advice(remedy=smaller_batches(verdict))
    elif (
        verdict.measured.loop.input.kind is InputKind.TF_DATA
        and holds_gil
        and stage.family is not OperatorFamily.GENERATOR
    ):
        yield Advice(remedy=TensorflowOps(stage=stage.name))


def _less_work(verdict: Verdict, stage: Stage) -> LessWork:
    of_user = stage.owner is StageOwner.USER and bool(stage.function or stage.location)
    full = verdict.cause is Cause.CPU_SATURATED
    return LessWork(stage=stage.name, by_user=of_user, no_core_free=full)


def _about_helpers(verdict: Verdict, stage: Stage) -> Advice:
    """More processes for a stage that waits for some, as many as there are cores for if they compute."""
    context = verdict.measured.context
    helpers, cpu = context.helpers, context.cpu
    count = helpers.count if helpers is not None else 1
    waits = helpers is not None and helpers.cpu_ratio < BLOCKING_BELOW and not cpu.saturated
    used = used_ratio(cpu.process_ratio, cpu) if cpu.process_ratio is not None else 1.0
    free = 0 if cpu.saturated else int(context.worth * (1.0 - used))
    processes = min(2 * count, MOST_WAITING_AT_ONCE) if waits else count + free
    if processes <= count:
        return Advice(remedy=LessWork(stage=stage.name, by_user=True, no_core_free=True))
    return Advice(remedy=MoreHelpers(stage=stage.name, processes=processes, waits=waits))


def _about_framework(verdict: Verdict) -> Iterator[Advice]:
    """What a framework does where epochs begin can come less often."""
    loop, walls = verdict.measured.loop, verdict.walls
    if walls is None or walls.framework < INPUT_FROM or loop.kind is not LoopKind.FIT:
        return
    steps, over = divmod(loop.step_count, max(loop.epochs, 1))
    if loop.input.kind is InputKind.TF_DATA and loop.epochs > 1 and not over:
        yield Advice(remedy=OneIterator(steps=steps))
    elif verdict.cause is not Cause.EPOCH_START:
        yield Advice(remedy=LongerEpochs(fed_by=describe_feed(verdict)))


def _about_validation(verdict: Verdict, validations: Sequence[Verdict]) -> Iterator[Advice]:
    """Validation that takes much of the training's time can be fed better, or come less often."""
    account, loop = verdict.measured.account, verdict.measured.loop
    ratio = account.ratio(Part.VALIDATION)
    if ratio < INPUT_FROM:
        return
    longest = max(validations, key=lambda each: each.measured.account.wall_ns, default=None)
    if longest is not None and longest.wall_wait >= INPUT_FROM:
        best = next(_about_input(longest, ()), None)
        if best is not None:
            yield Advice(remedy=FeedValidation(remedy=best.remedy))
    yield Advice(remedy=ValidateLessOften(ratio=ratio, hand_written=loop.kind.hand_written))


def _leave_input(verdict: Verdict) -> Iterator[Advice]:
    """What the limit is of a training that its input does not hold up."""
    measured, walls = verdict.measured, verdict.walls
    if verdict.bound is not Bound.COMPUTE or not measured.loop.kind.trains or walls is None:
        return
    if 2 * measured.account.ns(Part.COMPUTE) < measured.account.training_ns:
        return
    if shapes_cost_much(measured):  # the evidence says what to do
        return
    device = working_device(measured.profile, measured.counted_time)
    yield Advice(
        remedy=LeaveInput(
            device=device.name if device else None,
            device_busy_ratio=device.busy_ratio if device else None,
            cores=measured.context.room,
            cpu_busy_ratio=measured.cpu.process_ratio,
        )
    )
