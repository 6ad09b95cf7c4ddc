"""The sentence of each kind of evidence: the one place where tests repeat the words."""

from dataclasses import replace
from typing import get_args

import pytest

from pipeprof.analysis.findings.account_findings import HostPlace
from pipeprof.analysis.findings.caveat_kinds import (
    CompiledByShape,
    ContradictingWaits,
    CpuTimeBounded,
    DeviceMayRunAhead,
    EventsLost,
    ForkedWorkers,
    OpaqueGenerator,
    SharedCores,
    UnseenInput,
    WaitsOfSomeSteps,
    WaitsOfTracedSteps,
)
from pipeprof.analysis.findings.evidence_kinds import (
    Evidence,
    GilBesideTraining,
    InputKeepsUp,
    NoStepTime,
    SpareCapacity,
    WaitsNotMeasured,
    WarmupCosts,
)
from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.input_findings import EpochStart, StartCause
from pipeprof.analysis.findings.references import LaneReference, StageReference
from pipeprof.analysis.findings.service_findings import WorkersAtWork
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    BottleneckAtWork,
    EpochStartWait,
    HeldUpByInput,
    MadeInOwnThread,
    NativeThreads,
    NoStageSeen,
    OneBatchAtATime,
    RemoteWait,
    RestartCost,
    StagesNotCounted,
    ThrownAway,
    Traffic,
    WhereItRan,
    WorkersAndTransport,
    WorkInWorkers,
    WorkOfFeeder,
)
from pipeprof.analysis.findings.wall_evidence_kinds import (
    EpochsApart,
    FewSteps,
    HostAtWork,
    Retracings,
    UnevenWaits,
    ValidationTime,
    WaitBesideHost,
)
from pipeprof.analysis.findings.work_reasons import (
    BlockingWork,
    CallKind,
    ComputingWork,
    CoreFreeWork,
    GilWork,
    HelperWork,
    OutOfOrderWork,
    QueuedWork,
    SaturatedWork,
    SerialWork,
    SlowestInsideEpochs,
    ThrottledWork,
    TransportWork,
    WorkReason,
)
from pipeprof.recording.account import FeederKind, FeedingLane
from pipeprof.recording.lane import Role
from pipeprof.recording.run_info import RecordedBy
from pipeprof.recording.source_code import Location
from pipeprof.report.one_run.evidence_text import evidence_sentence

DECODE = StageReference(name="decode", location=Location("train.py", 41))
AT_WORK = BottleneckAtWork(
    stage=DECODE,
    cost_ms=29.8,
    calls=CallKind.THREAD,
    at_once=1.0,
    sharing=0,
    busy_ratio=0.95,
    ahead=True,
    reason=None,
)
RAN = WhereItRan(
    lane=LaneReference(name="TensorFlow thread", role=Role.INPUT, named=False),
    trains=False,
    first_calls=0,
    overlap_ratio=0.26,
    estimated=False,
    only_stage=True,
)
FILLS = EpochStart(
    epoch=1,
    wait_ms=400.0,
    usual_ms=2.0,
    cause=StartCause.FILL,
    stage=StageReference(name="shuffle"),
    elements=1_000,
    work_ms=390.0,
)
CONTRADICTION = ContradictingWaits(steps=3, measured_ms=20.0, traced_ms=15.0, way_unmeasured=False)

WORKERS = WorkersAtWork(
    count=2,
    asked_ratio=0.95,
    at_work=4.0,
    cpu_cores=3.6,
    cores=2,
    use_all_cores=True,
    beside_training=False,
)

