"""Each gap that tf.data reports goes to the step whose batch it follows."""

from dataclasses import dataclass
from typing import Any

from pipeprof.capture.probes.loops.new_shapes import NewShapes
from pipeprof.capture.probes.tfdata.gap_waits import FollowedLoop
from tests.builders import MS, SECOND, US


class ToldLoop:
    """Takes what `pipeprof.capture.probes.loops.open_loop.OpenLoop` would record."""

    fetching = False

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.compiled: list[tuple[int, int, int, str]] = []

    def compiled_untraced(self, start_ns: int, end_ns: int, began_ns: int, reason: str) -> None:
        self.compiled.append((start_ns, end_ns, began_ns, reason))

    def gaps(self, first_step: int, gaps_ns: tuple[int, ...]) -> None:
        for offset, gap_ns in enumerate(gaps_ns):
            self.known[first_step + offset] = gap_ns

    def correct_batches(self, batches: int) -> None:
        raise AssertionError("every step took what it said")


def follow(
    readings: list[tuple[int, ...]], batches: int, pause_ns: int = 0, outside_ns: int = 0
) -> dict[int, int]:
    """What is known when each reading comes at the end of a step, and the next begins a bit later."""
    loop: Any = ToldLoop()
    followed = FollowedLoop(0, 0)
    for step, gaps_us in enumerate(readings):
        began_ns = step * MS + pause_ns * (step > 0)
        followed.step_ended(step, batches, began_ns, (step + 1) * MS, began_ns - outside_ns)
        fetches = batches - (step == 0)
        followed.record_gaps(loop, gaps_us, fetches, (step + 1) * MS, at_most=False)
    assert followed.estimating == (batches > 100)
    known: dict[int, int] = loop.known
    return known


def test_a_step_has_the_gaps_after_all_its_batches() -> None:
    # The gap after a step's last batch is read with those of the next step.
    assert follow([(1, 2), (3, 10, 20), (30, 100, 200)], batches=3) == {0: 6 * US, 1: 60 * US}


def test_a_step_with_a_gap_that_was_not_read_is_not_reported() -> None:
    assert follow([(1, 2), (10, 20)], batches=3) == {}


def test_a_step_of_more_batches_than_gaps_are_kept_of_is_distinguished_from_its_last_ones() -> None:
    window = (7,) * 100
    known = follow([window] * 3, batches=150)
    assert known == {0: 150 * 7 * US, 1: 150 * 7 * US}
    # The gap after its last batch reaches over the pause before the next step.
    paused = follow([window, window], batches=150, pause_ns=40 * US)
    assert paused == {0: (149 * 7 + 40) * US}


def test_what_a_loop_did_between_two_steps_is_no_gap_of_either() -> None:
    readings = [(1, 2), (503, 10, 20), (530, 100, 200)]
    assert follow(readings, batches=3, outside_ns=500 * US) == {0: 6 * US, 1: 60 * US}


@dataclass(frozen=True)
class Step:
    """A step of one batch and a reading at its end, of all gaps over 10 s that tf.data counts none.

    Attributes:
        wait_ns: how long it waits for its batch.
        busy_ns: what it takes then.
        pause_ns: what comes between it and the next one.
        read: whether the model is read at its end.
        ready: batches that lie ready then.
        work_ns: what the stages worked in it.
    """

    wait_ns: int
    busy_ns: int
    pause_ns: int = 0
    read: bool = True
    ready: int = 0
    work_ns: int = 0


