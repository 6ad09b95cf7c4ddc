"""What speaks for a verdict, in sentences with figures; the most important come first."""

import re
from collections.abc import Iterator

from pipeprof.analysis.bottleneck import find_bottleneck, needed_ms, sharing_with
from pipeprof.analysis.causes import CROWDED_FROM, gil_held, known_cpu_ratio
from pipeprof.analysis.costs import StageCost
from pipeprof.analysis.device_use import has_accelerator
from pipeprof.analysis.epoch_starts import usual_reason
from pipeprof.analysis.lane_use import SATURATED_FROM, THROTTLED_FROM, resource_finding
from pipeprof.analysis.placement import WORKERS_KEY, trains_on
from pipeprof.analysis.traced_waits import Contradiction, contradicting_waits
from pipeprof.analysis.verdict import Verdict
from pipeprof.analysis.verdict_kinds import Bound, Cause
from pipeprof.recording.lane import Lane, Role
from pipeprof.recording.loop import WaitSource
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import StageKind

# A place that works this much of the time works without a pause.
_NO_PAUSE_FROM = 0.9

# One that works less than this has room left: that it takes one call after the other explains no wait.
_RESTS_BELOW = 0.5

# Stages that account for less of the wait than this leave something unseen.
_EXPLAINED_FROM = 0.5

_LEAST_STEPS = 10

# Generators inside a generator are timed from this Python on (generator_chains).
_TELLS_GENERATORS = (3, 12)

# Less than this is what any process reads beside its work.
_NOTABLE_BYTES_PER_S = 1e6

_WORK = tuple(SpanKind).index(SpanKind.WORK)


def find_evidence(verdict: Verdict) -> tuple[str, ...]:
    """All that speaks for a verdict or weakens it."""
    match verdict.bound:
        case Bound.UNKNOWN:
            said = _why_unknown(verdict)
        case Bound.COMPUTE:
            said = _why_compute(verdict)
        case _:
            said = _why_waiting(verdict)
    return (*said, *_of_forking(verdict), *_what_weakens(verdict), *_how_to_see_inside(verdict))


def percent(ratio: float) -> str:
    """A ratio as people write it."""
    return f"{100 * ratio:.0f} %"


def milliseconds(value_ms: float) -> str:
    """A time with as many digits as it is worth."""
    return f"{value_ms:.1f} ms" if value_ms < 100 else f"{value_ms:.0f} ms"


def _why_unknown(verdict: Verdict) -> Iterator[str]:
    times = verdict.measured.times
    if times.counted < _LEAST_STEPS:
        yield (
            f"Only {_count(times.counted, 'step')} after warm-up and epoch starts: "
            f"at least {_LEAST_STEPS} are needed."
        )
    elif not times.measured:
        yield "Nothing measured how long the steps waited for their data."
    elif times.measured < _LEAST_STEPS:
        yield (
            f"The wait of only {_count(times.measured, 'step')} is known: "
            f"at least {_LEAST_STEPS} are needed."
        )
    else:
        yield "The steps took no time that could be measured."
    if verdict.measured.costs and not verdict.measured.counted_time.past_warmup:
        yield "The costs of the stages are those of the warm-up."


def _why_compute(verdict: Verdict) -> Iterator[str]:
    times = verdict.measured.times
    if times.wait is None or times.step is None:
        return
    yield (
        f"A step waits {milliseconds(times.wait.mean)} of {milliseconds(times.step.mean)}: "
        "the input keeps up."
    )
    slowest = find_bottleneck(verdict.measured.costs)
    if slowest is not None and slowest.capacity_per_s and times.step.mean:
        yield (
            f"Its slowest stage, {slowest.label}, alone could feed "
            f"{slowest.capacity_per_s:.0f} steps a second; training took "
            f"{1e3 / times.step.mean:.0f}."
        )
    if verdict.crowds_gil:
        busy = percent(min(verdict.beside, 1.0))
        yield (
            f"Input threads of the training's own process compute for {busy} of the time: as far as "
            "they hold the GIL, the training waits for it, and that counts as computing."
        )


def _why_waiting(verdict: Verdict) -> Iterator[str]:
    if verdict.cause is Cause.EPOCH_START:
        yield from _epoch_starts(verdict)
    if verdict.worst is None and verdict.measured.loop.input.autotune is False:
        yield (
            "AUTOTUNE is switched off, so tf.data does not count the work of its stages and none "
            "can be named."
        )
    elif verdict.worst is None:
        yield (
            "No stage of the input was seen at work, so none can be named; "
            "mark the functions that load data with pipeprof.stage."
        )
    elif verdict.worst.stage.kind is not StageKind.EPOCH_START:
        yield _bottleneck_at_work(verdict, verdict.worst)
        yield from _where_it_ran(verdict, verdict.worst)
        if verdict.cause is Cause.BLOCKING:
            yield from _traffic(verdict)
        yield from _of_workers(verdict, verdict.worst)
    if verdict.cause is not Cause.EPOCH_START:
        yield from _epoch_starts(verdict)


