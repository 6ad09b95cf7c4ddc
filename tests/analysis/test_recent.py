"""What changed between two looks at a recording."""

import pytest

from pipeprof.analysis.recent import Totals, count_totals, describe_recent
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import LoopKind
from tests.builders import MS, SECOND, lane, loop, profile, run_info


def totals(steps: int = 0, **changes: object) -> Totals:
    """Of a loop whose steps wait 3 ms and compute 7 ms."""
    counted = (steps, steps * 10 * MS, steps, steps * 10 * MS, steps * 3 * MS)
    given = {"at_ns": 0, "loop": 0, "counted": counted, "cpu_ns": {}, **changes}
    return Totals(**given)  # type: ignore[arg-type]


def test_totals_are_of_the_loop_that_ran_last_and_of_all_lanes():
    fit = loop(steps=100, wait_ns=3 * MS, compute_ns=7 * MS)
    check = loop(LoopKind.EVALUATE, steps=50, parent=0, start_ns=fit.end_ns)
    lanes = (
        lane(cpu_ns=SECOND, during=fit),
        lane("tf_Compute", Role.TRAINING, tid=2, cpu_ns=3 * SECOND, during=fit),
        lane("tf_data", Role.INPUT, tid=3, during=fit),
    )
    seen = count_totals(profile(loops=(fit, check), lanes=lanes, run=run_info(end_ns=check.end_ns)))

    assert (seen.at_ns, seen.loop, seen.counted[0]) == (check.end_ns, 1, 50)
    assert seen.cpu_ns == {Role.MAIN: SECOND, Role.TRAINING: 3 * SECOND}


def test_a_recording_without_a_step_has_none():
    assert count_totals(profile(loops=())).loop is None


def test_only_what_came_since_counts():
    before = totals(steps=100, cpu_ns={Role.MAIN: 9 * SECOND})
    recent = describe_recent(
        before,
        totals(
            counted=(110, 1_200 * MS, 105, 1_080 * MS, 310 * MS),
            at_ns=2 * SECOND,
            cpu_ns={Role.MAIN: 10 * SECOND, Role.INPUT: SECOND},
        ),
    )

    assert (recent.step_ms, recent.wait_ms, recent.compute_ms) == (20, 2, 14)
    assert recent.cores == {Role.MAIN: 0.5, Role.INPUT: 0.5}


@pytest.mark.parametrize("loop_before", [None, 1])
def test_another_loop_counts_from_its_begin(loop_before: int | None):
    before = totals(steps=1000, loop=loop_before) if loop_before else totals(loop=None, counted=())
    assert describe_recent(before, totals(steps=4)).step_ms == 10


def test_nothing_new_is_unknown_and_not_zero():
    same = totals(steps=4)
    recent = describe_recent(same, same)
    assert (recent.step_ms, recent.wait_ms, recent.compute_ms) == (None, None, None)
