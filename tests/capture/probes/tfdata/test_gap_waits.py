"""Each gap that tf.data tells goes to the step whose batch it follows."""

from typing import Any

from pipeprof.capture.probes.tfdata.gap_waits import FollowedLoop
from tests.builders import MS, US


class ToldLoop:
    """Takes what `pipeprof.capture.probes.loops.open_loop.OpenLoop` would record."""

    fetching = False

    def __init__(self) -> None:
        self.told: dict[int, int] = {}

    def gaps(self, first_step: int, gaps_ns: tuple[int, ...]) -> None:
        for offset, gap_ns in enumerate(gaps_ns):
            self.told[first_step + offset] = gap_ns

    def correct_batches(self, batches: int) -> None:
        raise AssertionError("every step took what it said")


def follow(
    readings: list[tuple[int, ...]], batches: int, pause_ns: int = 0, outside_ns: int = 0
) -> dict[int, int]:
    """What is told when each reading comes at the end of a step, and the next begins a bit later."""
    loop: Any = ToldLoop()
    followed = FollowedLoop(0, 0)
    for step, gaps_us in enumerate(readings):
        began_ns = step * MS + pause_ns * (step > 0)
        followed.step_ended(step, batches, began_ns, (step + 1) * MS, began_ns - outside_ns)
        followed.tell_gaps(loop, gaps_us, at_most=False)
    assert followed.estimating == (batches > 100)
    told: dict[int, int] = loop.told
    return told


def test_a_step_has_the_gaps_after_all_its_batches() -> None:
    # The gap after a step's last batch is read with those of the next step.
    assert follow([(1, 2), (3, 10, 20), (30, 100, 200)], batches=3) == {0: 6 * US, 1: 60 * US}


def test_a_step_with_a_gap_that_was_not_read_is_not_told() -> None:
    assert follow([(1, 2), (10, 20)], batches=3) == {}


def test_a_step_of_more_batches_than_gaps_are_kept_of_is_told_from_its_last_ones() -> None:
    window = (7,) * 100
    told = follow([window] * 3, batches=150)
    assert told == {0: 150 * 7 * US, 1: 150 * 7 * US}
    # The gap after its last batch reaches over the pause before the next step.
    paused = follow([window, window], batches=150, pause_ns=40 * US)
    assert paused == {0: (149 * 7 + 40) * US}


def test_what_a_loop_did_between_two_steps_is_no_gap_of_either() -> None:
    readings = [(1, 2), (503, 10, 20), (530, 100, 200)]
    assert follow(readings, batches=3, outside_ns=500 * US) == {0: 6 * US, 1: 60 * US}
