"""Hyper-threads count as what they give."""

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.machine_findings import CpuFinding
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.cores import (
    at_full_speed,
    cores_allowed,
    used_ratio,
    worth_of_cores,
)
from pipeprof.recording.lane import Cpu
from pipeprof.recording.profile import Profile
from tests.builders import evenly, loop, profile, stage


def cpu(cores: int, physical: int | None = None, limit: float | None = None) -> CpuFinding:
    return CpuFinding(
        cores=cores, physical_cores=physical, limit=limit, process_ratio=None, saturated=None
    )


@pytest.mark.parametrize(
    ("processors", "worth"),
    [
        (cpu(4), 4.0),
        (cpu(4, 4), 4.0),
        (cpu(4, 2), 2.5),
        (cpu(2, 1), 1.25),
        (cpu(8, 4, limit=3.0), 3.0),
        (cpu(8, 4, limit=6.0), 4.5),
    ],
)
def test_a_second_thread_adds_a_quarter_of_a_core(processors: CpuFinding, worth: float) -> None:
    assert worth_of_cores(processors) == worth


def test_cores_get_one_thread_each_before_any_gets_a_second() -> None:
    assert at_full_speed(2.0, cpu(4, 2)) == 2.0
    assert at_full_speed(3.0, cpu(4, 2)) == 2.25
    assert used_ratio(0.5, cpu(4, 2)) == 0.8
    assert used_ratio(1.0, cpu(4, 2)) == 1.0
    assert used_ratio(0.5, cpu(4)) == 0.5
    assert cores_allowed(cpu(4, 2)) == 4


def computing(physical: int | None, used: float) -> Profile:
    """A generator that computes in a training that uses so much of the time of 2 processors."""
    fit = loop()
    used_ns = round(2 * used * (fit.end_ns - fit.start_ns))
    return profile(
        loops=(fit,),
        stages=(stage(cpu_ratio=0.97, during=fit),),
        cpu=Cpu(
            cores=2,
            limit=None,
            physical_cores=physical,
            used=evenly((used_ns,), fit.start_ns, fit.end_ns),
        ),
    )


def cause(recording: Profile) -> Cause:
    main = analyse(recording).main
    assert main is not None
    return main.diagnosis.cause


def test_a_second_call_at_once_needs_a_second_core() -> None:
    assert cause(computing(None, 0.5)) is Cause.SERIAL
    assert cause(computing(2, 0.5)) is Cause.SERIAL
    assert cause(computing(1, 0.5)) is Cause.CPU


def test_one_core_is_full_before_the_time_of_both_its_threads_is_used() -> None:
    assert cause(computing(2, 0.8)) is Cause.SERIAL
    assert cause(computing(1, 0.8)) is Cause.CPU_SATURATED