SENTENCES: tuple[tuple[Evidence, str], ...] = (
    (
        CompiledByShape(steps=19, ms=15_200.0, factor=61.5),
        "XLA compiles the model anew for each new shape of a batch, and shapes vary here. Probably for "
        "that, 19 steps computed 15.2 s together, 62 times as long as the others. Pad batches to a few "
        "fixed shapes, or use model.compile(jit_compile=False).",
    ),
    (WaitsNotMeasured(), "pipeprof could not measure how long the steps waited for data."),
    (
        HostAtWork(
            ratio=0.79,
            callbacks_ratio=0.77,
            between_ratio=0.02,
            own_code_ratio=0.0,
            places=(
                HostPlace(name="ModelCheckpoint.on_train_batch_end", location=None, ratio=0.48),
                HostPlace(name="Board.on_epoch_end", location=Location("a/train.py", 9), ratio=0.2),
                HostPlace(name="<module>", location=Location("a/train.py", 40), ratio=0.02),
            ),
        ),
        "77 % of the time passes in callbacks and 2.0 % between epochs: "
        "ModelCheckpoint.on_train_batch_end 48 %, Board.on_epoch_end (train.py:9) 20 %, "
        "train.py:40 2.0 %.",
    ),
    (
        HostAtWork(
            ratio=0.2, callbacks_ratio=0.0, between_ratio=0.0, own_code_ratio=0.2, places=()
        ),
        "20 % of the time passes in the training's own code.",
    ),
    (WaitBesideHost(ratio=0.12), "Waiting for data takes 12 % of the time as well."),
    (
        FewSteps(steps=4, low=0.4, high=0.8),
        "Only 4 steps: 40 % to 80 % of the time waits for data.",
    ),
    (
        Retracings(count=5, ms=11_400.0, change="float32 (4, 8) → float32 (4, 12)", others=4),
        "The training's function was compiled again 5 times, which took 11.4 s: the shape of its data "
        "changed, float32 (4, 8) → float32 (4, 12), and 4 other changes. Batches of a few fixed shapes "
        "avoid that.",
    ),
    (
        Retracings(count=3, ms=1_200.0, change=None, others=0),
        "The training's function was compiled again 3 times, which took 1.2 s: a new one was made, as "
        "compile does.",
    ),
    (
        Retracings(count=1, ms=200.0, change="float32 (4, 8) → float32 (3, 8)", others=0),
        "The training's function was compiled again once, which took 200 ms: the shape of its data "
        "changed, float32 (4, 8) → float32 (3, 8).",
    ),
    (FewSteps(steps=1, low=0.4, high=0.4), "Only 1 step: 40 % of the time waits for data."),
    (
        EpochsApart(
            epochs=(0,),
            ratio=0.75,
            others_ratio=0.01,
            filled_cache=StageReference(name="cache", location=Location("train.py", 7)),
        ),
        "Epoch 1 waits 75 % of the time, the others 1.0 %: cache (train.py:7) is being filled.",
    ),
    (
        EpochsApart(epochs=(2, 5), ratio=0.5, others_ratio=0.0, filled_cache=None),
        "Epochs 3 and 6 wait 50 % of the time, the others 0 %.",
    ),
    (
        EpochsApart(epochs=(0, 1, 2, 8), ratio=0.5, others_ratio=0.2, filled_cache=None),
        "Epochs 1, 2, 3 and 1 other wait 50 % of the time, the others 20 %.",
    ),
    (
        UnevenWaits(share=0.96, wait_ms=1_000.0, period=50),
        "Every 50th step waits 1.0 s: the longest waits hold 96 % of all waiting.",
    ),
    (
        UnevenWaits(share=0.6, wait_ms=80.0, period=None),
        "The longest 5 % of waits, 80.0 ms and the like, hold 60 % of all waiting.",
    ),
    (
        ValidationTime(ratio=0.5, bound=Bound.INPUT, wait_ratio=0.8, bottleneck=DECODE),
        "Validation takes 50 % of the training's time: 80 % of it waits for data, "
        "for decode (train.py:41).",
    ),
    (
        ValidationTime(ratio=0.25, bound=Bound.COMPUTE, wait_ratio=0.0, bottleneck=None),
        "Validation takes 25 % of the training's time: it computes.",
    ),
    (NoStepTime(finished=True), "The steps took no time that could be measured."),
    (NoStepTime(finished=False), "The loop ended before its first step was finished."),
    (WarmupCosts(), "The costs of the stages are those of the warm-up."),
    (
        InputKeepsUp(wait_ms=0.23, step_ms=46.4),
        "A step takes 46.4 ms and waits 0.23 ms of it: the input keeps up.",
    ),
    (
        SpareCapacity(stage=DECODE, capacity_per_s=8_520.0, steps_per_s=21.6),
        "The slowest input stage, decode (train.py:41), could feed 8,520 steps/s; "
        "the training took 21.6 steps/s.",
    ),
    (
        GilBesideTraining(busy_ratio=0.9),
        "Input threads in the training's process compute 90 % of the time. While they hold the GIL, "
        "the training waits for it; that counts as compute.",
    ),
    (
        WorkOfFeeder(
            feeder=Feeder(
                function="parse",
                location=Location("train.py", 17),
                lane=FeedingLane(kind=FeederKind.THREAD, name="Thread-3 (fill)"),
                share=0.75,
            ),
            waits=True,
            cause=Cause.BLOCKING,
        ),
        "The training waits for parse (train.py:17), which runs in the thread Thread-3 (fill). It mostly "
        "waits (files, network or sleep). 75 % of the samples of what feeds the training were taken there.",
    ),
    (
        MadeInOwnThread(
            feeder=Feeder(
                function="targets",
                location=Location("train.py", 21),
                lane=None,
                own_thread=True,
                share=1.0,
            ),
            ratio=0.18,
        ),
        "18 % of the waiting is for targets (train.py:21), which the training's own thread runs for its "
        "next batch.",
    ),
    (
        WorkOfFeeder(
            feeder=Feeder(
                function="parse",
                location=Location("train.py", 17),
                lane=FeedingLane(kind=FeederKind.THREAD, name="f"),
                share=1.0,
                threads=3,
            ),
            waits=True,
            cause=Cause.GIL,
        ),
        "The training waits for parse (train.py:17), which runs in the thread f. 100 % of the samples of "
        "what feeds the training were taken there. 3 threads run it, and the GIL lets one thread of a "
        "process run at a time.",
    ),
    (
        WorkOfFeeder(
            feeder=Feeder(
                function="read",
                location=Location("train.py", 17),
                lane=None,
                own_thread=True,
                share=0.9,
            ),
            waits=True,
            cause=Cause.BLOCKING,
        ),
        "The training makes its batches in its own thread, between the steps. 90 % of the samples taken "
        "there were in read (train.py:17). It mostly waits (files, network or sleep).",
    ),
    (
        WorkOfFeeder(
            feeder=Feeder(
                function="parse",
                location=Location("train.py", 17),
                lane=FeedingLane(kind=FeederKind.NATIVE_THREAD),
                share=1.0,
            ),
            waits=False,
            cause=Cause.GIL,
        ),
        "parse (train.py:17) runs in a native thread while the training computes. 100 % of the samples "
        "of what feeds the training were taken there.",
    ),
    (
        WorkOfFeeder(
            feeder=Feeder(
                function="parse",
                location=Location("train.py", 17),
                lane=FeedingLane(kind=FeederKind.PROCESS, name="Process-1"),
                share=1.0,
            ),
            waits=True,
            cause=Cause.NONE,
        ),
        "The training waits for parse (train.py:17), which runs in the process Process-1. 100 % of "
        "the samples of what feeds the training were taken there.",
    ),
    (
        HeldUpByInput(held_ms=22.5, step_ms=30.0, gil_ratio=0.6, cpu_queue_ratio=0.15),
        "The input's own work slows the training's computing down, by about 22.5 ms of 30.0 ms per "
        "step: 60 % of the time it waits for the GIL, which input threads hold, and 15 % of the time "
        "it is ready to run, but input work has the CPU cores.",
    ),
    (
        HeldUpByInput(held_ms=9.0, step_ms=30.0, gil_ratio=None, cpu_queue_ratio=0.3),
        "The input's own work slows the training's computing down, by about 9.0 ms of 30.0 ms per "
        "step: 30 % of the time it is ready to run, but input work has the CPU cores.",
    ),
    (
        StagesNotCounted(),
        "AUTOTUNE is switched off, so tf.data does not measure the work of its stages and none can "
        "be named.",
    ),
    (
        NoStageSeen(),
        "No stage of the input was seen at work, so none can be named. Mark the functions that load "
        "data with pipeprof.stage.",
    ),
    (
        EpochStartWait(epochs=4, median_ms=400.0, usual=FILLS, others_ms=30.0),
        "The first step of each epoch waited 400 ms (median of 4 epochs): shuffle fills with "
        "1,000 elements. All other steps together waited 30.0 ms.",
    ),
    (
        EpochStartWait(epochs=1, median_ms=400.0, usual=None, others_ms=None),
        "The first step of the epoch waited 400 ms.",
    ),
    (
        RestartCost(stage=StageReference(name="epoch start"), cost_ms=26.1, share=0.17),
        "Each epoch starts the input again: 26.1 ms per step, 17 % of its work.",
    ),
    (
        RemoteWait(stage=DECODE, cost_ms=12.0),
        "The training waits 12.0 ms per step for decode (train.py:41): its stages run in another "
        "process, which pipeprof does not measure.",
    ),
    (
        RemoteWait(stage=DECODE, cost_ms=12.0, workers=replace(WORKERS, asked_ratio=0.1)),
        "The training waits 12.0 ms per step for decode (train.py:41). Its 2 workers had elements ready "
        "90 % of the time: it waits for the network, or for the service to compress, send and unpack them.",
    ),
    (
        WorkInWorkers(
            stage=DECODE,
            cost_ms=12.0,
            calls=4,
            workers=WORKERS,
            cause=Cause.TOO_FEW_WORKERS,
            machine_ratio=None,
        ),
        "decode (train.py:41) works 12.0 ms per step in 2 workers of the tf.data service, in up to 4 "
        "calls at once. The workers had no element ready. Each of them uses 1.8 cores of 2.",
    ),
    (
        WorkInWorkers(
            stage=DECODE,
            cost_ms=12.0,
            calls=2,
            cause=Cause.SERIAL,
            machine_ratio=None,
            workers=replace(WORKERS, cpu_cores=None, asked_ratio=0.8, cores=None),
        ),
        "decode (train.py:41) works 12.0 ms per step in 2 workers of the tf.data service, in up to 2 "
        "calls at once. The workers had no element ready 80 % of the time. It makes one call after the "
        "other in each of them. In each worker 2 calls are under way at a time.",
    ),
    (AT_WORK, "decode (train.py:41) works 29.8 ms per step on one thread, without a pause."),
    (
        replace(AT_WORK, sharing=2, busy_ratio=0.85, ahead=False, reason=CoreFreeWork()),
        "decode (train.py:41) works 29.8 ms per step on one thread shared with 2 other stages, busy "
        "85 % of the time (it rests while the training computes). It computes, and a core is free.",
    ),
    (
        replace(AT_WORK, copies=6, at_once=12.0, calls=CallKind.PARALLEL_CALL),
        "decode (train.py:41) works 29.8 ms per step in 6 copies, in up to 12 calls at once, "
        "without a pause.",
    ),
    (
        NativeThreads(stage=DECODE, cores=1.44, own_cpu_ratio=0.13),
        "Other threads of this process (TensorFlow, BLAS, a thread pool) compute for decode: 1.4 cores "
        "while the training waits. Its own thread is on the CPU for 13 % of its time.",
    ),
    (
        ThrownAway(
            stage=DECODE,
            by=StageReference(name="filter", location=Location("train.py", 45)),
            taken=600,
            kept=100,
        ),
        "filter (train.py:45) throws away 83 % of what decode makes: 6 are made for 1 that is kept.",
    ),
    (
        ThrownAway(stage=DECODE, by=StageReference(name="filter"), taken=600, kept=0),
        "filter throws away 100 % of what decode makes: nothing is kept.",
    ),
    (RAN, "It ran on a TensorFlow thread. 26 % of its work overlapped with training."),
    (
        replace(RAN, lane=None, overlap_ratio=0.0, only_stage=False),
        "None of the input's work overlapped with training.",
    ),
    (
        replace(RAN, first_calls=2, estimated=True, lane=LaneReference(name="x", role=Role.OTHER)),
        "It ran on the thread x. About 26 % of its work overlapped with training (estimated). "
        "Its first 2 calls ran on the thread that trains.",
    ),
    (
        replace(RAN, lane=LaneReference(name="my thread", role=Role.INPUT), overlap_ratio=None),
        "It ran on the thread my thread.",
    ),
    (replace(RAN, trains=True, overlap_ratio=None), "It ran on the thread that trains."),
    (
        replace(RAN, lane=LaneReference(name="main", role=Role.MAIN), overlap_ratio=None),
        "It ran on the main thread.",
    ),
    (
        Traffic(disk_bytes_per_s=2.5e6, network_bytes_per_s=1.2e8),
        "During this time 2.5 MB/s came from disk and 120 MB/s came over the network.",
    ),
    (
        OneBatchAtATime(workers=1),
        "With workers=1 and no processes, batches are loaded one by one.",
    ),
    (
        WorkersAndTransport(work_ms=60.0, transport_ms=9.5),
        "Worker processes take 60.0 ms of work per step off the training's process; the transport of "
        "their batches takes 9.5 ms.",
    ),
    (
        ForkedWorkers(),
        "The worker processes are forked while TensorFlow runs threads, so they may hang. "
        "multiprocessing.set_start_method('forkserver') is safe.",
    ),
    (
        UnseenInput(seen_ms=2.0, wait_ms=20.0),
        "The stages that were seen work 2.0 ms per step, but a step waits 20.0 ms: some part of the "
        "input was not seen.",
    ),
    (
        CpuTimeBounded(),
        "The CPU time of this stage was not measured: 'at most' comes from the CPU time of all "
        "processes.",
    ),
    (
        SharedCores(cores=4),
        "Input and training share 4 cores: 'with input for free' is an estimate.",
    ),
    (
        SharedCores(cores=2, idle=("GPU 0", "GPU 1")),
        "The training does not use GPU 0 and GPU 1. Input and training share 2 cores: 'with input for "
        "free' is an estimate.",
    ),
    (
        DeviceMayRunAhead(recorded_by=RecordedBy.COMMAND, traceable=True),
        "Steps may return before the device has done their work, which then looks like waiting for "
        "input: the gain with input for free is an upper bound. Measure how busy the device is with "
        "--trace-steps 10, or the limit with pipeprof ceiling.",
    ),
    (
        DeviceMayRunAhead(recorded_by=RecordedBy.PYTHON, traceable=True),
        "Steps may return before the device has done their work, which then looks like waiting for "
        "input: the gain with input for free is an upper bound. Measure how busy the device is with "
        "trace_steps=10, or the limit with pipeprof.ceiling().",
    ),
    (
        DeviceMayRunAhead(recorded_by=RecordedBy.COMMAND, traceable=False),
        "Steps may return before the device has done their work, which then looks like waiting for "
        "input: the gain with input for free is an upper bound. Measure the limit with pipeprof "
        "ceiling.",
    ),
    (WaitsOfSomeSteps(measured=17, counted=20), "Waits were measured in 17 of 20 steps."),
    (
        WaitsOfTracedSteps(steps=40, traced_step_ms=30.0, step_ms=26.0),
        "Waits were measured in 40 traced steps, which took 30.0 ms; all steps took 26.0 ms. Tracing "
        "slows steps down.",
    ),
    (
        CONTRADICTION,
        "TensorFlow's profiler measured a mean wait of 15.0 ms in 3 steps, pipeprof 20.0 ms: one of "
        "the two is wrong.",
    ),
    (
        replace(CONTRADICTION, traced_ms=25.0, way_unmeasured=True),
        "TensorFlow's profiler measured a mean wait of 25.0 ms in 3 steps, pipeprof 20.0 ms: the way "
        "of a batch from the generator to the training was not measured.",
    ),
    (EventsLost(dropped=1, events=1_000), "1 of 1,000 events was lost."),
    (
        OpaqueGenerator(stage=DECODE, newer_python_helps=False, recorded_by=RecordedBy.PYTHON),
        "pipeprof could not look inside decode. To see its parts, mark them with "
        'pipeprof.stage("name"), or sample its lines with stacks=True.',
    ),
    (
        OpaqueGenerator(stage=DECODE, newer_python_helps=True, recorded_by=RecordedBy.COMMAND),
        "pipeprof could not look inside decode. To see its parts, mark them with "
        'pipeprof.stage("name"), or sample its lines with --stacks. Python 3.12 and later times '
        "inner generators without marks.",
    ),
)