def _epoch_starts(verdict: Verdict) -> Iterator[str]:
    epoch_starts, inside = verdict.measured.times.epoch_starts, verdict.measured.times.wait
    if not epoch_starts.count or epoch_starts.median_ms is None or inside is None:
        return
    several = epoch_starts.epochs > 1
    waited = (
        f"The first step of {'each' if several else 'an'} epoch waited "
        f"{milliseconds(epoch_starts.median_ms)} "
        f"({f'median of {epoch_starts.epochs} epochs' if several else 'one was seen'})"
    )
    reason = usual_reason(verdict.measured.fed.epoch_starts)
    if reason is not None:
        waited = f"{waited}: {reason}"
    if verdict.cause is Cause.EPOCH_START:
        others_ms = inside.mean * verdict.measured.times.counted
        yield f"{waited}; all other steps together waited {milliseconds(others_ms)}."
    elif epoch_starts.wait_ms > 2 * inside.mean * epoch_starts.count:
        yield f"{waited}."


def _bottleneck_at_work(verdict: Verdict, worst: StageCost) -> str:
    if worst.stage.kind is StageKind.TF_DATA_REMOTE:
        return (
            f"{worst.label} is waited for {milliseconds(worst.cost_ms)} per step: its stages work "
            "where this process counts nothing."
        )
    sharing = sharing_with(worst, verdict.measured.costs)
    # Of the time that the steps took: what stands between epochs is told by itself.
    step = verdict.measured.times.step
    busy = (
        min(needed_ms(worst, verdict.measured.costs) / step.mean, 1.0)
        if step and step.mean
        else 1.0
    )
    unexplained = busy < _RESTS_BELOW and verdict.cause in (Cause.SERIAL, Cause.CPU)
    reason = "" if unexplained else f": {_because(verdict, worst)}"
    others = len(sharing) - 1
    shared = f" shared with {_count(others, 'other stage')}" if others else ""
    return (
        f"{worst.label} works {milliseconds(worst.cost_ms)} per step, "
        f"{_how_parallel(worst, verdict.measured.profile.lanes)}{shared}, {_pace(worst, busy)}{reason}."
    )


def _pace(worst: StageCost, busy: float) -> str:
    if busy >= _NO_PAUSE_FROM:
        return "without a pause"
    rests = "" if worst.place.ahead else ", resting while the training computes"
    return f"busy {percent(busy)} of the time{rests}"


def _of_workers(verdict: Verdict, worst: StageCost) -> Iterator[str]:
    """What the choice of workers does for a sequence, and what it costs."""
    fed_by = verdict.measured.loop.input
    alone = fed_by.workers is not None and fed_by.workers <= 1 and not fed_by.multiprocessing
    sequence = next((u for u in verdict.measured.costs if u.stage.kind is StageKind.SEQUENCE), None)
    transport = next(
        (u for u in verdict.measured.costs if u.stage.kind is StageKind.TRANSPORT), None
    )
    if worst.stage.kind is StageKind.SEQUENCE and alone:
        yield f"With workers={fed_by.workers} and no processes one batch is loaded after the other."
    if sequence is not None and transport is not None:
        yield (
            f"Worker processes take {milliseconds(sequence.cost_ms)} of work a step off the "
            f"training's process; sending the batches there takes {milliseconds(transport.cost_ms)}."
        )


def _of_forking(verdict: Verdict) -> Iterator[str]:
    """A hang that may come at any time, however fast the input is."""
    forks = verdict.measured.loop.input.start_method == "fork"
    if forks and "tensorflow" in verdict.measured.profile.run.versions:
        yield (
            "The workers are forked from a process in which TensorFlow runs threads, and may hang: "
            "multiprocessing.set_start_method('forkserver') is safe."
        )


def _traffic(verdict: Verdict) -> Iterator[str]:
    """What was read from outside while a stage waited for something: it may be that."""
    resources = resource_finding(verdict.measured.profile, verdict.measured.counted_time)
    disk, network = resources.disk_read_bytes_per_s, resources.received_bytes_per_s
    said = [
        f"{rate / 1e6:.3g} MB/s {source}"
        for rate, source in ((disk, "from disk"), (network, "over the network"))
        if rate is not None and rate >= _NOTABLE_BYTES_PER_S
    ]
    if said:
        yield f"Meanwhile {' and '.join(said)} came in."


