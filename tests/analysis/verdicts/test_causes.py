"""Causes that hang on what computes for a stage, on costs as they were found."""

from dataclasses import replace

import pytest

from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.costs import stage_costs
from pipeprof.analysis.measures.counted_time import counted_times
from pipeprof.analysis.measures.lane_use import cpu_finding
from pipeprof.analysis.verdicts.causes import CauseContext, find_cause
from pipeprof.recording.lane import Cpu, Role
from pipeprof.recording.level_names import Level
from pipeprof.recording.loop import Input, InputKind
from pipeprof.recording.stage import StageKind
from tests.builders import MS, SECOND, evenly, gauge, lane, loop, profile, stage

CORES = 4


@pytest.mark.parametrize(
    ("cpu_ratio", "native_cores", "cause"),
    [
        (0.01, 0.9, Cause.CPU),  # others compute for them, who need no GIL
        (0.45, None, Cause.GIL),
        (0.45, 0.1, Cause.GIL),
    ],
)
def test_workers_for_whom_other_threads_compute_do_not_take_turns_at_the_gil(
    cpu_ratio: float, native_cores: float | None, cause: Cause
) -> None:
    fit = loop(fed_by=Input(kind=InputKind.SEQUENCE, name="Images", workers=2))
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=55 * MS,
        cpu_ratio=cpu_ratio,
        lanes={1: SECOND, 2: SECOND},
        workers=2,
        during=fit,
    )
    used = evenly((round((fit.end_ns - fit.start_ns) * CORES * 0.4),), fit.start_ns, fit.end_ns)
    recorded = profile(
        loops=(fit,),
        stages=(load,),
        lanes=(
            lane(during=fit),
            *(lane(f"worker {n}", Role.WORKER, tid=5_000 + n, during=fit) for n in (1, 2)),
        ),
        cpu=Cpu(cores=CORES, limit=None, used=used),
    )
    times = counted_times(recorded.loops)
    [[cost]] = stage_costs(recorded, times)
    computes = replace(cost, native_cores=native_cores)
    context = CauseContext(
        costs=(computes,), lanes=recorded.lanes, cpu=cpu_finding(recorded, times[0])
    )

    assert find_cause(computes, context) is cause


@pytest.mark.parametrize(
    ("cpu_ratio", "queued_ratio", "own", "cause"),
    [
        (0.22, 0.30, 0.25, Cause.GIL),  # four threads use one core; other programs have the rest
        (0.22, 0.55, 0.25, Cause.CPU_SATURATED),  # they mostly stand ready without a CPU
        (0.22, 0.30, 0.99, Cause.CPU_SATURATED),  # the training's own work fills the cores
        (0.45, 0.20, 0.50, Cause.CPU_SATURATED),  # they use two cores: they leave the GIL
    ],
)
def test_threads_that_take_turns_at_the_gil_wait_for_it_whoever_has_the_cores(
    cpu_ratio: float, queued_ratio: float, own: float, cause: Cause
) -> None:
    fit = loop(fed_by=Input(kind=InputKind.SEQUENCE, name="Sentences", workers=4))
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=115 * MS,
        cpu_ratio=cpu_ratio,
        lanes=dict.fromkeys(range(1, 5), SECOND),
        workers=4,
        during=fit,
    )
    used = evenly((round((fit.end_ns - fit.start_ns) * CORES * own),), fit.start_ns, fit.end_ns)
    recorded = profile(
        loops=(fit,),
        stages=(load,),
        lanes=(
            lane(during=fit),
            *(lane(f"worker {n}", Role.WORKER, tid=5_000 + n, during=fit) for n in range(1, 5)),
        ),
        cpu=Cpu(cores=CORES, limit=None, used=used),
        gauges={Level.MACHINE_CPU.value: gauge(990_000)},
    )
    times = counted_times(recorded.loops)
    [[cost]] = stage_costs(recorded, times)
    queued = replace(cost, queued_ratio=queued_ratio)
    context = CauseContext(
        costs=(queued,), lanes=recorded.lanes, cpu=cpu_finding(recorded, times[0])
    )

    assert context.cpu.saturated
    assert find_cause(queued, context) is cause