REASONS: tuple[tuple[WorkReason, str], ...] = (
    (
        HelperWork(count=2, cpu_ratio=0.97, free_cores=0.1),
        "It waits for 2 processes of its own, on the CPU for 97 % of their time; no core is free.",
    ),
    (
        HelperWork(count=1, cpu_ratio=0.12, free_cores=5.96),
        "It waits for 1 process of its own, on the CPU for 12 % of its time; 6 cores are free.",
    ),
    (
        HelperWork(count=2, cpu_ratio=0.5, free_cores=None),
        "It waits for 2 processes of its own, on the CPU for 50 % of their time.",
    ),
    (
        BlockingWork(cpu_ratio=0.02, upper_bound=False),
        "It mostly waits (files, network or sleep): 2.0 % of its time is on the CPU.",
    ),
    (
        BlockingWork(cpu_ratio=0.1, upper_bound=True),
        "It mostly waits (files, network or sleep): at most 10 % of its time is on the CPU.",
    ),
    (
        TransportWork(batch_bytes=38_500_000),
        "It sends batches (38.5 MB each) from the worker processes to the training.",
    ),
    (
        TransportWork(batch_bytes=None),
        "It sends batches from the worker processes to the training.",
    ),
    (
        ThrottledWork(limit=1.5, throttled_ratio=0.6),
        "The container's limit of 1.5 cores stopped it in 60 % of the scheduling periods.",
    ),
    (
        QueuedWork(queued_ratio=0.45),
        "For 45 % of its time it was ready to run, but no CPU was free.",
    ),
    (
        SaturatedWork(process_ratio=0.97, machine_ratio=None, cpu_known=False),
        "97 % of the CPU is in use: no core is free. Its own CPU time was not measured.",
    ),
    (
        SaturatedWork(process_ratio=0.67, machine_ratio=0.96, cpu_known=True),
        "96 % of the machine's CPU is in use, 67 % by this training: no core is free.",
    ),
    (
        GilWork(held_ratio=0.96, cpu_known=True),
        "It is Python code: its threads held the GIL for 96 % of the time, one by one.",
    ),
    (
        GilWork(held_ratio=None, cpu_known=True),
        "It is Python code, and the GIL lets one thread of a process run at a time.",
    ),
    (CoreFreeWork(), "It computes, and a core is free."),
    (
        OutOfOrderWork(late_ratio=0.75),
        "In 75 % of the waiting a later batch was ready, but not the next one in order.",
    ),
    (SerialWork(python=True, cpu_known=True), "It is Python code under the GIL."),
    (
        SerialWork(python=False, cpu_known=False),
        "It makes one call after the other. Its own CPU time was not measured.",
    ),
    (SlowestInsideEpochs(), "It is the slowest stage inside the epochs."),
    (
        ComputingWork(cpu_known=True),
        "It computes and already uses all the CPU that it may use.",
    ),
)


