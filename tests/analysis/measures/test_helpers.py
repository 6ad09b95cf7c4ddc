"""Processes that a stage waits for, beside those that idle."""

from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.input_remedies import LessWork, MoreHelpers
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.wait_evidence_kinds import BottleneckAtWork
from pipeprof.analysis.findings.work_reasons import HelperWork
from pipeprof.recording.lane import Cpu, Lane, LaneKind, Role, StageSamples
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import StageKind
from tests.builders import MS, PID, evenly, lane, loop, profile, stage, those

FIT = loop()
WHOLE_NS = FIT.end_ns - FIT.start_ns


def child(cpu_ratio: float, number: int = 1, kind: LaneKind = LaneKind.WORKER_PROCESS) -> Lane:
    cpu_ns = round(cpu_ratio * WHOLE_NS)
    return lane(
        "worker process", Role.WORKER, kind=kind, pid=PID + number, cpu_ns=cpu_ns, during=FIT
    )


def recorded(
    waiting: int, *children: Lane, cpu_ratio: float = 0.01, samples: int = 30, work_on: int = 0
) -> Profile:
    """A generator of 20 ms in a step of 30, seen so many times of ``samples`` waiting for a pool."""
    seen = StageSamples(waiting=waiting, samples=samples) if samples else None
    main = replace(lane("TensorFlow thread", Role.INPUT, during=FIT), in_stages=seen)
    used = evenly((WHOLE_NS,), FIT.start_ns, FIT.end_ns)
    return profile(
        loops=(FIT,),
        stages=(stage("rendered", cpu_ratio=cpu_ratio, lanes={work_on: 100 * 20 * MS}),),
        lanes=(main, *children),
        cpu=Cpu(cores=4, limit=None, used=used),
    )


def cause(recording: Profile) -> Cause:
    main = analyse(recording).main
    assert main is not None
    return main.diagnosis.cause


@pytest.mark.parametrize("kind", [LaneKind.WORKER_PROCESS, LaneKind.PROGRAM])
def test_a_stage_that_waits_for_processes_at_work_waits_for_helpers(kind: LaneKind) -> None:
    recording = recorded(28, child(0.5, 1, kind), child(0.5, 2, kind))
    main = analyse(recording).main
    assert main is not None
    assert main.diagnosis.cause is Cause.HELPERS
    [works] = those(BottleneckAtWork, main.diagnosis.evidence)
    assert works.reason == HelperWork(count=2, cpu_ratio=0.5, free_cores=3.0)


def test_helpers_that_wait_themselves_are_helpers_too() -> None:
    assert cause(recorded(28, child(0.02), child(0.02, 2))) is Cause.HELPERS


def test_a_stage_that_waits_for_a_socket_beside_processes_blocks() -> None:
    assert cause(recorded(0, child(0.9), child(0.9, 2))) is Cause.BLOCKING


def test_a_stage_that_waits_for_a_pool_of_threads_beside_processes_that_idle_blocks() -> None:
    assert cause(recorded(28, child(0.0), child(0.0, 2))) is Cause.BLOCKING


def test_a_stage_that_waits_for_a_pool_of_threads_without_any_process_blocks() -> None:
    assert cause(recorded(28)) is Cause.BLOCKING


@pytest.mark.parametrize("samples", [0, 3])
def test_where_too_little_was_seen_nobody_is_said_to_help(samples: int) -> None:
    assert cause(recorded(samples, child(0.5), samples=samples)) is Cause.BLOCKING


def test_a_stage_that_computes_itself_does_not_wait_for_helpers() -> None:
    assert cause(recorded(28, child(0.5), cpu_ratio=0.9)) is not Cause.HELPERS


def test_workers_that_record_their_own_stages_are_no_helpers() -> None:
    recording = recorded(28, child(0.5))
    item = stage("Photos", StageKind.SEQUENCE, cost_ns=MS, lanes={1: 100 * MS})
    assert cause(replace(recording, stages=(*recording.stages, item))) is Cause.BLOCKING


def remedy(*children: Lane, used: float) -> object:
    """What is advised beside so much use of 4 cores."""
    recording = recorded(28, *children)
    used_ns = round(used * 4 * WHOLE_NS)
    cpu = replace(recording.cpu, used=evenly((used_ns,), FIT.start_ns, FIT.end_ns))
    main = analyse(replace(recording, cpu=cpu)).main
    assert main is not None
    return next(
        advice.remedy
        for advice in main.diagnosis.advice
        if isinstance(advice.remedy, MoreHelpers | LessWork)
    )


def test_more_helpers_are_advised_as_far_as_there_are_cores() -> None:
    busy = (child(0.9), child(0.9, 2))
    assert remedy(*busy, used=0.5) == MoreHelpers(stage="rendered", processes=4, waits=False)
    assert remedy(*busy, used=1.0) == LessWork(stage="rendered", by_user=True, no_core_free=True)


def test_helpers_that_wait_need_no_cores_for_more() -> None:
    advised = remedy(child(0.1), child(0.1, 2), used=0.5)
    assert advised == MoreHelpers(stage="rendered", processes=4, waits=True)
