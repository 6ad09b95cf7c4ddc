"""Native threads under Python code: what they compute while the training waits is the input's."""

from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import BottleneckAtWork, NativeThreads
from pipeprof.analysis.findings.work_reasons import BlockingWork, SerialWork
from pipeprof.recording.lane import Cpu, LaneKind, Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import Stage, StageKind
from tests.builders import (
    MS,
    PID,
    START_NS,
    evenly,
    lane,
    loop,
    profile,
    run_info,
    stage,
    those,
)

TRAINING, TENSORFLOW, NATIVE, ELSEWHERE = range(4)
# 20 ms of waiting and 10 of computing, 100 times; 0.4 s of moments in waits.
IN_WAITS_NS, COMPUTING_NS = 400 * MS, 200 * MS


def waits(cores: float, *, computing: float = 1.9) -> Loop:
    """A loop; so many cores were in use while it waited, and while it computed."""
    fit = loop(lane=TRAINING)
    totals = (IN_WAITS_NS, cores * IN_WAITS_NS, COMPUTING_NS, computing * COMPUTING_NS)
    moments = evenly([round(total) for total in totals], fit.start_ns, fit.end_ns)
    return replace(fit, moments_over_time=moments)


def recorded(
    fit: Loop, *stages: Stage, backend: str | None = "tensorflow", queued_ns: int = 0
) -> Profile:
    threads = (
        lane("main", Role.MAIN),
        lane("TensorFlow thread", Role.INPUT),
        lane("python", Role.OTHER, kind=LaneKind.NATIVE, cpu_ns=1_000 * MS, queued_ns=queued_ns),
        lane("worker process", Role.WORKER, kind=LaneKind.WORKER_PROCESS, pid=PID + 1),
    )
    run = replace(run_info(end_ns=fit.end_ns), backend=backend)
    used = evenly((3_000 * MS,), fit.start_ns, fit.end_ns)
    cpu = Cpu(cores=4, limit=None, used=used)
    return profile(loops=(fit,), stages=stages, lanes=threads, run=run, cpu=cpu)


def generator(cpu_ratio: float = 0.1, cost_ns: int = 29 * MS, on: int = TENSORFLOW) -> Stage:
    return stage("features", cost_ns=cost_ns, cpu_ratio=cpu_ratio, lanes={on: 100 * cost_ns})


def cause(findings: Findings) -> Cause:
    assert findings.main is not None
    assert findings.main.diagnosis.bound is Bound.INPUT
    return findings.main.diagnosis.cause


def test_what_native_threads_compute_while_the_training_waits_is_the_generators() -> None:
    findings = analyse(recorded(waits(1.5), generator()))
    assert cause(findings) is Cause.CPU
    assert findings.main is not None
    [native] = those(NativeThreads, findings.main.diagnosis.evidence)
    assert (native.cores, native.own_cpu_ratio) == pytest.approx((1.4, 0.1))
    [works] = those(BottleneckAtWork, findings.main.diagnosis.evidence)
    assert works.reason is None
    assert findings.stages[0].native_cores == pytest.approx(1.4)


def test_a_generator_that_sleeps_while_the_training_computes_in_these_threads_blocks() -> None:
    findings = analyse(recorded(waits(0.1, computing=4.0), generator(cpu_ratio=0.02)))
    assert cause(findings) is Cause.BLOCKING
    assert findings.main is not None
    assert those(NativeThreads, findings.main.diagnosis.evidence) == []


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_what_computes_while_a_device_may_run_ahead_is_nobodys(backend: str) -> None:
    assert cause(analyse(recorded(waits(1.5), generator(), backend=backend))) is Cause.BLOCKING


