"""What stages cost a step, where only some steps show it."""

import pytest

from pipeprof.analysis.measures.costs import StageCost, stage_costs
from pipeprof.analysis.measures.counted_time import counted_times
from pipeprof.recording.loop import UNKNOWN_NS, LoopKind, WaitSource
from pipeprof.recording.stage import StageKind
from tests.builders import MS, cut_short, loop, profile, stage

STEPS, EVERY = 50, 5
TRACED = [step % EVERY == 1 for step in range(STEPS)]


def cost_of(
    kind: StageKind, of: LoopKind, waits_by: WaitSource, *, kept: int | None = None
) -> StageCost:
    """A stage that was recorded to work 4 ms a step, 20 ms for each step whose wait is known."""
    train = loop(
        of,
        steps=STEPS,
        wait_ns=[20 * MS if traced else UNKNOWN_NS for traced in TRACED],
        compute_ns=[10 * MS if traced else 30 * MS for traced in TRACED],
        warmup=1,
        waits_by=waits_by,
    )
    if kept is not None:
        train = cut_short(train, kept, kept)
    fetch = stage("fetch", kind, cost_ns=4 * MS, calls=400, cpu_ratio=None, during=train)
    recorded = profile(loops=(train,), stages=(fetch,))
    [[cost]] = stage_costs(recorded, counted_times(recorded.loops))
    return cost


@pytest.mark.parametrize("kind", [StageKind.TF_DATA, StageKind.TF_DATA_PYTHON])
@pytest.mark.parametrize("kept", [None, 10])
def test_steps_of_a_graph_that_were_not_traced_work_as_those_that_were(
    kind: StageKind, kept: int | None
) -> None:
    cost = cost_of(kind, LoopKind.CUSTOM, WaitSource.TRACE, kept=kept)
    assert cost.cost_ms == pytest.approx(20.0, rel=0.05)
    assert cost.at_work == pytest.approx(20 / 30, rel=0.05)
    assert cost.estimated_ratio == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "of", "waits_by"),
    [
        (StageKind.GENERATOR, LoopKind.CUSTOM, WaitSource.TRACE),  # timed in each step
        (StageKind.TF_DATA, LoopKind.FIT, WaitSource.TRACE),
        (StageKind.TF_DATA, LoopKind.CUSTOM, WaitSource.GAP_TIMES),
    ],
)
def test_what_is_counted_in_each_step_is_not_scaled(
    kind: StageKind, of: LoopKind, waits_by: WaitSource
) -> None:
    cost = cost_of(kind, of, waits_by)
    assert cost.cost_ms == pytest.approx(4.0, rel=0.05)
    assert cost.estimated_ratio == 0.0
