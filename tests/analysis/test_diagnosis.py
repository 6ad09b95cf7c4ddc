"""Verdicts on planted cases, each beside its opposite."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.caveat_kinds import (
    ForkedWorkers,
    OpaqueGenerator,
    SharedCores,
    UnseenInput,
    WaitsOfSomeSteps,
)
from pipeprof.analysis.findings.evidence_kinds import GilBesideTraining, NoStepTime
from pipeprof.analysis.findings.findings import Diagnosis, Interval, LimitSource
from pipeprof.analysis.findings.references import LaneReference, StageReference
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    BottleneckAtWork,
    EpochStartWait,
    NoStageSeen,
    OneBatchAtATime,
    RestartCost,
    Traffic,
    WhereItRan,
    WorkersAndTransport,
)
from pipeprof.analysis.findings.wall_evidence_kinds import EpochsApart, FewSteps
from pipeprof.analysis.findings.work_reasons import (
    BlockingWork,
    CallKind,
    ComputingWork,
    CoreFreeWork,
    GilWork,
    OutOfOrderWork,
    QueuedWork,
    SaturatedWork,
    SerialWork,
    ThrottledWork,
    TransportWork,
    WorkReason,
)
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.lane import Cpu, GilSamples, Lane, LaneKind, Role
from pipeprof.recording.level_names import Level
from pipeprof.recording.loop import Input, InputKind, Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import Overhead
from pipeprof.recording.series import Binned
from pipeprof.recording.source_code import CodeLine, Location, StackSamples
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import Stage, StageKind
from tests.builders import (
    DECODE,
    MS,
    PID,
    SECOND,
    START_NS,
    Span,
    evenly,
    gauge,
    lane,
    loop,
    profile,
    run_info,
    spans,
    stage,
    those,
)

SEQUENCE = Input(kind=InputKind.SEQUENCE, name="Images", workers=4, multiprocessing=True)
THREADS = dataclasses.replace(SEQUENCE, multiprocessing=False)
TF_DATA = Input(kind=InputKind.TF_DATA, name="PrefetchDataset")


def cpu_in_use(ratio: float, during: Loop, cores: int = 4) -> Cpu:
    window_ns = during.end_ns - during.start_ns
    used = evenly((round(window_ns * cores * ratio),), during.start_ns, during.end_ns)
    return Cpu(cores=cores, limit=None, used=used)


def workers(count: int, during: Loop, *, processes: bool = True) -> tuple[Lane, ...]:
    """The main thread, then worker lanes 1 to ``count``."""
    main = lane(during=during)
    return (
        main,
        *(
            lane(
                f"worker {number}",
                Role.WORKER,
                pid=main.pid + number * processes,
                tid=5_000 + number,
                during=during,
            )
            for number in range(1, count + 1)
        ),
    )


def spread_over(lanes: Mapping[int, int] | range, work_ns: int = SECOND) -> dict[int, int]:
    return dict.fromkeys(lanes, work_ns)


def verdict(recorded: Profile) -> Diagnosis:
    assert recorded.check() == ()
    main = analyse(recorded).main
    assert main is not None
    return main.diagnosis


def planted(
    *stages: Stage,
    during: Loop,
    lanes: tuple[Lane, ...] | None = None,
    cpu: Cpu | None = None,
    cores: int = 4,
) -> Diagnosis:
    return verdict(
        profile(
            loops=(during,),
            stages=stages,
            lanes=lanes or (lane(during=during),),
            cpu=cpu or Cpu(cores=cores, limit=None, used=None),
        )
    )


def at_work(said: Diagnosis) -> BottleneckAtWork:
    [found] = those(BottleneckAtWork, said.evidence)
    return found


# Bound


@pytest.mark.parametrize(
    ("wait_ns", "bound"),
    [
        (80 * MS, Bound.INPUT),
        (20 * MS, Bound.INPUT),
        (19 * MS, Bound.BALANCED),
        (5 * MS, Bound.BALANCED),
        (4 * MS, Bound.COMPUTE),
        (0, Bound.COMPUTE),
        (None, Bound.UNKNOWN),
    ],
)
def test_bound_follows_the_borders_of_xprof(wait_ns: int | None, bound: Bound) -> None:
    said = verdict(profile(loops=(loop(wait_ns=wait_ns, compute_ns=100 * MS - (wait_ns or 0)),)))

    assert said.bound is bound


def test_times_are_those_of_the_steps_after_warmup_without_epoch_starts() -> None:
    waits = [500 * MS] * 5 + [20 * MS] * 45 + [400 * MS] + [20 * MS] * 49
    said = verdict(profile(loops=(loop(wait_ns=waits, epochs=2),)))

    assert said.counted_steps == 94
    assert said.wait_ratio == pytest.approx(2 / 3)
    assert said.step_ms is not None
    assert said.step_ms.mean == said.step_ms.median == said.step_ms.p95 == 30
    assert said.ideal_step_ms == 10
    assert said.free_input is not None
    assert (said.free_input.wall_s, said.free_input.speedup) == pytest.approx((1.0, 5.78))
    assert said.samples_per_s == pytest.approx(3_200 / 5.78)  # over the wall time


def test_steps_whose_wait_is_unknown_count_for_the_step_alone() -> None:
    waits = [20 * MS, -1] * 50
    durations = [30 * MS] * 100
    computes = [total - max(wait, 0) for total, wait in zip(durations, waits, strict=True)]
    said = verdict(profile(loops=(loop(wait_ns=waits, compute_ns=computes),)))

    assert said.counted_steps == 95
    assert said.wait_ratio == pytest.approx(2 / 3)
    assert said.step_ms is not None
    assert said.step_ms.mean == 30
    assert said.confidence < 0.6
    assert WaitsOfSomeSteps(measured=47, counted=95) in said.evidence


@pytest.mark.parametrize("kept", [100, 20])
def test_a_step_is_the_sum_of_wait_and_compute_where_most_waits_are_known(kept: int) -> None:
    """The last step of an epoch has no wait of its own, and is shorter."""
    epoch = [20 * MS] * 9 + [-1]
    computes = [10 * MS] * 9 + [5 * MS]
    whole = loop(wait_ns=epoch * 10, compute_ns=computes * 10)
    columns = dataclasses.fields(whole.steps)
    some = {field.name: getattr(whole.steps, field.name)[:kept] for field in columns}
    short = dataclasses.replace(whole, steps=dataclasses.replace(whole.steps, **some))
    said = verdict(profile(loops=(short,)))

    assert said.step_ms is not None
    assert said.wait_ms is not None
    assert said.compute_ms is not None
    assert said.step_ms.mean == pytest.approx(30)
    assert said.step_ms.mean == pytest.approx(said.wait_ms.mean + said.compute_ms.mean)


def test_of_few_steps_what_was_measured_is_reported_with_its_interval() -> None:
    few = loop(steps=4, wait_ns=[10 * MS, 10 * MS, 50 * MS, 10 * MS])
    said = verdict(profile(loops=(few,), stages=(stage(during=few),)))

    assert said.bound is Bound.INPUT
    [found] = those(FewSteps, said.evidence)
    assert found.steps == 4
    assert found.low < 80 / 120 < found.high
    assert said.wall is not None
    assert said.wall.wait_interval == Interval(low=found.low, high=found.high)


def test_of_many_steps_the_number_is_no_evidence() -> None:
    assert those(FewSteps, verdict(profile()).evidence) == []


def test_without_steps_nothing_was_measured() -> None:
    said = verdict(profile(loops=(loop(steps=0),)))

    assert (said.bound, said.confidence) == (Bound.UNKNOWN, 0)
    assert said.evidence == (NoStepTime(finished=False),)


def test_a_long_loop_is_read_from_its_histograms() -> None:
    whole = loop(steps=1_000, epochs=4)
    kept = dataclasses.replace(
        whole.steps,
        **{
            field.name: getattr(whole.steps, field.name)[:100]
            for field in dataclasses.fields(whole.steps)
        },
    )
    said, exact = (
        verdict(profile(loops=(each,))) for each in (dataclasses.replace(whole, steps=kept), whole)
    )

    assert said.counted_steps == exact.counted_steps == 992
    assert said.wait_ratio == exact.wait_ratio
    assert said.step_ms is not None
    assert said.step_ms.median == pytest.approx(30, rel=0.01)


def test_confidence_falls_with_lost_events_and_where_steps_drawn_again_may_cross_a_border() -> None:
    sure = verdict(profile())
    lossy = verdict(
        profile(overhead=Overhead(probe_ns=200.0, events=100, dropped=100, collector_ns=0))
    )
    even = verdict(profile(loops=(loop(wait_ns=21 * MS, compute_ns=79 * MS),)))
    waits = [210 * MS if step % 20 < 2 else 0 for step in range(100)]
    uneven = verdict(profile(loops=(loop(wait_ns=waits, compute_ns=79 * MS),)))

    assert sure.confidence == 1
    assert lossy.confidence == pytest.approx(0.5)
    assert even.confidence == 1
    assert uneven.bound is even.bound is Bound.INPUT
    assert 0.3 < uneven.confidence < 0.9


# Bottleneck


def test_the_dearest_of_stages_on_one_thread_is_the_bottleneck() -> None:
    said = planted(
        stage("read", cost_ns=2 * MS, parent=1), stage("decode", cost_ns=18 * MS), during=loop()
    )

    assert said.bottleneck is not None
    assert (said.bottleneck.stage, said.bottleneck.index) == ("decode", 1)
    assert said.bottleneck.share == pytest.approx(0.9)
    assert str(said.bottleneck.location) == "train.py:41"


def test_a_dear_stage_in_many_calls_has_more_capacity_than_a_cheap_serial_one() -> None:
    fit = loop(fed_by=TF_DATA)
    dear = stage("decode", StageKind.TF_DATA, cost_ns=60 * MS, parallelism=8, lanes={})
    cheap = stage("batch", StageKind.TF_DATA, cost_ns=28 * MS, lanes={}, location=None)

    said = planted(dear, cheap, during=fit, cores=8)
    opposite = planted(dataclasses.replace(dear, parallelism=None), cheap, during=fit, cores=8)

    assert said.bottleneck is not None
    assert said.bottleneck.stage == "batch"
    assert opposite.bottleneck is not None
    assert opposite.bottleneck.stage == "decode"


def test_stages_that_share_a_thread_are_slow_together() -> None:
    lanes = (lane(), lane("reader", Role.INPUT, tid=7), lane("decoder", Role.INPUT, tid=8))
    said = planted(
        stage("alone", cost_ns=24 * MS, lanes={2: SECOND}),
        stage("first", cost_ns=13 * MS, lanes={1: SECOND}),
        stage("second", cost_ns=15 * MS, lanes={1: SECOND}),
        during=loop(),
        lanes=lanes,
    )

    assert said.bottleneck is not None
    assert said.bottleneck.stage == "second"


def test_a_stage_of_a_sequence_runs_in_all_its_workers() -> None:
    fit = loop(fed_by=SEQUENCE)
    inner = stage("augment", cost_ns=60 * MS, lanes=spread_over(range(1, 5)))
    outer = stage("collate", cost_ns=25 * MS)
    said = planted(inner, outer, during=fit, lanes=workers(4, fit))

    assert said.bottleneck is not None
    assert said.bottleneck.stage == "collate"


@pytest.mark.parametrize("told_last", [1, 4])
def test_a_sequence_has_the_workers_of_the_loop_it_feeds(told_last: int) -> None:
    """Validation may feed on the same class with another number of workers."""
    fit = loop(fed_by=THREADS)
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=60 * MS,
        lanes=spread_over(range(1, 5)),
        workers=told_last,
    )
    said = planted(load, during=fit, lanes=workers(4, fit, processes=False))
    assert (at_work(said).calls, at_work(said).at_once) == (CallKind.WORKER, 4)


def test_what_a_sequence_calls_runs_in_no_more_workers_than_it_has() -> None:
    """A pool that is made anew may seem to overlap with the one before."""
    fit = loop(fed_by=SEQUENCE)
    load = stage("load", StageKind.SEQUENCE, cost_ns=5 * MS, lanes=spread_over(range(1, 6)))
    decode = stage("decode", cost_ns=80 * MS, lanes=spread_over(range(1, 6)), parent=0)
    said = planted(load, decode, during=fit, lanes=workers(5, fit))
    assert said.bottleneck is not None
    assert said.bottleneck.stage == "decode"
    assert (at_work(said).calls, at_work(said).at_once) == (CallKind.WORKER_PROCESS, 4)


def test_no_bottleneck_when_compute_bound() -> None:
    said = planted(stage(cost_ns=5 * MS), during=loop(wait_ns=0, compute_ns=30 * MS))

    assert (said.bound, said.bottleneck, said.cause) == (Bound.COMPUTE, None, Cause.NONE)
    assert [each.action for each in said.advice] == ["leave_input"]


def test_a_bottleneck_is_named_when_balanced() -> None:
    said = planted(stage(), during=loop(wait_ns=10 * MS, compute_ns=90 * MS))

    assert said.bound is Bound.BALANCED
    assert said.bottleneck is not None


def test_without_stages_the_report_says_that_none_was_seen() -> None:
    said = planted(during=loop())

    assert (said.bound, said.bottleneck, said.cause) == (Bound.INPUT, None, Cause.NONE)
    assert said.evidence[0] == NoStageSeen()


def test_a_validation_dataset_is_no_part_of_the_fit_around_it() -> None:
    fit = loop(steps=200)
    validation = loop(
        LoopKind.EVALUATE,
        steps=50,
        wait_ns=8 * MS,
        compute_ns=2 * MS,
        parent=0,
        start_ns=fit.start_ns + 2 * SECOND,
    )
    recorded = profile(
        loops=(fit, validation),
        stages=(
            stage("train_decode", cost_ns=18 * MS, during=fit),
            stage("valid_decode", cost_ns=80 * MS, during=validation),
        ),
    )
    found = analyse(recorded)

    assert [each.stage.name for each in found.stages] == ["train_decode"]
    assert [
        each.diagnosis.bottleneck.stage for each in found.loops if each.diagnosis.bottleneck
    ] == [
        "train_decode",
        "valid_decode",
    ]


# Cause


def test_a_generator_that_computes_is_serial() -> None:
    said = planted(stage(cpu_ratio=0.97), during=loop())

    assert said.cause is Cause.SERIAL


def test_a_generator_that_waits_is_blocking() -> None:
    said = planted(stage(cpu_ratio=0.04), during=loop())

    assert said.cause is Cause.BLOCKING
    assert at_work(said).reason == BlockingWork(cpu_ratio=pytest.approx(0.04), upper_bound=False)


def test_a_thread_that_queues_for_other_work_does_not_make_a_sleeping_stage_queue() -> None:
    fit = loop(steps=300, wait_ns=20 * MS, compute_ns=10 * MS, lane=0, fed_by=THREADS)
    main = lane(busy_ns=60 * MS, cpu_ns=SECOND, queued_ns=7 * SECOND, during=fit)
    worker = lane(
        "Thread (worker)",
        Role.WORKER,
        tid=9,
        busy_ns=8 * SECOND,
        cpu_ns=80 * MS,
        queued_ns=90 * MS,
        during=fit,
    )
    # Keras takes the first batches on the main thread.
    sleeps = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=27 * MS,
        cpu_ratio=0.01,
        lanes={0: 60 * MS, 1: 8 * SECOND},
        during=fit,
    )

    assert planted(sleeps, during=fit, lanes=(main, worker)).cause is Cause.BLOCKING


def test_a_worker_that_queues_while_it_starts_does_not_make_a_sleeping_stage_queue() -> None:
    fit = loop(steps=60, wait_ns=20 * MS, compute_ns=10 * MS, fed_by=THREADS)
    main = lane(during=fit)
    starting = lane(
        "worker 1",
        Role.WORKER,
        tid=9,
        busy_ns=300 * MS,
        cpu_ns=700 * MS,  # imports what it needs
        queued_ns=900 * MS,
        during=fit,
    )
    sleeps = stage(
        "load", StageKind.SEQUENCE, cost_ns=27 * MS, cpu_ratio=0.01, lanes={1: SECOND}, during=fit
    )

    assert planted(sleeps, during=fit, lanes=(main, starting)).cause is Cause.BLOCKING


def test_what_waits_while_no_core_is_free_is_to_wait_less() -> None:
    fit = loop(fed_by=THREADS)
    said = planted(
        stage("load", StageKind.SEQUENCE, cost_ns=20 * MS, cpu_ratio=0.2, during=fit),
        during=fit,
        cpu=cpu_in_use(0.97, fit),
    )

    assert said.cause is Cause.BLOCKING
    actions = {advice.action for advice in said.advice}
    assert "wait_less" in actions
    assert "workers" not in actions


@pytest.mark.parametrize(
    ("queued_ns", "cause"),
    [
        (0, Cause.BLOCKING),  # half of the time nobody knows where: asleep
        (900 * MS, Cause.CPU_SATURATED),  # half of the time in the queue for a CPU: crowded out
    ],
)
def test_waiting_for_a_cpu_is_not_waiting_for_files(queued_ns: int, cause: Cause) -> None:
    fit = loop()
    busy_ns = 20 * MS * fit.step_count
    thread = lane(busy_ns=busy_ns, cpu_ns=int(0.45 * busy_ns), queued_ns=queued_ns, during=fit)
    said = planted(stage(cpu_ratio=0.45, lanes={0: busy_ns}), during=fit, lanes=(thread,))

    assert said.cause is cause
    queued = isinstance(at_work(said).reason, QueuedWork)
    assert queued == (cause is Cause.CPU_SATURATED)


def test_a_generator_on_a_single_core_is_not_called_serial() -> None:
    said = planted(stage(cpu_ratio=0.97), during=loop(), cores=1)

    assert said.cause is Cause.CPU


@pytest.mark.parametrize(
    ("used", "cpu_ratio", "cause"),
    [
        (0.95, 0.97, Cause.CPU_SATURATED),
        (0.60, 0.97, Cause.SERIAL),
        (0.95, 0.04, Cause.BLOCKING),
    ],
)
def test_a_saturated_cpu_is_the_cause_only_of_cpu_work(
    used: float, cpu_ratio: float, cause: Cause
) -> None:
    fit = loop()
    said = planted(stage(cpu_ratio=cpu_ratio), during=fit, cpu=cpu_in_use(used, fit))

    assert said.cause is cause


@pytest.mark.parametrize(
    ("processes", "cpu_ratio", "cause"),
    [
        (False, 0.25, Cause.GIL),  # four threads take turns: one core's worth
        (False, 0.90, Cause.TOO_FEW_WORKERS),  # four threads use three cores: they release the GIL
        (False, 0.05, Cause.BLOCKING),
        (True, 0.90, Cause.TOO_FEW_WORKERS),
        (True, 0.25, Cause.BLOCKING),  # processes need not take turns: they wait
    ],
)
def test_threads_of_one_process_take_turns_and_processes_do_not(
    processes: bool, cpu_ratio: float, cause: Cause
) -> None:
    fit = loop(fed_by=SEQUENCE if processes else THREADS)
    said = planted(
        stage(
            "load",
            StageKind.SEQUENCE,
            cost_ns=115 * MS,
            cpu_ratio=cpu_ratio,
            lanes=spread_over(range(1, 5)),
            workers=4,
        ),
        during=fit,
        lanes=workers(4, fit, processes=processes),
        cores=8,
    )

    assert said.cause is cause


@pytest.mark.parametrize(
    ("held", "cpu_ratio", "cause"),
    [
        (24, 0.25, Cause.GIL),  # each of four holds it for 24 % of the time
        (24, None, Cause.GIL),
        (5, 0.25, Cause.CPU),  # one core's worth of CPU, but most of it without the GIL
        (5, 0.05, Cause.BLOCKING),
    ],
)
def test_threads_that_were_looked_at_take_turns_if_they_were_seen_to(
    held: int, cpu_ratio: float | None, cause: Cause
) -> None:
    fit = loop(fed_by=THREADS)
    main, *pool = workers(4, fit, processes=False)
    lanes = (
        main,
        *(dataclasses.replace(each, gil=GilSamples(held=held, samples=100)) for each in pool),
    )
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=115 * MS,
        cpu_ratio=cpu_ratio,
        lanes=spread_over(range(1, 5)),
        workers=4,
        during=fit,
    )
    said = planted(load, during=fit, lanes=lanes, cores=2)

    assert said.cause is cause
    reason = at_work(said).reason
    held_ratio = reason.held_ratio if isinstance(reason, GilWork) else None
    assert held_ratio == (pytest.approx(0.96, abs=0.005) if cause is Cause.GIL else None)


def test_pools_of_several_epochs_do_not_hold_the_gil_more_than_once() -> None:
    fit = loop(fed_by=dataclasses.replace(THREADS, workers=2))
    main, *pools = workers(8, fit, processes=False)
    lanes = (
        main,
        *(dataclasses.replace(each, gil=GilSamples(held=20, samples=100)) for each in pools),
    )
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=55 * MS,
        cpu_ratio=0.5,
        lanes=spread_over(range(1, 9)),
        workers=2,
        during=fit,
    )

    assert planted(load, during=fit, lanes=lanes, cores=4).cause is not Cause.GIL


def test_transport_is_named_when_it_costs_the_most() -> None:
    fit = loop(wait_ns=250 * MS, compute_ns=10 * MS, fed_by=SEQUENCE)
    load = stage(
        "load", StageKind.SEQUENCE, cost_ns=30 * MS, lanes=spread_over(range(1, 5)), during=fit
    )
    carry = stage(
        "transport",
        StageKind.TRANSPORT,
        cost_ns=233 * MS,
        step_bytes=38_500_000,
        location=None,
        during=fit,
    )
    said = planted(load, carry, during=fit, lanes=workers(4, fit))
    opposite = planted(
        stage(
            "load", StageKind.SEQUENCE, cost_ns=900 * MS, lanes=spread_over(range(1, 5)), during=fit
        ),
        stage("transport", StageKind.TRANSPORT, cost_ns=20 * MS, location=None, during=fit),
        during=fit,
        lanes=workers(4, fit),
    )

    assert said.cause is Cause.TRANSPORT
    assert at_work(said).reason == TransportWork(batch_bytes=38_500_000)
    assert said.advice[0].action == "threads"
    assert opposite.cause is Cause.CPU


def test_stalls_at_epoch_starts_are_the_cause_when_they_outweigh() -> None:
    waits = ([400 * MS] + [MS] * 19) * 5
    fit = loop(wait_ns=waits, compute_ns=30 * MS, epochs=5, fed_by=SEQUENCE)
    restart = stage(
        "start of workers",
        StageKind.EPOCH_START,
        cost_ns=20 * MS,
        calls=5,
        location=None,
        during=fit,
    )
    load = stage(
        "load", StageKind.SEQUENCE, cost_ns=90 * MS, lanes=spread_over(range(1, 5)), during=fit
    )
    said = planted(load, restart, during=fit, lanes=workers(4, fit))

    assert said.wait_ratio is not None
    assert said.wait_ratio < 0.05
    assert (said.bound, said.cause) == (Bound.INPUT, Cause.EPOCH_START)
    assert said.bottleneck is not None
    assert said.bottleneck.stage == "start of workers"
    restart, begins = said.evidence[:2]
    assert isinstance(restart, RestartCost)
    assert restart.stage.name == "start of workers"
    assert isinstance(begins, EpochStartWait)
    assert (begins.epochs, begins.median_ms) == (4, 400)
    assert begins.others_ms is not None
    assert said.advice[0].action == "longer_epochs"
    assert said.advice[0].prediction is not None
    assert said.advice[0].prediction.step_ms == pytest.approx(31)


def test_the_start_of_an_only_epoch_is_the_cause_where_no_stage_explains_the_wait() -> None:
    def of(first_ms: int) -> Diagnosis:
        waits = [first_ms * MS] + [25 * MS] * 49
        fit = loop(steps=50, wait_ns=waits, compute_ns=3 * MS, fed_by=SEQUENCE)
        return planted(stage(cost_ns=28 * MS), during=fit)

    assert of(24_000).cause is Cause.EPOCH_START
    assert of(800).cause is Cause.SERIAL


def test_one_late_epoch_among_others_is_not_taken_to_come_back() -> None:
    def waits(*first_ms: int) -> list[int]:
        return [wait for first in (900, *first_ms) for wait in ([first * MS] + [MS // 10] * 31)]

    once = planted(
        stage(),
        during=loop(
            steps=96, wait_ns=waits(2400, 2), compute_ns=30 * MS, epochs=3, fed_by=SEQUENCE
        ),
    )
    again = planted(
        stage(),
        during=loop(
            steps=96, wait_ns=waits(2400, 2200), compute_ns=30 * MS, epochs=3, fed_by=SEQUENCE
        ),
    )

    assert once.bound is Bound.INPUT
    assert those(EpochsApart, once.evidence) == [
        EpochsApart(
            epochs=(1,),
            ratio=pytest.approx(0.72, abs=0.01),
            others_ratio=pytest.approx(0.32, abs=0.01),
            filled_cache=None,
        )
    ]
    assert (again.bound, again.cause) == (Bound.INPUT, Cause.EPOCH_START)


def two_python_calls(during: Loop) -> Stage:
    """A Python function that tf.data calls twice at once, on threads that were not seen."""
    return stage(
        "augment",
        StageKind.TF_DATA_PYTHON,
        cost_ns=58 * MS,
        parallelism=2,
        most_parallelism=2,
        cpu_ratio=None,
        lanes={},
        during=during,
    )


@pytest.mark.parametrize(("used", "cause"), [(0.45, Cause.GIL), (0.1, Cause.BLOCKING)])
def test_python_calls_that_share_one_core_take_turns_at_the_gil(used: float, cause: Cause) -> None:
    fit = loop(fed_by=TF_DATA)
    augment = two_python_calls(fit)
    said = planted(augment, during=fit, cpu=cpu_in_use(used, fit, cores=2))

    assert said.cause is cause


@pytest.mark.parametrize(
    ("all_programs", "cause"), [(850_000, Cause.GIL), (320_000, Cause.BLOCKING)]
)
def test_python_calls_beside_other_programs_need_not_block(all_programs: int, cause: Cause) -> None:
    fit = loop(fed_by=TF_DATA)
    augment = two_python_calls(fit)
    said = verdict(
        profile(
            loops=(fit,),
            stages=(augment,),
            lanes=(lane(during=fit),),
            cpu=cpu_in_use(0.3, fit, cores=2),
            gauges={Level.MACHINE_CPU.value: gauge(all_programs, start_ns=fit.start_ns)},
        )
    )

    assert said.cause is cause


def test_a_stage_too_slow_for_all_steps_is_to_blame_for_a_shuffle_that_fills() -> None:
    waits = ([2000 * MS] + [20 * MS] * 19) * 5
    fit = loop(wait_ns=waits, compute_ns=10 * MS, epochs=5, fed_by=TF_DATA)
    slow, fast = (
        planted(
            stage("decode", StageKind.TF_DATA, cost_ns=cost * MS, cpu_ratio=None, during=fit),
            during=fit,
        )
        for cost in (120, 20)
    )

    assert slow.cause is Cause.SERIAL
    assert "longer_epochs" not in [advice.action for advice in slow.advice]
    assert fast.cause is Cause.EPOCH_START


def test_stalls_at_epoch_starts_are_only_reported_when_they_do_not_outweigh() -> None:
    waits = ([100 * MS] + [20 * MS] * 49) * 2
    said = planted(stage(), during=loop(wait_ns=waits, epochs=2))

    assert said.cause is Cause.SERIAL
    assert said.evidence[0] == at_work(said)
    begins = EpochStartWait(epochs=1, median_ms=100, usual=None, others_ms=None)
    assert begins in said.evidence[1:]


def test_a_long_wait_for_an_epoch_does_not_make_a_busy_stage_idle() -> None:
    waits = ([10 * MS] * 50) + ([9_000 * MS] + [10 * MS] * 49)
    fit = loop(wait_ns=waits, compute_ns=20 * MS, epochs=2)
    said = planted(stage(cost_ns=24 * MS), during=fit)

    assert at_work(said).busy_ratio == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("cost_ms", "prefetched", "reason"),
    [
        (0.6, True, None),
        (0.6, False, None),
        (24, True, SerialWork(python=False, cpu_known=False)),
        (29.4, True, SerialWork(python=False, cpu_known=False)),
    ],
)
def test_one_call_after_the_other_is_no_reason_for_a_stage_that_rests(
    cost_ms: float, prefetched: bool, reason: SerialWork | None
) -> None:
    fit = loop(LoopKind.CUSTOM, wait_ns=3 * MS, compute_ns=27 * MS, fed_by=TF_DATA)
    cost_ns = round(cost_ms * MS)
    prefetch = stage("prefetch", StageKind.TF_DATA, cost_ns=0, location=None, cpu_ratio=None)
    batch = stage("batch", StageKind.TF_DATA, cost_ns=cost_ns, cpu_ratio=None, during=fit, lanes={})
    stages = (prefetch, dataclasses.replace(batch, parent=0)) if prefetched else (batch,)
    said = planted(*stages, during=fit)

    assert (said.bound, said.cause) == (Bound.BALANCED, Cause.SERIAL)
    found = at_work(said)
    assert (found.ahead, found.reason) == (prefetched, reason)
    assert found.busy_ratio == pytest.approx(cost_ms / 30)


@pytest.mark.parametrize(
    ("cost_ms", "cpu", "busy_ratio", "reason"),
    [
        (48, 0.95, 0.96, SaturatedWork),
        (48, 0.25, 0.96, CoreFreeWork),
        (10, 0.25, 0.20, CoreFreeWork),
    ],
)
def test_a_pause_between_epochs_makes_nothing_idle(
    cost_ms: int, cpu: float, busy_ratio: float, reason: type[WorkReason]
) -> None:
    fed_by = dataclasses.replace(SEQUENCE, workers=2)
    fit = loop(steps=120, wait_ns=15 * MS, epochs=2, pause_ns=6 * SECOND, fed_by=fed_by)
    in_steps = np.repeat([1, 0, 1], [3, 12, 3])[:, None] * SECOND // 2

    def only_in_steps(*per_s: float) -> Binned:
        sums = np.round(in_steps * np.array(per_s)).astype(np.int64)
        return Binned(start_ns=fit.start_ns, width_ns=SECOND // 2, sums=sums)

    calls = cost_ms / 25
    works = dataclasses.replace(
        stage("Images", StageKind.SEQUENCE, during=fit, lanes=spread_over(range(1, 3))),
        work=only_in_steps(40 / SECOND, calls, calls, calls, 0, 0, 0),
    )
    used = Cpu(cores=4, limit=None, used=only_in_steps(4 * cpu))
    said = planted(works, during=fit, lanes=workers(2, fit), cpu=used)

    found = at_work(said)
    assert found.cost_ms == pytest.approx(cost_ms)
    assert (found.calls, found.at_once) == (CallKind.WORKER_PROCESS, 2)
    assert found.busy_ratio == pytest.approx(busy_ratio, abs=0.005)
    assert type(found.reason) is reason
    assert (said.bound, said.cause) == (Bound.HOST, Cause.OWN_CODE)


# Of a stage of tf.data: parallelism, the most of it, whether that is autotuned; the part of the CPU in use.
BUSY = (
    ((None, None, None, None), Cause.SERIAL),
    ((1, 8, False, None), Cause.SERIAL),
    ((1, 8, True, None), Cause.SERIAL),
    ((4, 8, True, 0.6), Cause.CPU),
    ((4, 8, True, 0.95), Cause.CPU_SATURATED),
)
IDLE = (((1, 8, False, 0.02), Cause.BLOCKING),)
StageOfUnknownCpu = tuple[int | None, int | None, bool | None, float | None]


def of_unknown_cpu_time(given: StageOfUnknownCpu) -> Diagnosis:
    parallelism, most, autotuned, used = given
    fit = loop(fed_by=TF_DATA)
    return planted(
        stage(
            "decode",
            StageKind.TF_DATA,
            cost_ns=28 * MS * (parallelism or 1),
            cpu_ratio=None,
            lanes={},
            parallelism=parallelism,
            most_parallelism=most,
            autotuned=autotuned,
        ),
        during=fit,
        cpu=None if used is None else cpu_in_use(used, fit),
    )


@pytest.mark.parametrize(("given", "cause"), [*BUSY, *IDLE])
def test_tf_data_of_unknown_cpu_time_is_judged_by_its_parallelism(
    given: StageOfUnknownCpu, cause: Cause
) -> None:
    assert of_unknown_cpu_time(given).cause is cause


@pytest.mark.parametrize("given", [given for given, _ in BUSY])
def test_that_its_cpu_time_is_unknown_is_a_part_of_the_reason(given: StageOfUnknownCpu) -> None:
    reason = at_work(of_unknown_cpu_time(given)).reason
    assert isinstance(reason, SerialWork | GilWork | SaturatedWork | ComputingWork)
    assert not reason.cpu_known


@pytest.mark.parametrize(
    ("function", "other", "cause"),
    [
        ("decode", None, Cause.BLOCKING),
        ("decode", LaneKind.PIPEPROF, Cause.BLOCKING),
        ("decode", LaneKind.THREAD, Cause.SERIAL),  # may be the one that runs the function
        (None, None, Cause.SERIAL),  # TensorFlow's own work may run in any thread
    ],
)
def test_threads_that_run_no_function_bound_the_cpu_of_one(
    function: str | None, other: LaneKind | None, cause: Cause
) -> None:
    fit = loop(fed_by=TF_DATA, lane=0)
    lasted_ns = fit.end_ns - fit.start_ns
    decode = stage("decode", StageKind.TF_DATA, cost_ns=28 * MS, cpu_ratio=None, lanes={})
    main = lane(during=fit, cpu_ns=lasted_ns * 4 // 10 if other is None else 0)
    beside = dataclasses.replace(
        lane("beside", Role.OTHER, tid=PID + 1, during=fit, cpu_ns=lasted_ns * 4 // 10),
        kind=other or LaneKind.THREAD,
    )
    said = planted(
        dataclasses.replace(decode, function=function),
        during=fit,
        lanes=(main,) if other is None else (main, beside),
        cpu=cpu_in_use(0.7 / 4, fit),
    )

    assert said.cause is cause


@pytest.mark.parametrize(
    ("used", "cause"), [(0.95, Cause.CPU_SATURATED), (0.75, Cause.CPU), (0.3, Cause.BLOCKING)]
)
def test_more_workers_than_cores_queue_for_the_cpu(used: float, cause: Cause) -> None:
    fit = loop(fed_by=dataclasses.replace(SEQUENCE, workers=8))
    cpu_ratio = used * 2 / 8
    said = planted(
        stage(
            "load",
            StageKind.SEQUENCE,
            cost_ns=230 * MS,
            cpu_ratio=cpu_ratio,
            lanes=spread_over(range(1, 9)),
        ),
        during=fit,
        lanes=workers(8, fit),
        cpu=cpu_in_use(used, fit, cores=2),
    )

    assert said.cause is cause


@pytest.mark.parametrize(
    ("used", "cores", "cause"),
    [
        (0.5, 8, Cause.TOO_FEW_WORKERS),
        (None, 8, Cause.TOO_FEW_WORKERS),
        (0.97, 8, Cause.CPU_SATURATED),
        (0.88, 4, Cause.CPU),  # a core for each of them, and none for a fifth
    ],
)
def test_workers_are_too_few_while_a_core_is_free(
    used: float | None, cores: int, cause: Cause
) -> None:
    fit = loop(fed_by=SEQUENCE)
    said = planted(
        stage(
            "load",
            StageKind.SEQUENCE,
            cost_ns=115 * MS,
            cpu_ratio=0.95,
            lanes=spread_over(range(1, 5)),
        ),
        during=fit,
        lanes=workers(4, fit),
        cpu=Cpu(cores=cores, limit=None, used=None)
        if used is None
        else cpu_in_use(used, fit, cores=cores),
    )

    assert said.cause is cause
    assert any(advice.action == "workers" for advice in said.advice) is (
        cause is Cause.TOO_FEW_WORKERS
    )


@pytest.mark.parametrize(
    ("late_ms", "work_ms", "cause"),
    [
        (15, 40, Cause.HEAD_OF_LINE),
        (2, 40, Cause.BLOCKING),  # seldom: its workers pause for another reason
        (15, 118, Cause.BLOCKING),  # its workers never pause: more room would not help
        (None, 40, Cause.BLOCKING),
    ],
)
def test_one_slow_batch_holds_up_those_behind_it(
    late_ms: int | None, work_ms: int, cause: Cause
) -> None:
    late = None if late_ms is None else gauge(late_ms * MS, start_ns=START_NS)
    fit = loop(fed_by=dataclasses.replace(THREADS, queue_size=2, head_of_line=late))
    said = planted(
        stage(
            "load",
            StageKind.SEQUENCE,
            cost_ns=work_ms * MS,
            cpu_ratio=0.01,
            lanes=spread_over(range(1, 5)),
        ),
        during=fit,
        lanes=workers(4, fit, processes=False),
    )

    assert said.cause is cause
    assert ("longer_queue" in {advice.action for advice in said.advice}) is (
        cause is Cause.HEAD_OF_LINE
    )
    late = OutOfOrderWork(late_ratio=0.75)
    assert (at_work(said).reason == late) is (cause is Cause.HEAD_OF_LINE)


def test_what_processes_save_is_reported_beside_what_they_cost() -> None:
    fit = loop(fed_by=dataclasses.replace(SEQUENCE, start_method="fork"))
    worker = stage(
        "load", StageKind.SEQUENCE, cost_ns=60 * MS, lanes=spread_over(range(1, 5)), during=fit
    )
    sent = stage("transport", StageKind.TRANSPORT, cost_ns=9_500_000, lanes={0: 1}, during=fit)
    found = analyse(profile(loops=(fit,), stages=(worker, sent), lanes=workers(4, fit)))

    assert found.main is not None
    evidence = found.main.diagnosis.evidence
    assert WorkersAndTransport(work_ms=60.0, transport_ms=9.5) in evidence
    assert ForkedWorkers() in evidence


@pytest.mark.parametrize("wait_ms", [1, 90])
@pytest.mark.parametrize(("start_method", "reported"), [("fork", True), ("spawn", False)])
def test_forking_beside_tensorflow_is_reported_whatever_the_verdict(
    wait_ms: int, start_method: str, reported: bool
) -> None:
    fed_by = dataclasses.replace(SEQUENCE, start_method=start_method)
    fit = loop(wait_ns=wait_ms * MS, compute_ns=(100 - wait_ms) * MS, fed_by=fed_by)
    found = analyse(profile(loops=(fit,), lanes=workers(4, fit)))

    assert found.main is not None
    evidence = found.main.diagnosis.evidence
    assert evidence.count(ForkedWorkers()) == reported


@pytest.mark.parametrize(("count", "processes", "reported"), [(1, False, True), (1, True, False)])
def test_a_choice_of_workers_that_has_no_effect_is_reported(
    count: int, processes: bool, reported: bool
) -> None:
    fed_by = dataclasses.replace(SEQUENCE, workers=count, multiprocessing=processes)
    fit = loop(fed_by=fed_by, lane=0)
    said = planted(
        stage("load", StageKind.SEQUENCE, cost_ns=20 * MS, lanes={0: SECOND}, during=fit),
        during=fit,
    )

    assert (OneBatchAtATime(workers=1) in said.evidence) is reported


@pytest.mark.parametrize(
    ("cpu_ratio", "pid", "on_main", "crowded"),
    [
        (0.9, None, False, True),
        (0.2, None, False, False),  # it waits, and holds nothing meanwhile
        (0.9, 77, False, False),  # another process has a GIL of its own
        (0.9, None, True, False),  # the training's own thread cannot be in its way
    ],
)
def test_threads_that_compute_beside_a_training_are_in_its_way(
    cpu_ratio: float, pid: int | None, on_main: bool, crowded: bool
) -> None:
    fit = loop(wait_ns=0, compute_ns=24 * MS, lane=0, fed_by=THREADS)
    main = lane(during=fit)
    other = lane("Thread (worker)", Role.WORKER, pid=pid or main.pid, tid=9, during=fit)
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=23 * MS,
        cpu_ratio=cpu_ratio,
        lanes={0 if on_main else 1: SECOND},
        during=fit,
    )
    said = planted(load, during=fit, lanes=(main, other))

    assert said.bound is Bound.COMPUTE
    assert bool(those(GilBesideTraining, said.evidence)) is crowded
    assert any(advice.action == "processes" for advice in said.advice) is crowded


# Evidence


def test_evidence_has_all_that_is_known_of_the_bottleneck() -> None:
    fit = loop(
        steps=312,
        wait_ns=23_300_000,
        compute_ns=8_100_000,
        lane=0,
        input_work_ns=100,
        input_work_in_wait_ns=74,
    )
    said = planted(
        stage("decode", cost_ns=29_800_000, cpu_ratio=0.97, lanes={1: SECOND}, during=fit),
        during=fit,
        lanes=(lane(during=fit), lane("tf.data thread", Role.INPUT, tid=9, during=fit)),
    )

    assert said.evidence == (
        BottleneckAtWork(
            stage=StageReference(name="decode", location=DECODE),
            cost_ms=pytest.approx(29.8),
            calls=CallKind.THREAD,
            at_once=1.0,
            sharing=0,
            busy_ratio=pytest.approx(29.8 / 31.4),
            ahead=True,
            reason=SerialWork(python=True, cpu_known=True),
        ),
        WhereItRan(
            lane=LaneReference(name="tf.data thread", role=Role.INPUT),
            trains=False,
            first_calls=0,
            overlap_ratio=pytest.approx(0.26),
            estimated=False,
            only_stage=True,
        ),
        SharedCores(cores=4),
    )


@pytest.mark.parametrize(
    ("python", "inside", "sampled", "newer_python_helps"),
    [
        ("3.11.7", (), False, [True]),
        ("3.12.1", (), False, [False]),
        ("3.11.7", (stage("read", cost_ns=MS, parent=0),), False, []),
        ("3.11.7", (), True, []),
        (None, (), False, []),
    ],
)
def test_how_to_see_inside_a_generator_is_reported_where_nothing_was_seen(
    python: str | None, inside: tuple[Stage, ...], sampled: bool, newer_python_helps: list[bool]
) -> None:
    line = CodeLine(function="decode", location=Location("train.py", 44), text="")
    said = verdict(
        profile(
            loops=(loop(),),
            stages=(stage(), *inside),
            run=run_info(versions={"python": python} if python else {}),
            stacks=(StackSamples(lines=(line,), samples=50),) if sampled else (),
        )
    )
    opaque = those(OpaqueGenerator, said.evidence)
    assert [each.newer_python_helps for each in opaque] == newer_python_helps
    assert {each.stage.name for each in opaque} <= {"decode"}


def test_a_wait_that_no_stage_accounts_for_is_reported() -> None:
    said = planted(stage(cost_ns=2 * MS), during=loop())

    assert UnseenInput(seen_ms=2.0, wait_ms=20.0) in said.evidence


@pytest.mark.parametrize(("here", "trains"), [(3, False), (9, True)])
def test_what_ran_on_a_thread_of_each_pass_ran_on_no_thread_that_trains(
    here: int, trains: bool
) -> None:
    fit = loop(lane=0)
    beside = [lane("TensorFlow thread", Role.INPUT, tid=9 + n, during=fit) for n in range(4)]
    worked = {0: here * SECOND, **spread_over(range(1, 5), 2 * SECOND)}
    batches = stage("batches", StageKind.GENERATOR, cost_ns=20 * MS, lanes=worked, during=fit)
    said = planted(batches, during=fit, lanes=(lane(during=fit), *beside))

    [ran] = those(WhereItRan, said.evidence)
    assert ran.trains is trains
    assert at_work(said).ahead is not trains


def test_calls_of_the_begin_that_ran_elsewhere_are_reported() -> None:
    fit = loop(lane=0)
    work = [
        Span(SpanKind.WORK, 0, START_NS + n, START_NS + n + 1, min(n // 2, 1)) for n in range(5)
    ]
    found = analyse(
        profile(
            loops=(fit,),
            stages=(stage("batches", cost_ns=20 * MS, lanes={0: 2, 1: SECOND}, during=fit),),
            lanes=(lane(during=fit), lane("TensorFlow thread", Role.INPUT, tid=9, during=fit)),
            spans=spans(*work),
        )
    )

    assert found.main is not None
    [ran] = those(WhereItRan, found.main.diagnosis.evidence)
    assert ran.lane == LaneReference(name="TensorFlow thread", role=Role.INPUT)
    assert (ran.trains, ran.first_calls) == (False, 2)


@pytest.mark.parametrize(
    ("rates", "came"),
    [
        ({Level.DISK_READ: 35_000_000, Level.RECEIVED: 20}, [(35_000_000, None)]),
        (
            {Level.DISK_READ: 2_500_000, Level.RECEIVED: 120_000_000},
            [(2_500_000, 120_000_000)],
        ),
        ({Level.DISK_READ: 1000}, []),
        ({}, []),
    ],
)
def test_what_came_in_while_a_stage_waited_is_reported(
    rates: dict[Level, int], came: list[tuple[float | None, float | None]]
) -> None:
    fit = loop()
    gauges = {level.value: gauge(rate, start_ns=fit.start_ns) for level, rate in rates.items()}
    found = analyse(
        profile(
            loops=(fit,),
            stages=(stage("read", cost_ns=20 * MS, cpu_ratio=0.02, during=fit),),
            lanes=(lane(during=fit),),
            gauges=gauges,
        )
    )

    assert found.main is not None
    assert found.main.diagnosis.cause is Cause.BLOCKING
    traffic = those(Traffic, found.main.diagnosis.evidence)
    assert [(each.disk_bytes_per_s, each.network_bytes_per_s) for each in traffic] == came


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (Level.THROTTLED, ThrottledWork(limit=1.5, throttled_ratio=0.6)),
        (
            Level.MACHINE_CPU,
            SaturatedWork(
                process_ratio=pytest.approx(2 / 3, rel=0.01), machine_ratio=0.96, cpu_known=True
            ),
        ),
    ],
)
def test_a_machine_without_a_free_core_is_the_reason_with_what_uses_it(
    level: Level, reason: WorkReason
) -> None:
    fit = loop()
    part = 600_000 if level is Level.THROTTLED else 960_000
    used = evenly((fit.end_ns - fit.start_ns,), fit.start_ns, fit.end_ns)
    found = analyse(
        profile(
            loops=(fit,),
            stages=(stage("decode", cost_ns=20 * MS, cpu_ratio=0.9, during=fit),),
            lanes=(lane(during=fit),),
            cpu=Cpu(cores=4, limit=1.5, used=used),
            gauges={level.value: gauge(part, start_ns=fit.start_ns)},
        )
    )

    assert found.main is not None
    diagnosis = found.main.diagnosis
    assert diagnosis.cause is Cause.CPU_SATURATED
    assert at_work(diagnosis).reason == reason
    assert not any(advice.action == "workers" for advice in diagnosis.advice)


def main_diagnosis(recorded: Profile) -> Diagnosis:
    main = analyse(recorded).main
    assert main is not None
    return main.diagnosis


def test_a_measured_limit_takes_the_place_of_the_estimate() -> None:
    waits = loop(steps=100, wait_ns=30 * MS, compute_ns=20 * MS)
    measured = Ceiling(median_ns=4 * MS, mean_ns=5 * MS, p95_ns=9 * MS, steps=100, batches=16)
    estimated = main_diagnosis(profile(loops=(waits,)))
    limited = main_diagnosis(dataclasses.replace(profile(loops=(waits,)), ceiling=measured))
    assert (estimated.ideal_step_ms, limited.ideal_step_ms) == (20.0, 5.0)
    assert estimated.free_input is not None
    assert limited.free_input is not None
    assert estimated.free_input.known is LimitSource.ESTIMATED
    assert limited.free_input.known is LimitSource.MEASURED
    assert limited.free_input.wall_s == pytest.approx(0.5)
    assert limited.free_input.speedup == pytest.approx(10)


def test_figures_of_stages_at_one_place_do_not_depend_on_their_order() -> None:
    fit = loop()
    # Added up as they come, these give another last digit in another order.
    costs_ns = {"a": 56_069_151, "b": 24_535_739, "c": 38_327_763}
    stages = [stage(name, cost_ns=cost_ns, during=fit) for name, cost_ns in costs_ns.items()]
    one, other = (
        analyse(profile(loops=(fit,), stages=tuple(order))) for order in (stages, stages[::-1])
    )
    assert [each.parallelism for each in one.stages] == [each.parallelism for each in other.stages]
    assert one.main is not None
    assert other.main is not None
    assert one.main.diagnosis.evidence == other.main.diagnosis.evidence
