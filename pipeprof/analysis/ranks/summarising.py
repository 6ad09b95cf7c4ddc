"""Makes the summary of one process's findings, for the verdict on all that train together."""

import numpy as np

from pipeprof.analysis.findings.findings import Findings, LoopFinding, StageFinding
from pipeprof.analysis.findings.rank_summary import (
    FIRST_STEPS,
    LAST_STEPS,
    MOST_BLOCKS,
    Processors,
    RankSummary,
    StageBrief,
    StepSeries,
    TrainingFacts,
)
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.recording.loop import LOOP_CHANNELS, Loop
from pipeprof.recording.rank import Machine
from pipeprof.recording.series import FloatArray, IntArray

_MOST_STAGES = 8
_STEPS, _STEP_NS, _MEASURED, _MEASURED_NS, _WAIT_NS, _CALLBACK_NS = range(len(LOOP_CHANNELS))


def summarise(findings: Findings) -> RankSummary:
    """The summary of one process's findings."""
    profile, main = findings.profile, findings.main
    run, cpu = profile.run, findings.cpu
    diagnosis = main.diagnosis if main else None
    wall = diagnosis.wall if diagnosis else None
    loop = main.loop if main else None
    briefs = (
        {stage.index: _brief(stage, diagnosis.counted_steps) for stage in findings.stages}
        if (diagnosis)
        else {}
    )
    slowest = diagnosis.bottleneck if diagnosis else None
    account: dict[str, int] = {}
    for row in findings.account.rows:
        account[row.part.value] = account.get(row.part.value, 0) + row.ns
    return RankSummary(
        rank=run.rank,
        host=run.hosts[0] if run.hosts else "",
        pid=next((lane.pid for lane in profile.lanes), None),
        run=run.name,
        finished=run.complete,
        ended_by=run.ended_by,
        error=run.error,
        exit_code=run.exit_code,
        start_unix_ns=run.anchor.to_unix_ns(run.start_ns),
        end_unix_ns=run.anchor.to_unix_ns(run.end_ns),
        versions=run.versions,
        machine=run.machine or Machine(),
        processors=Processors(
            cores=cpu.cores,
            limit=cpu.limit,
            process_ratio=cpu.process_ratio,
            machine_ratio=cpu.machine_ratio,
            throttled_ratio=cpu.throttled_ratio,
        ),
        facts=_facts(findings),
        epochs=loop.epochs if loop else 0,
        steps=loop.step_count if loop else 0,
        warmup_steps=loop.warmup_steps if loop else 0,
        samples=loop.sample_count if loop else None,
        wall_ns=main.account.wall_ns if main else 0,
        bound=diagnosis.bound if diagnosis else Bound.UNKNOWN,
        cause=diagnosis.cause if diagnosis else Cause.NONE,
        wait_ratio=wall.wait_ratio if wall else None,
        host_ratio=wall.host_ratio if wall else None,
        step_ms=diagnosis.step_ms if diagnosis else None,
        wait_ms=diagnosis.wait_ms if diagnosis else None,
        compute_ms=diagnosis.compute_ms if diagnosis else None,
        callback_ms=diagnosis.callback_ms if diagnosis else None,
        bottleneck=briefs.get(slowest.index) if slowest and slowest.index is not None else None,
        stages=_dearest(list(briefs.values())),
        account_ns=account,
        series=step_series(loop, run.anchor.to_unix_ns(0)) if loop and len(loop.steps) else None,
        dropped_events=profile.overhead.dropped,
    )


def _brief(found: StageFinding, steps: int) -> StageBrief:
    stage = found.stage
    return StageBrief(
        name=stage.name,
        kind=stage.kind.value,
        location=str(stage.location) if stage.location else None,
        cost_ms=found.cost_ms,
        elements=found.elements / max(steps, 1),
        cpu_ratio=found.cpu_ratio,
        parallelism=found.parallelism,
    )


def _dearest(briefs: list[StageBrief]) -> tuple[StageBrief, ...]:
    return tuple(sorted(briefs, key=lambda brief: -brief.cost_ms)[:_MOST_STAGES])