def _how_parallel(cost: StageCost, lanes: tuple[Lane, ...]) -> str:
    parallelism = cost.place.parallelism
    if cost.place.key == WORKERS_KEY:
        pids = {lanes[number].pid for number in cost.stage.lanes}
        kind = "worker process" if len(pids) > 1 else "worker"
        return f"in {_count(round(parallelism), kind)}"
    if parallelism <= 1:
        return "on one thread" if cost.place.parallelism_known else "one call at a time"
    if cost.stage.parallelism is not None:
        return f"in up to {parallelism:.3g} calls at once"
    return f"on {parallelism:.3g} threads"


def _because(verdict: Verdict, worst: StageCost) -> str:
    ratio = known_cpu_ratio(worst, verdict.measured.context)
    match verdict.cause:
        case Cause.TRANSPORT:
            size = worst.size_bytes
            each = f" ({size / max(worst.calls, 1) / 1e6:.3g} MB each)" if size else ""
            return f"batches{each} on their way from the worker processes to the training"
        case Cause.BLOCKING:
            on_cpu = ("at most " if worst.cpu_ratio is None else "") + percent(ratio or 0.0)
            return f"it waits for files, network or sleep, only {on_cpu} of it is CPU time"
        case Cause.CPU_SATURATED:
            return _saturated(verdict, worst, ratio)
        case Cause.GIL:
            return _at_gil(verdict, worst, ratio)
        case Cause.TOO_FEW_WORKERS:
            return "computing, while a core is free"
        case Cause.HEAD_OF_LINE:
            late = percent(verdict.measured.fed.head_of_line_ratio or 0.0)
            return f"in {late} of the waiting a later batch lay ready, but not the next in order"
        case Cause.SERIAL:
            return _serial(worst, ratio)
        case Cause.EPOCH_START:
            return "the slowest stage inside the epochs"
        case _:
            unknown = "; its own CPU time was not measured" if ratio is None else ""
            return f"computing that already costs what it may{unknown}"


def _serial(worst: StageCost, ratio: float | None) -> str:
    if ratio is None:
        return "one call after the other; its own CPU time was not measured"
    return "Python code under the GIL" if worst.stage.kind.python else "one call after the other"


def _at_gil(verdict: Verdict, worst: StageCost, ratio: float | None) -> str:
    held = gil_held(worst, verdict.measured.context)
    if held is not None:
        return f"Python code whose threads held the GIL for {percent(held)} of the time, one by one"
    if ratio is None:
        return "Python code in threads of one process, which the GIL lets run one at a time"
    return "Python code, and the GIL lets only one thread of a process run it at a time"


def _saturated(verdict: Verdict, worst: StageCost, ratio: float | None) -> str:
    cpu = verdict.measured.cpu
    if cpu.throttled_ratio is not None and cpu.throttled_ratio >= THROTTLED_FROM:
        return (
            f"the container's limit of {_count_of(cpu.limit, 'core')} stopped it in "
            f"{percent(cpu.throttled_ratio)} of the scheduling periods"
        )
    if worst.queued_ratio >= CROWDED_FROM:
        queued = percent(worst.queued_ratio)
        return f"it stood {queued} of its time in the queue for a CPU, all of which were taken"
    used, machine = cpu.process_ratio or 0.0, cpu.machine_ratio or 0.0
    unknown = "" if ratio is not None else "; its own CPU time was not measured"
    if used >= SATURATED_FROM:
        return f"{percent(used)} of the CPU is in use, no core is free{unknown}"
    return (
        f"{percent(machine)} of the machine's CPU is in use, {percent(used)} by this training: "
        f"no core is free{unknown}"
    )


def _where_it_ran(verdict: Verdict, worst: StageCost) -> Iterator[str]:
    lanes = verdict.measured.profile.lanes
    overlap = verdict.measured.fed.overlap_ratio
    overlapped = "its work" if len(verdict.measured.costs) == 1 else "the input's work"
    if overlap is None:
        share = ""
    elif verdict.measured.fed.overlap_estimated:
        share = f"about {percent(overlap)} of {overlapped} overlapped with training (estimated)"
    elif overlap < 0.005:
        share = f"none of {overlapped} overlapped with training"
    else:
        share = f"{percent(overlap)} of {overlapped} overlapped with training"
    said = [share] if share else []
    if worst.stage.lanes and worst.place.key != WORKERS_KEY:
        busiest = max(worst.stage.lanes, key=lambda number: (worst.stage.lanes[number], -number))
        trains = trains_on(busiest, verdict.measured.loop, lanes)
        where = "the thread that trains" if trains else _thread_in_words(lanes[busiest])
        said = [f"It ran on {where}", *said, *(() if trains else _first_calls(verdict, worst))]
    if said:
        sentence = "; ".join(said)
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _thread_in_words(lane: Lane) -> str:
    if lane.role is Role.MAIN:
        return "the main thread"
    return f"a {lane.name}" if lane.name.endswith("thread") else f"the thread {lane.name}"


