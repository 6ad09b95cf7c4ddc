"""Small recordings and findings in one line, on a clock that starts at `START_NS`.

Everything has a default, so a test names only what it is about. The default loop takes 100 steps of
30 ms, of which 20 ms wait; what is built for another loop says so with ``during``.

    fit = loop(steps=50, wait_ns=8 * MS, compute_ns=2 * MS, epochs=2)
    recorded = profile(loops=(fit,), stages=(stage("decode", cost_ns=8 * MS, during=fit),))
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import chain
from typing import TypeVar

import numpy as np

from pipeprof.analysis.findings.account_findings import HostPlace
from pipeprof.analysis.findings.advice_kinds import Advice, Prediction, Remedy, Verified
from pipeprof.analysis.findings.evidence_kinds import Evidence
from pipeprof.analysis.findings.findings import (
    Bottleneck,
    DeliveryFinding,
    Diagnosis,
    Findings,
    HotLine,
    Interval,
    LimitSource,
    LoopFinding,
    LoopOnFreeInput,
    StageFinding,
    WallShares,
)
from pipeprof.analysis.findings.input_findings import (
    AutotunedValue,
    AutotuneFinding,
    AutotuneWarning,
    EpochStart,
    InputFinding,
    TunedKind,
)
from pipeprof.analysis.findings.input_remedies import FedBy, MoreWorkers
from pipeprof.analysis.findings.machine_findings import (
    CpuFinding,
    HeldUp,
    LaneFinding,
    OverheadFinding,
    ResourceFinding,
)
from pipeprof.analysis.findings.spread import Spread
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.measures.accounting import epoch_accounts, loop_account, run_account
from pipeprof.analysis.measures.loop_groups import group_loops
from pipeprof.capture.collector.account_sums import AccountSums
from pipeprof.capture.collector.growing_series import BinnedSums, HistogramBins
from pipeprof.capture.probes.tfdata.running.stage_identity import is_parallel, operator_family
from pipeprof.capture.recorder.facts import HostCallFacts
from pipeprof.clock import WallAnchor
from pipeprof.recording.account import (
    PART_CODES,
    HostFunction,
    LoopAccount,
    Part,
    PassContext,
)
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.devices import Device, DeviceSteps, TraceWindow
from pipeprof.recording.lane import Cpu, GilSamples, Lane, LaneKind, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import (
    LOOP_CHANNELS,
    UNKNOWN_NS,
    Input,
    InputKind,
    Loop,
    LoopKind,
    Steps,
    WaitSource,
)
from pipeprof.recording.pipeline_edits import AUTOTUNE, AddCache, AddPrefetch, SetCalls
from pipeprof.recording.profile import Profile, no_iterator_ends
from pipeprof.recording.run_info import Overhead, RecordedBy, RunInfo
from pipeprof.recording.series import Binned, Gauge, Histogram, IntArray
from pipeprof.recording.source_code import Location, StackSamples
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind, StageOwner
from pipeprof.recording.tuning_outcome import Description, Trial, TunedTransformation, TuningOutcome

US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000

START_NS = 1_000 * SECOND
ANCHOR = WallAnchor(monotonic_ns=START_NS, unix_ns=1_795_255_333 * SECOND)

PID = 4_000
OF_TF_DATA = (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON)
DECODE = Location("train.py", 41)


# Series


def evenly(totals: Sequence[int], start_ns: int, end_ns: int, bins: int = 1) -> Binned:
    """Sums that are spread evenly over a stretch of time, in ``bins`` bins that end with it.

    Raises:
        ValueError: the stretch cannot be cut into that many bins.
    """
    width_ns, rest_ns = divmod(end_ns - start_ns, bins)
    if rest_ns:
        raise ValueError(f"{end_ns - start_ns} ns do not make {bins} equal bins")
    reached = np.arange(bins + 1)[:, None] * np.array(totals, np.int64) // bins
    return Binned(start_ns=start_ns, width_ns=width_ns, sums=reached[1:] - reached[:-1])


def gauge(*levels: int | None, start_ns: int = START_NS, width_ns: int = SECOND) -> Gauge:
    """A level that was read once in each bin; None where it was not."""
    read = [level is not None for level in levels]
    values = np.array([level or 0 for level in levels], np.int64)
    return Gauge(
        start_ns=start_ns,
        width_ns=width_ns,
        counts=np.array(read, np.int64),
        sums=values,
        zeros=np.array([level == 0 for level in levels], np.int64),
        lows=values,
        highs=values,
        last=next((level for level in reversed(levels) if level is not None), None),
    )


def histogram(durations_ns: Iterable[int]) -> Histogram:
    """A histogram of these durations."""
    bins = HistogramBins()
    bins.add(np.fromiter(durations_ns, np.int64))
    return bins.freeze()


# Loops


def loop(
    kind: LoopKind = LoopKind.FIT,
    *,
    steps: int = 100,
    wait_ns: int | Sequence[int] | None = 20 * MS,
    compute_ns: int | Sequence[int] = 10 * MS,
    epochs: int = 1,
    warmup: int = 5,
    batch_size: int | None = 32,
    start_ns: int = START_NS,
    parent: int | None = None,
    fed_by: Input | None = None,
    waits_by: WaitSource = WaitSource.GAP_TIMES,
    lane: int | None = None,
    input_work_ns: int = 0,
    input_work_in_wait_ns: int = 0,
    pause_ns: int = 0,
    callback_ns: int | Sequence[int] = 0,
    location: Location | None = None,
    model: int | None = None,
) -> Loop:
    """A loop whose steps follow one another, each waiting first, then computing.

    Args:
        kind: what loop it was.
        steps: how many in all, dealt evenly to the epochs.
        wait_ns: wait of every step, or of each; None when nothing measured it.
        compute_ns: the rest of every step, or of each; the whole step where no wait is known.
        epochs: how many passes.
        warmup: steps that do not count.
        batch_size: samples in each step, or None where they could not be counted.
        start_ns: begin of its first step.
        parent: index of the loop it ran inside.
        fed_by: what fed it; a generator unless given.
        waits_by: what measured the waits, if they are known.
        lane: index of the thread it ran on.
        input_work_ns: work of input stages while it ran.
        input_work_in_wait_ns: the part of that while it was waiting.
        pause_ns: time between epochs in which there is no step.
        callback_ns: what callbacks took of every step's computing, or of each's.
        location: the user's line that called it.
        model: number of the model.
    """
    waits = np.full(steps, UNKNOWN_NS) if wait_ns is None else _each(wait_ns, steps)
    durations = np.maximum(waits, 0) + _each(compute_ns, steps)
    epoch = np.arange(steps) * epochs // max(steps, 1)
    ends = start_ns + np.cumsum(durations) + epoch * pause_ns
    begins = ends - durations
    end_ns = int(ends[-1]) if steps else start_ns
    first = np.diff(epoch, prepend=-1) > 0
    measured = waits != UNKNOWN_NS
    counted = ~first & (np.arange(steps) >= warmup)
    called = _each(callback_ns, steps)
    over_time = BinnedSums(len(LOOP_CHANNELS), start_ns)
    over_time.add(
        ends,
        np.stack(
            [
                np.ones(steps, np.int64),
                durations,
                measured.astype(np.int64),
                durations * measured,
                waits * measured,
                called,
            ],
            axis=1,
        ),
    )
    return Loop(
        kind=kind,
        parent=parent,
        input=fed_by or Input(kind=InputKind.GENERATOR, name="batches"),
        epochs=epochs,
        step_count=steps,
        batch_count=steps,
        sample_count=None if batch_size is None else steps * batch_size,
        start_ns=start_ns,
        end_ns=end_ns,
        steady_ns=int(begins[warmup]) if steps > warmup else None,
        warmup_steps=warmup,
        steps=Steps(
            ordinal=np.arange(steps),
            epoch=epoch,
            start_ns=begins,
            end_ns=ends,
            wait_ns=waits,
            batches=np.ones(steps, np.int64),
        ),
        step_times=histogram(durations[counted]),
        wait_times=histogram(waits[counted & measured]),
        callback_times=histogram(called[counted]),
        compute_times=histogram((durations - waits - called)[counted & measured]),
        epoch_start_times=histogram(np.where(measured, waits, durations)[first]),
        over_time=over_time.freeze(),
        waits_by=None if wait_ns is None else waits_by,
        lane=lane,
        input_over_time=evenly(
            (input_work_ns, input_work_in_wait_ns), start_ns, max(end_ns, start_ns + 1)
        ),
        location=location,
        model=model,
        account=_account(begins, ends, epoch, waits, called),
    )


@cache
def default_loop() -> Loop:
    """The loop that a recording has unless given, built once: it is what most tests look at."""
    return loop()


def _account(
    begins: IntArray, ends: IntArray, epoch: IntArray, waits: IntArray, called: IntArray
) -> LoopAccount:
    """One pass from the first step to the last, with callbacks at the end of each step."""
    sums = AccountSums()
    if len(begins):
        sums.begin_pass(int(begins[0]), PassContext.TOP)
        part = PART_CODES[Part.CALLBACKS]
        calls = np.column_stack([ends - called, ends, 0 * ends, epoch, 0 * ends + part])
        sums.add_calls(calls[called > 0])
        first = np.diff(epoch, prepend=-1) > 0
        sums.count_steps(np.column_stack([begins, ends]), np.arange(len(ends)), epoch, waits, first)
        for number in np.unique(epoch).tolist():
            mine = epoch == number
            sums.end_epoch(number, int(begins[mine][0]), int(ends[mine][-1]))
        sums.end_pass(int(begins[0]), int(ends[-1]), PassContext.TOP)
    callback = HostCallFacts(part=Part.CALLBACKS, name="Dashboard.on_train_batch_end")
    return sums.freeze(int(ends[-1]) if len(ends) else 0, [callback], [], [])


def cut_short(taken: Loop, first: int, last: int) -> Loop:
    """A long loop, of which only so many of the first and of the last steps were kept one by one."""
    kept = np.r_[:first, len(taken.steps) - last : len(taken.steps)]
    columns = {each.name: getattr(taken.steps, each.name)[kept] for each in fields(Steps)}
    return replace(taken, steps=Steps(**columns))


def _each(value_ns: int | Sequence[int], steps: int) -> IntArray:
    each: IntArray = np.broadcast_to(np.asarray(value_ns, np.int64), steps).copy()
    return each


# Stages and lanes


def stage(
    name: str = "decode",
    kind: StageKind = StageKind.GENERATOR,
    *,
    cost_ns: int = 20 * MS,
    calls: int | None = None,
    cpu_ratio: float | None = 1.0,
    step_bytes: int = 0,
    during: Loop | None = None,
    location: Location | None = DECODE,
    parent: int | None = None,
    owner: StageOwner = StageOwner.USER,
    family: OperatorFamily | None = None,
    parallel: bool = False,
    remark: str | None = None,
    lanes: Mapping[int, int] | None = None,
    parallelism: int | None = None,
    most_parallelism: int | None = None,
    autotuned: bool | None = None,
    buffer: int | None = None,
    buffer_size: int | None = None,
    workers: int | None = None,
    starts: Sequence[tuple[int, int, int, int, int]] = (),
    buffer_autotuned: bool | None = None,
) -> Stage:
    """A stage that works evenly while a loop runs.

    Args:
        name: its name, which is its function's too where it has a line.
        kind: what it is.
        cost_ns: own work per step of the loop.
        calls: calls in all; one a step unless given.
        cpu_ratio: own CPU time over own wall time; None when no call was timed for that.
        step_bytes: bytes it gave per step.
        during: the loop it works for; the default one unless given.
        location: where its function stands, or None for a stage that is not the user's.
        parent: index of the stage that asks it for data.
        owner: whose it is.
        family: what its operator of tf.data does; of a stage of tf.data by its name unless given.
        parallel: whether its kernel has threads of its own; by its name unless given.
        remark: what a reader should know of it.
        lanes: own work by lane; all of it on lane 0 unless given.
        parallelism: how many calls may run at once, if the framework gives that.
        most_parallelism: the most that it may be.
        autotuned: whether the framework chooses it.
        buffer: elements that always lay ready behind it.
        buffer_size: elements that may.
        workers: processes or threads that the user chose.
        starts: rows of `START_COLUMNS`, its work at the beginnings of epochs.
        buffer_autotuned: whether the framework chooses how many may.
    """
    during = during or default_loop()
    work_ns = cost_ns * during.step_count
    totals = (
        during.step_count if calls is None else calls,
        work_ns,
        0 if cpu_ratio is None else round(work_ns * cpu_ratio),
        0 if cpu_ratio is None else work_ns,
        step_bytes * during.step_count,
        0,
        0,
    )
    return Stage(
        name=name,
        kind=kind,
        function=name if location else None,
        location=location,
        parent=parent,
        owner=owner,
        family=family or (operator_family(name) if kind in OF_TF_DATA else None),
        parallel=parallel or (kind in OF_TF_DATA and is_parallel(name)),
        remark=remark,
        work=evenly(totals, during.start_ns, during.end_ns),
        lanes={0: work_ns} if lanes is None else lanes,
        parallelism=_level(parallelism, during),
        most_parallelism=most_parallelism,
        autotuned=autotuned,
        buffer=_level(buffer, during),
        buffer_size=_level(buffer_size, during),
        workers=workers,
        starts=np.array(starts, np.int64).reshape(-1, 5),
        buffer_autotuned=buffer_autotuned,
    )


def _level(level: int | None, during: Loop) -> Gauge | None:
    width_ns = during.end_ns - during.start_ns
    return None if level is None else gauge(level, start_ns=during.start_ns, width_ns=width_ns)


def lane(
    name: str = "MainThread",
    role: Role = Role.MAIN,
    *,
    pid: int = PID,
    tid: int | None = PID,
    busy_ns: int = 0,
    cpu_ns: int | None = None,
    queued_ns: int = 0,
    gil: GilSamples | None = None,
    kind: LaneKind = LaneKind.THREAD,
    during: Loop | None = None,
) -> Lane:
    """A thread, worker or device that is evenly busy while a loop runs."""
    during = during or default_loop()
    start_ns, end_ns = during.start_ns, during.end_ns
    return Lane(
        name=name,
        role=role,
        pid=pid,
        tid=tid,
        busy=evenly((busy_ns,), start_ns, end_ns),
        cpu=None if cpu_ns is None else evenly((cpu_ns, queued_ns), start_ns, end_ns),
        first_ns=start_ns,
        last_ns=end_ns,
        gil=gil,
        kind=kind,
    )


# Spans


@dataclass(frozen=True, slots=True)
class Span:
    """One interval, as `Spans` holds them in columns."""

    kind: SpanKind
    subject: int
    start_ns: int
    end_ns: int
    lane: int = 0
    inner_ns: int = 0


def spans(*singles: Span) -> Spans:
    """Intervals as a recording keeps them: in the order of their ends."""
    ordered = sorted(singles, key=lambda span: span.end_ns)
    return Spans(
        kind=np.array([span.kind for span in ordered], np.int64),
        subject=np.array([span.subject for span in ordered], np.int64),
        lane=np.array([span.lane for span in ordered], np.int64),
        start_ns=np.array([span.start_ns for span in ordered], np.int64),
        end_ns=np.array([span.end_ns for span in ordered], np.int64),
        inner_ns=np.array([span.inner_ns for span in ordered], np.int64),
    )


def step_spans(taken: Loop, number: int = 0, lane: int = 0) -> tuple[Span, ...]:
    """The steps of a loop and their waits as intervals; ``number`` is its place in the profile."""
    columns = (taken.steps.start_ns, taken.steps.end_ns, taken.steps.wait_ns)
    starts, ends, waits = (column.tolist() for column in columns)
    steps = [
        Span(SpanKind.STEP, number, start, end, lane)
        for start, end in zip(starts, ends, strict=True)
    ]
    waited = [
        Span(SpanKind.WAIT, -1, start, start + wait, lane)
        for start, wait in zip(starts, waits, strict=True)
        if wait != UNKNOWN_NS
    ]
    return tuple(chain(steps, waited))


# Devices


def device(
    name: str = "GPU 0",
    *,
    kind: str = "gpu",
    model: str | None = None,
    steps: int = 10,
    step_ns: int = 30 * MS,
    compute_ns: int = 8 * MS,
    copy_in_ns: int = 2 * MS,
    idle_waiting_ns: int = 15 * MS,
    start_ns: int = START_NS,
    levels: Mapping[DeviceLevel, Gauge] | None = None,
) -> Device:
    """A device with traced steps that are all alike, one after the other; none of them for 0 steps.

    It is busy for as long as it computes or is copied to, one after the other.
    """

    def each(value_ns: int) -> IntArray:
        return np.full(steps, value_ns, np.int64)

    borders = start_ns + step_ns * np.arange(steps + 1)
    traced = DeviceSteps(
        start_ns=borders[:-1],
        end_ns=borders[1:],
        compute_ns=each(compute_ns),
        copy_in_ns=each(copy_in_ns),
        busy_ns=each(compute_ns + copy_in_ns),
        idle_waiting_ns=each(idle_waiting_ns),
    )
    return Device(
        kind=kind, name=name, model=model, steps=traced if steps else None, levels=levels or {}
    )


def trace_window(
    during: Loop, first: int, *waits_ns: int, run: str = "run-1_window1", loop: int = 0
) -> TraceWindow:
    """A window over steps of a loop from ``first`` on, which saw them wait for so long."""
    ordinal = np.arange(first, first + len(waits_ns))
    return TraceWindow(
        run=run,
        loop=loop,
        start_ns=int(during.steps.start_ns[first]),
        end_ns=int(during.steps.end_ns[ordinal[-1]]),
        first_step=first,
        step_count=len(ordinal),
        ordinal=ordinal,
        wait_ns=np.array(waits_ns, np.int64),
    )


# Recordings


def run_info(
    name: str = "run-1",
    *,
    hosts: tuple[str, ...] = ("host-a",),
    end_ns: int = START_NS + 4 * SECOND,
    versions: Mapping[str, str] | None = None,
    backend: str | None = "tensorflow",
    argv: tuple[str, ...] = ("train.py",),
    exit_code: int | None = 0,
    error: str | None = None,
    warnings: tuple[str, ...] = (),
    complete: bool = True,
    ended_by: str | None = None,
    recorded_by: RecordedBy = RecordedBy.PYTHON,
    jax_computes: bool = True,
) -> RunInfo:
    """A run that began at `START_NS`, 2026-11-21 10:02:13 UTC, and lasted 4 s unless given."""
    return RunInfo(
        name=name,
        hosts=hosts,
        anchor=ANCHOR,
        start_ns=START_NS,
        end_ns=end_ns,
        versions={"tensorflow": "2.21.0", "keras": "3.15.1"} if versions is None else versions,
        backend=backend,
        argv=argv,
        exit_code=exit_code,
        error=error,
        warnings=warnings,
        complete=complete,
        ended_by=ended_by,
        recorded_by=recorded_by,
        jax_computes=jax_computes,
    )


def signature(
    *shapes: tuple[int, ...], dtype: str = "float32", batches: int = 100, size_bytes: int = 12_800
) -> Signature:
    """Batches of arrays of one type; 32 rows of 100 unless given."""
    chosen = shapes or ((32, 100),)
    return Signature(
        dtypes=(dtype,) * len(chosen),
        shapes=chosen,
        batches=batches,
        samples=chosen[0][0],
        size_bytes=size_bytes,
    )


def profile(
    *,
    loops: tuple[Loop, ...] | None = None,
    stages: tuple[Stage, ...] = (),
    lanes: tuple[Lane, ...] | None = None,
    spans: Spans | None = None,
    cpu: Cpu | None = None,
    deliveries: tuple[Signature, ...] = (),
    gauges: Mapping[str, Gauge] | None = None,
    run: RunInfo | None = None,
    overhead: Overhead | None = None,
    stacks: tuple[StackSamples, ...] = (),
    devices: tuple[Device, ...] = (),
    trace_windows: tuple[TraceWindow, ...] = (),
    host_functions: tuple[HostFunction, ...] = (),
    iterator_ends: IntArray | None = None,
) -> Profile:
    """A recording of the default loop on one lane, unless given; it lasts as long as its loops."""
    chosen = (default_loop(),) if loops is None else loops
    end_ns = max((each.end_ns for each in chosen), default=START_NS) + SECOND
    return Profile(
        run=run or run_info(end_ns=end_ns),
        loops=chosen,
        stages=stages,
        lanes=(lane(),) if lanes is None else lanes,
        spans=_NO_SPANS if spans is None else spans,
        cpu=cpu or Cpu(cores=2, limit=None, used=None),
        deliveries=deliveries,
        gauges=gauges or {},
        overhead=overhead or Overhead(probe_ns=200.0, events=1_000, dropped=0, collector_ns=MS),
        stacks=stacks,
        devices=devices,
        trace_windows=trace_windows,
        host_functions=host_functions,
        iterator_ends=no_iterator_ends() if iterator_ends is None else iterator_ends,
    )


_NO_SPANS = spans()


# Findings


Kind = TypeVar("Kind")


def those(kind: type[Kind], found: Iterable[object]) -> list[Kind]:
    """Those of some pieces of evidence, remedies or warnings that are of a kind."""
    return [each for each in found if isinstance(each, kind)]


def spread(median: float, mean: float | None = None, p95: float | None = None) -> Spread:
    """A quantity that is the same in all steps, unless given."""
    return Spread(
        median=median,
        mean=median if mean is None else mean,
        p95=median if p95 is None else p95,
    )


MORE_WORKERS = MoreWorkers(
    fed_by=FedBy(kind=InputKind.SEQUENCE, name="Photos"), stage="decode", workers=4, processes=True
)


def advice(
    remedy: Remedy = MORE_WORKERS,
    *,
    step_ms: float | None = 12.0,
    speedup: float | None = 2.5,
    unexplained_ms: float = 0.0,
    verified: Verified | None = None,
) -> Advice:
    """Something to do, with what it is predicted to give."""
    return Advice(
        remedy=remedy,
        prediction=None
        if step_ms is None or speedup is None
        else Prediction(
            step_ms=step_ms,
            low_ms=step_ms,
            high_ms=step_ms,
            speedup=speedup,
            unexplained_ms=unexplained_ms,
        ),
        verified=verified,
    )


def bottleneck(
    stage: str = "decode",
    kind: StageKind = StageKind.GENERATOR,
    *,
    location: Location | None = DECODE,
    cost_ms: float = 20.0,
    share: float = 0.96,
    index: int = 0,
) -> Bottleneck:
    """The stage that holds a loop up."""
    return Bottleneck(
        stage=stage,
        kind=kind.value,
        location=location,
        cost_ms=cost_ms,
        share=share,
        index=index,
    )


def diagnosis(
    bound: Bound = Bound.INPUT,
    *,
    wait_ms: float | None = 20.0,
    compute_ms: float = 10.0,
    callback_ms: float = 0.0,
    host_ratio: float = 0.0,
    host: tuple[HostPlace, ...] = (),
    held_up: HeldUp | None = None,
    step_ms: Spread | None = None,
    confidence: float = 0.95,
    samples_per_s: float | None = 1_066.7,
    slowest: Bottleneck | None = None,
    cause: Cause = Cause.NONE,
    evidence: tuple[Evidence, ...] = (),
    measured_by: WaitSource = WaitSource.GAP_TIMES,
    counted_steps: int = 95,
    advice: tuple[Advice, ...] = (),
) -> Diagnosis:
    """What is said of a loop whose steps are all alike.

    Args:
        bound: the verdict, which is not derived from the times.
        wait_ms: wait of each step; None when nothing measured it.
        compute_ms: the rest of each step.
        callback_ms: what callbacks took of each step.
        host_ratio: the host's part of the wall time; all else is waiting and computing as in the steps.
        host: what that went to.
        held_up: the part of the steps in which the input's work held up their computing.
        step_ms: durations of the steps, where they are not simply the sum of both.
        confidence: 0 to 1.
        samples_per_s: samples a second.
        slowest: the bottleneck.
        cause: why it is one.
        evidence: what speaks for it or weakens it.
        measured_by: what measured the waits, if they are known.
        counted_steps: steps that count.
        advice: what to do.
    """
    total_ms = (wait_ms or 0.0) + compute_ms + callback_ms
    wall_ms = 100 * total_ms
    ideal_ms = 100 * (compute_ms + callback_ms)
    wall_wait = None if wait_ms is None else wait_ms / total_ms
    measured = wait_ms is not None
    return Diagnosis(
        bound=bound,
        confidence=confidence,
        wait_ratio=wall_wait,
        whole_wait_ratio=wall_wait,
        wall=WallShares(
            wait_ratio=wall_wait,
            wait_interval=None if wall_wait is None else Interval(low=wall_wait, high=wall_wait),
            host_ratio=host_ratio,
            host_interval=Interval(low=host_ratio, high=host_ratio),
        ),
        whole_step_ms=total_ms,
        step_ms=step_ms or spread(total_ms),
        wait_ms=None if wait_ms is None else spread(wait_ms),
        mean_wait_ms=wait_ms,
        callback_ms=spread(callback_ms),
        compute_ms=spread(compute_ms) if measured else None,
        samples_per_s=samples_per_s,
        bottleneck=slowest,
        cause=cause,
        held_up=held_up or HeldUp(gil_ratio=None, cpu_queue_ratio=None),
        host=host,
        ideal_step_ms=compute_ms + callback_ms if measured else None,
        ideal_step_interval=Interval(
            low=compute_ms + callback_ms - 1.0, high=compute_ms + callback_ms + 1.0
        )
        if measured
        else None,
        free_input=LoopOnFreeInput(
            wall_s=ideal_ms / 1e3,
            wall_interval=Interval(low=ideal_ms / 1e3, high=ideal_ms / 1e3),
            speedup=wall_ms / ideal_ms,
            speedup_interval=Interval(low=wall_ms / ideal_ms, high=wall_ms / ideal_ms),
            known=LimitSource.ESTIMATED,
        )
        if measured and ideal_ms
        else None,
        evidence=evidence,
        measured_by=measured_by if measured else None,
        counted_steps=counted_steps,
        advice=advice,
    )


def input_finding(
    kind: InputKind | None = InputKind.GENERATOR,
    *,
    on_main_thread: bool | None = False,
    overlap_ratio: float | None = 0.26,
    overlap_estimated: bool = False,
    workers: int | None = None,
    multiprocessing: bool | None = None,
    threads: tuple[str, ...] = ("tf.data thread",),
    queue_size: int | None = None,
    queue_mean: float | None = None,
    queue_empty_ratio: float | None = None,
    head_of_line_ratio: float | None = None,
    epoch_start_ms: float | None = None,
    epoch_starts: tuple[EpochStart, ...] = (),
) -> InputFinding:
    """How an input ran: a generator on one TensorFlow thread unless given."""
    return InputFinding(
        kind=kind.value if kind else None,
        on_main_thread=on_main_thread,
        overlap_ratio=overlap_ratio,
        overlap_estimated=overlap_estimated,
        workers=workers,
        multiprocessing=multiprocessing,
        threads=threads,
        queue_size=queue_size,
        queue_mean=queue_mean,
        queue_empty_ratio=queue_empty_ratio,
        head_of_line_ratio=head_of_line_ratio,
        epoch_start_ms=epoch_start_ms,
        epoch_starts=epoch_starts,
    )


def loop_finding(
    taken: Loop | None = None, said: Diagnosis | None = None, fed: InputFinding | None = None
) -> LoopFinding:
    """A loop with what is said of it; in `findings` it gets its place."""
    chosen = taken or default_loop()
    return LoopFinding(
        loop=chosen,
        index=0,
        account=loop_account(profile(loops=(replace(chosen, parent=None),)), 0),
        epochs=epoch_accounts(chosen),
        diagnosis=said or diagnosis(),
        input=fed or input_finding(),
    )


def stage_finding(
    found: Stage | None = None,
    *,
    index: int = 0,
    cost_ms: float = 20.0,
    calls: int = 95,
    size_bytes: int | None = None,
    parallelism: float | None = None,
    most_parallelism: int | None = None,
    autotuned: bool | None = None,
    buffer_size: int | None = None,
    buffer_mean: float | None = None,
    cpu_ratio: float | None = None,
    lanes: tuple[str, ...] = ("tf.data thread",),
    hot_lines: tuple[HotLine, ...] = (),
) -> StageFinding:
    """What a stage costs; every call gave one element."""
    return StageFinding(
        stage=found or stage(),
        index=index,
        cost_ms=cost_ms,
        calls=calls,
        elements=calls,
        size_bytes=size_bytes,
        taken_bytes=None,
        parallelism=parallelism,
        most_parallelism=most_parallelism,
        autotuned=autotuned,
        buffer_size=buffer_size,
        buffer_mean=buffer_mean,
        cpu_ratio=cpu_ratio,
        lanes=lanes,
        capacity_per_s=(parallelism or 1.0) * 1_000 / cost_ms if cost_ms else None,
        hot_lines=hot_lines,
    )


def lane_finding(
    name: str = "MainThread",
    role: Role = Role.MAIN,
    *,
    pid: int = PID,
    tid: int | None = PID,
    busy_ratio: float | None = None,
    cpu_ratio: float | None = None,
    stages: tuple[str, ...] = (),
) -> LaneFinding:
    """How busy a lane was."""
    return LaneFinding(
        name=name,
        role=role,
        pid=pid,
        tid=tid,
        busy_ratio=busy_ratio,
        cpu_ratio=cpu_ratio,
        gil_ratio=None,
        stages=stages,
    )


NO_RESOURCES = ResourceFinding(
    memory_bytes=None,
    most_memory_bytes=None,
    disk_read_bytes_per_s=None,
    disk_written_bytes_per_s=None,
    received_bytes_per_s=None,
    sent_bytes_per_s=None,
)


def findings(
    *,
    main: LoopFinding | None = None,
    others: tuple[LoopFinding, ...] = (),
    stages: tuple[StageFinding, ...] = (),
    lanes: tuple[LaneFinding, ...] = (),
    cpu: CpuFinding | None = None,
    resources: ResourceFinding = NO_RESOURCES,
    delivery: DeliveryFinding | None = None,
    overhead: OverheadFinding | None = None,
    run: RunInfo | None = None,
    autotune: AutotuneFinding | None = None,
) -> Findings:
    """What is said of a run whose main loop is ``main``; without it, no loop trained."""
    given = (*(() if main is None else (main,)), *others)
    loops = tuple(replace(each, index=index) for index, each in enumerate(given))
    chosen = None if main is None else loops[0]
    recorded = profile(
        loops=tuple(each.loop for each in loops),
        stages=tuple(each.stage for each in stages),
        run=run,
    )
    return Findings(
        profile=recorded,
        account=run_account(recorded, [each.account for each in loops]),
        loops=loops,
        groups=group_loops(loops, chosen),
        main=chosen,
        stages=stages,
        lanes=lanes,
        cpu=cpu or CpuFinding(cores=2, limit=None, process_ratio=None, saturated=None),
        resources=resources,
        delivery=delivery,
        overhead=overhead
        or OverheadFinding(probe_ns=200.0, events=1_000, events_dropped=0, ratio=0.003),
        autotune=autotune,
    )


def autotune_finding(
    *warnings: AutotuneWarning, settled_after_steps: int | None = 40, epochs: int = 1
) -> AutotuneFinding:
    """AUTOTUNE that let a stage make 1 call at once, and 4 from step 40 on."""
    return AutotuneFinding(
        enabled=True,
        cpu_budget=8,
        ram_budget_bytes=4_000,
        most_buffered_bytes=2_000,
        tuned=(
            AutotunedValue(
                stage=stage(),
                kind=TunedKind.PARALLELISM,
                value=4,
                least=1,
                most=4,
                limit=16,
                settled_after_steps=settled_after_steps,
                series=((0, 1), (40, 4)),
            ),
        ),
        epochs=epochs,
        warnings=warnings,
    )


# Tuning


def tuning_outcome() -> TuningOutcome:
    """A pipeline whose map got parallel calls (40 to 20 ms) and then a cache (20 to 5 ms)."""
    parallel, cache = SetCalls(node="map", calls=AUTOTUNE), AddCache(node="map")
    return TuningOutcome(
        described=Description(
            kind=InputKind.TF_DATA,
            name="_BatchDataset",
            has_model=True,
            places=(
                TunedTransformation(node="range", op="RangeDataset", inputs=(), calls=None),
                TunedTransformation(
                    node="map",
                    op="MapDataset",
                    inputs=("range",),
                    calls=None,
                    function="decode",
                    file="train.py",
                    line=12,
                ),
            ),
            autotunes=True,
            cores=2,
            free_bytes=1 << 30,
        ),
        today_ns=40.0 * MS,
        ceiling_ns=4.0 * MS,
        last_ceiling_ns=None,
        best=(parallel, cache),
        best_ns=5.0 * MS,
        trials=(
            Trial(
                change=(parallel,),
                against_ns=40.0 * MS,
                step_ns=20.0 * MS,
                speedup=2.0,
                predicted_ns=21.0 * MS,
                low=1.8,
                high=4.2,
                kept=True,
            ),
            Trial(
                change=(cache,),
                against_ns=20.0 * MS,
                step_ns=5.0 * MS,
                speedup=4.0,
                low=1.8,
                high=4.2,
                kept=True,
            ),
            Trial(change=(AddPrefetch(),), refused="it raised ValueError: no"),
        ),
        stopped=False,
    )