def _facts(findings: Findings) -> TrainingFacts:
    main, argv = findings.main, findings.profile.run.argv
    model = main.loop.trained_model if main else None
    delivery = findings.delivery
    return TrainingFacts(
        # Of a process that died, the command line may still be that of `pipeprof run`.
        script=argv[0].rpartition("/")[2] if argv and findings.profile.run.complete else None,
        loop=_loop_fact(main) if main else None,
        model=None
        if model is None or model.parameters is None
        else f"{model.optimizer} {model.parameters}",
        data=None
        if delivery is None or delivery.dtypes is None or delivery.shapes is None
        else " ".join(
            f"{dtype}{list(shape[1:])}"
            for dtype, shape in zip(delivery.dtypes, delivery.shapes, strict=False)
        ),
    )


def _loop_fact(main: LoopFinding) -> str:
    location = main.loop.location
    return f"{main.loop.kind.value} {location.short if location else ''}".strip()


def step_series(loop: Loop, unix_offset_ns: int) -> StepSeries:
    """The steps of a loop for its summary.

    Args:
        loop: the loop.
        unix_offset_ns: nanoseconds since 1970 at the zero of the recording's clock.
    """
    kept = loop.steps
    count = len(kept)
    chosen = np.arange(count)
    if count > FIRST_STEPS + LAST_STEPS:
        chosen = np.r_[0:FIRST_STEPS, count - LAST_STEPS : count]
    steps = np.column_stack(
        [
            kept.ordinal[chosen],
            kept.end_ns[chosen] + unix_offset_ns,
            (kept.end_ns - kept.start_ns)[chosen],
            kept.wait_ns[chosen],
        ]
    )
    width = block_steps(loop.step_count)
    whole = count == loop.step_count
    blocks = _exact_blocks(loop, width) if whole else _interpolated_blocks(loop, width)
    return StepSeries(steps=steps, block_steps=width, blocks=blocks)


def block_steps(step_count: int) -> int:
    """How many steps a block has: the least power of two with which `MOST_BLOCKS` blocks are enough."""
    width = 1
    while width * MOST_BLOCKS < step_count:
        width *= 2
    return width


def _exact_blocks(loop: Loop, width: int) -> IntArray:
    steps = loop.steps
    duration = steps.end_ns - steps.start_ns
    known = steps.measured
    edges, sums = _cumulated(loop)
    called = np.diff(np.interp(steps.end_ns, edges, sums[:, _CALLBACK_NS]), prepend=0.0)
    columns = np.column_stack(
        [
            np.ones(len(steps)),
            duration,
            known,
            duration * known,
            steps.wait_ns * known,
            np.clip(called, 0, None),
        ]
    )
    block = np.arange(len(steps)) // width
    sums = np.zeros((int(block[-1]) + 1, len(LOOP_CHANNELS)))
    np.add.at(sums, block, columns)
    return _whole(sums)


def _interpolated_blocks(loop: Loop, width: int) -> IntArray:
    _, sums = _cumulated(loop)
    count = loop.step_count
    borders = np.minimum(np.arange(0, count + width, width), count)
    # Every channel as a function of how many steps had ended.
    done = sums[:, _STEPS] * (count / max(float(sums[-1, _STEPS]), 1.0))
    reached = np.interp(borders, done, np.arange(len(done)))
    at_border = np.column_stack(
        [np.interp(reached, np.arange(len(done)), sums[:, each]) for each in range(sums.shape[1])]
    )
    blocks = np.diff(at_border, axis=0)
    blocks[:, _STEPS] = np.diff(borders)
    return _whole(blocks)


def _whole(values: FloatArray) -> IntArray:
    rounded: IntArray = values.round().astype(np.int64)
    return rounded


def _cumulated(loop: Loop) -> tuple[IntArray, FloatArray]:
    """The edges of the loop's time bins, and each channel's sum until each."""
    bins = loop.over_time
    edges = bins.start_ns + bins.width_ns * np.arange(len(bins.sums) + 1, dtype=np.int64)
    start = np.zeros((1, bins.sums.shape[1]))
    return edges, np.vstack([start, np.cumsum(bins.sums, axis=0, dtype=np.float64)])