def waits_of(*steps: Step, jitter_us: int = 0) -> dict[int, int]:
    """The wait of each step as its gap leaves it, in milliseconds."""
    loop: Any = ToldLoop()
    followed = FollowedLoop(0, 0)
    durations = {}
    counted: list[int] = []
    now = before = unread = work_ns = 0
    last_fetched: int | None = None
    for number, step in enumerate(steps):
        began = now
        if last_fetched is not None:
            gap_us = (began - last_fetched) // US
            counted += [gap_us + jitter_us] if gap_us <= 10_000_000 else []
            unread += 1
        last_fetched = began + step.wait_ns
        now = last_fetched + step.busy_ns
        durations[number] = now - began
        work_ns += step.work_ns
        followed.step_ended(number, 1, began, now, before)
        before = now
        if step.read:
            followed.model_read(number, step.ready, work_ns)
            followed.record_gaps(loop, tuple(counted), unread, now, at_most=False)
            counted, unread, work_ns = [], 0, 0
        now += step.pause_ns
    return {step: (durations[step] - gap_ns) // MS for step, gap_ns in loop.known.items()}


def unread(wait_ns: int, busy_ns: int) -> Step:
    return Step(wait_ns, busy_ns, read=False)


LAST = Step(0, 5 * MS)


def test_a_gap_that_is_not_counted_shifts_no_other() -> None:
    steps = [unread(n * MS, 20 * MS) for n in range(1, 4)]
    long = unread(4 * MS, 30 * SECOND)
    more = [unread(n * MS, 20 * MS) for n in range(5, 8)]
    assert waits_of(*steps, long, *more, LAST) == {0: 1, 1: 2, 2: 3, 4: 5, 5: 6, 6: 7}


def test_a_pause_between_two_steps_shifts_no_other() -> None:
    paused = Step(2 * MS, 20 * MS, pause_ns=12 * SECOND, read=False)
    found = waits_of(unread(1 * MS, 20 * MS), paused, unread(3 * MS, 20 * MS), LAST)
    assert found == {0: 1, 2: 3}


def test_a_step_before_a_pause_waited_for_what_it_took_beyond_the_usual() -> None:
    usual = [Step(n * MS, 20 * MS) for n in range(1, 5)]
    paused = Step(7 * MS, 20 * MS, pause_ns=12 * SECOND)
    found = waits_of(*usual, paused, Step(3 * MS, 20 * MS), LAST)
    assert found == {0: 1, 1: 2, 2: 3, 3: 4, 4: 7, 5: 3}


def test_where_it_is_not_clear_which_gap_is_missing_the_reading_shows_nothing() -> None:
    # One waits and one computes for so long; only the latter's gap is missing.
    steps = (unread(MS, MS), unread(11 * SECOND, MS), unread(MS, 11 * SECOND), Step(0, MS))
    assert waits_of(*steps, *[Step(2 * MS, MS)] * 2) == {3: 0, 4: 2}


def test_a_shortage_without_a_long_step_is_one_of_the_oldest() -> None:
    loop: Any = ToldLoop()
    followed = FollowedLoop(0, 0)
    for step in range(4):
        followed.step_ended(step, 1, step * MS, (step + 1) * MS, step * MS)
    followed.record_gaps(loop, (20, 30), 3, 4 * MS, at_most=False)
    assert loop.known == {1: 20 * US, 2: 30 * US}


def test_steps_that_all_take_longer_than_a_gap_can_be_computed() -> None:
    ready = Step(0, 40 * SECOND, ready=2, work_ns=30 * SECOND)
    # Not before the second step it is known that a batch lay ready.
    assert waits_of(*[ready] * 4) == {1: 0, 2: 0}


def test_a_step_of_such_a_length_waited_no_longer_than_the_stages_worked() -> None:
    slow_to_feed = Step(SECOND, 14 * SECOND, work_ns=SECOND)
    assert waits_of(*[slow_to_feed] * 3) == {0: 1000, 1: 1000}


def test_where_such_a_step_may_have_waited_long_its_wait_is_not_known() -> None:
    assert waits_of(*[Step(20 * SECOND, 11 * SECOND, work_ns=20 * SECOND)] * 3) == {}


def test_a_gap_that_is_longer_than_its_step_stays_so() -> None:
    assert waits_of(*[Step(0, 5 * MS)] * 3, jitter_us=2_000) == {0: -2, 1: -2}


def last_wait_ms(*gaps_us: int, last_ns: int, feeds: bool = True) -> float | None:
    """The wait of an epoch's last step, which no gap follows; before it came steps with these gaps."""
    loop: Any = ToldLoop()
    followed = FollowedLoop(0, 0)
    iterator: Any = object() if feeds else None
    now = 0
    for step, ns in enumerate([*(2 * gap * US for gap in gaps_us), last_ns]):
        followed.step_ended(step, 1, now, now + ns, now)
        now += ns
    followed.begin_counting(iterator)
    followed.record_gaps(loop, gaps_us, len(gaps_us), now, at_most=False)
    followed.leave_epoch(loop)
    known: dict[int, int] = loop.known
    return None if len(gaps_us) not in known else (last_ns - known[len(gaps_us)]) / MS


def test_an_epochs_last_step_waited_for_what_it_took_beyond_the_usual() -> None:
    assert last_wait_ms(2000, 3000, 900_000, 3000, last_ns=1 * SECOND) == 997
    assert last_wait_ms(2000, 3000, 4000, last_ns=2 * MS) == 0


def test_where_too_little_is_known_of_it_the_last_step_stays_without_a_wait() -> None:
    assert last_wait_ms(2000, 3000, last_ns=1 * SECOND) is None
    assert last_wait_ms(2000, 3000, 4000, last_ns=1 * SECOND, feeds=False) is None


STEP = 1_000 * MS


def compiled_in(
    shapes: list[int], gaps_ms: list[int], *, by_shape: bool = True
) -> list[tuple[int, int, int, str]]:
    """What is recorded as compiled where steps of one second, one batch each, have these gaps.

    Args:
        shapes: lengths of the batches; the loop takes them in this order.
        gaps_ms: those of the steps, in milliseconds; that of the last one is not read.
        by_shape: whether XLA compiles for each.
    """
    loop: Any = ToldLoop()
    new_shapes = NewShapes()
    followed = FollowedLoop(0, 0, new_shapes)
    for at, length in enumerate(shapes):  # all are made ahead
        if length not in shapes[:at]:
            new_shapes.came((f"(4, {length})",))
        new_shapes.made += 1
    followed.compiled_by_shape = by_shape
    for step in range(len(gaps_ms)):
        began_ns = step * STEP
        followed.step_ended(step, 1, began_ns, began_ns + STEP, began_ns)
        gaps_us = (gaps_ms[step - 1] * 1_000,) if step else ()
        followed.record_gaps(loop, gaps_us, min(step, 1), began_ns + STEP, at_most=False)
    compiled: list[tuple[int, int, int, str]] = loop.compiled
    return compiled


def test_a_far_longer_step_compiled_where_its_batch_has_a_new_shape() -> None:
    lengths = [8, 8, 8, 8, 12, 8, 12, 8]
    compiled = compiled_in(lengths, [900, 2, 2, 2, 400, 2, 400, 2])
    # The first is traced, which is seen elsewhere; the last long one has a shape that came before.
    assert compiled == [(4 * STEP + 600 * MS, 5 * STEP, 4 * STEP, "(4, 8) → (4, 12)")]


def test_steps_that_compile_from_the_beginning_on_are_not_the_usual_ones() -> None:
    assert len(compiled_in([*range(6), 0, 1], [900, *[400] * 5, 2, 2])) == 5


def test_before_its_batch_is_taken_a_new_shape_is_compiled_in_no_step() -> None:
    assert compiled_in([8, 8, 8, 8, 8, 8, 8, 12], [900, 400, 2, 2, 400, 2, 2, 2]) == []


def test_no_step_compiled_of_the_usual_length_or_of_a_model_that_is_not_compiled() -> None:
    lengths = [8, 8, 8, 8, 12, 8]
    assert compiled_in(lengths, [900, 20, 20, 20, 120, 20]) != []
    assert compiled_in(lengths, [900, 20, 20, 20, 50, 20]) == []
    assert compiled_in(lengths, [900, 2, 2, 2, 20, 2]) == []
    assert compiled_in(lengths, [900, 20, 20, 20, 120, 20], by_shape=False) == []