def test_too_few_moments_show_nothing() -> None:
    fit = waits(1.5)
    assert fit.moments_over_time is not None
    few = replace(fit.moments_over_time, sums=fit.moments_over_time.sums // 100)
    assert (
        cause(analyse(recorded(replace(fit, moments_over_time=few), generator()))) is Cause.BLOCKING
    )


def test_native_threads_that_stand_in_the_queue_for_a_cpu_want_to_compute() -> None:
    quiet = analyse(recorded(waits(0.35), generator()))
    crowded = analyse(recorded(waits(0.35), generator(), queued_ns=2_000 * MS))
    assert (cause(quiet), cause(crowded)) == (Cause.BLOCKING, Cause.CPU_SATURATED)


def test_what_a_stage_itself_computes_is_not_counted_again() -> None:
    computes = generator(cpu_ratio=0.9, cost_ns=20 * MS)
    sleeps = stage("reads", cost_ns=28 * MS, cpu_ratio=0.0, lanes={NATIVE: 2_800 * MS})
    findings = analyse(recorded(waits(0.9), computes, sleeps))
    assert cause(findings) is Cause.BLOCKING


def test_workers_of_another_process_have_no_part_in_it() -> None:
    findings = analyse(recorded(waits(1.5), generator(on=ELSEWHERE)))
    assert findings.stages[0].native_cores is None
    assert cause(findings) is Cause.BLOCKING


def of_tf_data(cost_ns: int = 29 * MS) -> Stage:
    made = stage("decode", StageKind.TF_DATA, cost_ns=cost_ns, cpu_ratio=None, lanes={})
    return replace(made, function="decode")


def test_the_cpu_time_of_tf_datas_functions_is_bounded_by_what_ran_while_the_training_waited() -> (
    None
):
    # Over all the time the training's own computing hides that they sleep.
    sleeping = analyse(recorded(waits(0.05, computing=4.0), of_tf_data()))
    assert cause(sleeping) is Cause.BLOCKING
    assert sleeping.main is not None
    [works] = those(BottleneckAtWork, sleeping.main.diagnosis.evidence)
    assert works.reason == BlockingWork(cpu_ratio=pytest.approx(0.05), upper_bound=True)
    assert cause(analyse(recorded(waits(0.95), of_tf_data()))) is Cause.SERIAL


def test_recordings_without_moments_are_analysed_as_before() -> None:
    fit = replace(waits(1.5), moments_over_time=None)
    assert cause(analyse(recorded(fit, generator()))) is Cause.BLOCKING
    assert fit.start_ns == START_NS


def beside_private_threads(cpu_ns: int) -> Findings:
    """A function of tf.data whose loop was not looked at in moments, beside threads of tf.data's own."""
    recording = recorded(replace(waits(0.0), moments_over_time=None), of_tf_data())
    private = lane("tf_data_private", Role.INPUT, kind=LaneKind.TF_DATA_POOL, cpu_ns=cpu_ns)
    return analyse(replace(recording, lanes=(*recording.lanes, private)))


def test_what_tf_datas_own_threads_compute_is_its_functions() -> None:
    assert cause(beside_private_threads(2_800 * MS)) is Cause.SERIAL
    computing = beside_private_threads(2_800 * MS).main
    assert computing is not None
    [works] = those(BottleneckAtWork, computing.diagnosis.evidence)
    assert works.reason == SerialWork(python=False, cpu_known=True)


def test_threads_of_tf_data_that_compute_little_prove_nothing() -> None:
    computing = beside_private_threads(100 * MS).main
    assert computing is not None
    [works] = those(BottleneckAtWork, computing.diagnosis.evidence)
    assert works.reason == SerialWork(python=False, cpu_known=False)


@pytest.mark.parametrize(("cpu_ns", "found"), [(2_800 * MS, Cause.CPU), (100 * MS, Cause.BLOCKING)])
def test_python_threads_compute_for_the_input_where_a_device_runs_ahead(
    cpu_ns: int, found: Cause
) -> None:
    recording = recorded(waits(1.9), generator(cpu_ratio=0.01), backend="jax")
    pool = lane("ThreadPoolExecutor-N_N", Role.OTHER, tid=PID + 9, cpu_ns=cpu_ns)
    own = lane(
        "pipeprof-collector",
        Role.OTHER,
        tid=PID + 8,
        kind=LaneKind.PIPEPROF,
        cpu_ns=3_000 * MS,
    )
    assert cause(analyse(replace(recording, lanes=(*recording.lanes, pool, own)))) is found


def test_a_function_that_stands_in_the_queue_for_a_cpu_does_not_sleep() -> None:
    quiet = analyse(recorded(waits(0.2), of_tf_data()))
    crowded = analyse(recorded(waits(0.2), of_tf_data(), queued_ns=4_000 * MS))
    assert (cause(quiet), cause(crowded)) == (Cause.BLOCKING, Cause.SERIAL)