def _first_calls(verdict: Verdict, worst: StageCost) -> Iterator[str]:
    """Those calls at the very begin that ran on the training's thread, when later ones do not."""
    spans, lanes = verdict.measured.profile.spans, verdict.measured.profile.lanes
    calls = (spans.kind == _WORK) & (spans.subject == worst.index)
    here = [trains_on(lane, verdict.measured.loop, lanes) for lane in spans.lane[calls].tolist()]
    count = here.index(False) if False in here else 0
    if count:
        yield f"its first {_count(count, 'call')} ran on the thread that trains"


def _what_weakens(verdict: Verdict) -> Iterator[str]:
    times, overhead = verdict.measured.times, verdict.measured.profile.overhead
    if verdict.waits_for_input and times.wait is not None and verdict.worst is not None:
        if (
            verdict.cause is not Cause.EPOCH_START
            and verdict.input_ms < _EXPLAINED_FROM * times.wait.mean
        ):
            yield (
                f"The stages that were seen work {milliseconds(verdict.input_ms)} per step, but a step "
                f"waits {milliseconds(times.wait.mean)}: something in the input was not seen."
            )
        if verdict.cause is Cause.BLOCKING and verdict.worst.cpu_ratio is None:
            yield "Its CPU time was not measured; the bound is the CPU time of all processes."
    if verdict.waits_for_input and not has_accelerator(
        verdict.measured.profile, verdict.measured.counted_time
    ):
        cores = _count(verdict.measured.cpu.cores, "core")
        yield (
            f"No accelerator was seen: input and training share {cores}, "
            "so the step time with input for free is an estimate."
        )
    if verdict.measured.loop.waits_by is WaitSource.TRACE:
        yield from _traced(verdict)
    elif verdict.bound is not Bound.UNKNOWN and times.measured < 0.95 * times.counted:
        yield f"The wait of {times.measured} of {times.counted} steps is known."
    contradiction = contradicting_waits(verdict.measured)
    if contradiction is not None:
        yield _contradiction(contradiction, verdict.measured.loop.waits_by)
    if overhead.dropped > 0:
        yield f"{_count(overhead.dropped, 'event')} of {overhead.events} were lost."


def _contradiction(found: Contradiction, waits_by: WaitSource | None) -> str:
    missed = waits_by is WaitSource.GENERATOR and found.traced_ms > found.measured_ms
    reason = (
        "what a batch takes from the generator to the training was not measured"
        if missed
        else "one of both is wrong"
    )
    return (
        f"TensorFlow's profiler saw {_count(found.steps, 'step')} wait "
        f"{milliseconds(found.traced_ms)} on average where {milliseconds(found.measured_ms)} were "
        f"measured: {reason}."
    )


def _traced(verdict: Verdict) -> Iterator[str]:
    """A trace tells the waits of its own steps only, and takes time itself."""
    times = verdict.measured.times
    if times.wait is None or times.compute is None or times.step is None:
        return
    yield (
        f"The waits are those of {_count(times.measured, 'traced step')}, which took "
        f"{milliseconds(times.wait.mean + times.compute.mean)} where all took "
        f"{milliseconds(times.step.mean)}: tracing slows them."
    )


def _count_of(amount: float | None, noun: str) -> str:
    return f"{amount:g} {noun}" if amount == 1 else f"{amount or 0:g} {noun}s"


def _how_to_see_inside(verdict: Verdict) -> Iterator[str]:
    """What to do where the bottleneck is a generator of which nothing inside was measured."""
    worst, profile = verdict.worst, verdict.measured.profile
    if worst is None or worst.stage.kind is not StageKind.GENERATOR or profile.stacks:
        return
    if any(stage.parent == worst.index for stage in profile.stages):
        return
    python = profile.run.versions.get("python")
    if python is None:
        return
    version = tuple(map(int, re.findall(r"\d+", python)[:2]))
    newer = (
        ""
        if version >= _TELLS_GENERATORS
        else "; Python 3.12 and later times inner generators by itself"
    )
    yield (
        f"Of what {worst.stage.name} does, nothing was told apart: mark its parts with "
        f'pipeprof.stage("name") or look at its lines with --stacks{newer}.'
    )


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
