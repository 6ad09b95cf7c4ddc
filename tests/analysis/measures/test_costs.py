"""What stages cost per step: where the counted time has all of their work, and where it has not."""

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.stage import Stage, StageKind
from tests.builders import MS, profile, stage

STEPS, BATCH = 100, 16


def costs_beneath_a_shuffle(*, made: int, given: int) -> dict[str, tuple[float, float]]:
    """Cost and estimated part of `load`, whose calls are of 1 ms, and of `read` beneath it."""

    def running(name: str, calls: int, parent: int | None, each_ns: int) -> Stage:
        return stage(
            name,
            StageKind.TF_DATA,
            calls=calls,
            cost_ns=calls * each_ns // STEPS,
            parent=parent,
            cpu_ratio=None,
        )

    recorded = profile(
        stages=(
            running("batch", STEPS, None, 1000),
            running("shuffle", given, 0, 1000),
            running("load (map)", made, 1, MS),
            running("read", made, 2, MS // 4),
        )
    )
    found = analyse(recorded).stages
    return {each.stage.name: (each.cost_ms, each.estimated_ratio) for each in found}


def test_what_a_shuffle_had_before_the_counted_time_is_made_up_for() -> None:
    found = costs_beneath_a_shuffle(made=STEPS * BATCH * 3 // 4, given=STEPS * BATCH)
    assert found["load (map)"] == pytest.approx((BATCH, 0.25))
    assert found["read"] == pytest.approx((BATCH / 4, 0.25))
    assert found["shuffle"] == pytest.approx((BATCH / 1000, 0.0))


@pytest.mark.parametrize("made", [STEPS * BATCH, STEPS * BATCH * 2])
def test_what_it_takes_and_throws_away_is_work_all_the_same(made: int) -> None:
    found = costs_beneath_a_shuffle(made=made, given=STEPS * BATCH)
    assert found["load (map)"] == pytest.approx((made / STEPS, 0.0))