def test_every_kind_has_its_sentence_here() -> None:
    assert {type(evidence) for evidence, _ in SENTENCES} == set(get_args(Evidence))
    assert {type(reason) for reason, _ in REASONS} == set(get_args(WorkReason))


@pytest.mark.parametrize(("evidence", "sentence"), SENTENCES)
def test_what_evidence_says(evidence: Evidence, sentence: str) -> None:
    assert evidence_sentence(evidence) == sentence


@pytest.mark.parametrize(("reason", "sentence"), REASONS)
def test_why_a_bottleneck_is_too_slow(reason: WorkReason, sentence: str) -> None:
    assert evidence_sentence(replace(AT_WORK, reason=reason)).endswith(
        f", without a pause. {sentence}"
    )


@pytest.mark.parametrize(
    ("calls", "at_once", "words"),
    [
        (CallKind.WORKER, 4, "in 4 workers,"),
        (CallKind.WORKER_PROCESS, 1, "in 1 worker process,"),
        (CallKind.WORKER_PROCESS, 2, "in 2 worker processes,"),
        (CallKind.CALL, 1, "in one call at a time,"),
        (CallKind.PARALLEL_CALL, 2.5, "in up to 2.5 calls at once,"),
        (CallKind.THREAD, 3, "on 3 threads,"),
    ],
)
def test_what_runs_the_calls_of_a_bottleneck(calls: CallKind, at_once: float, words: str) -> None:
    said = evidence_sentence(replace(AT_WORK, calls=calls, at_once=at_once))
    assert f"29.8 ms per step {words}" in said
