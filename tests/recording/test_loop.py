"""Steps of a loop: which begin an epoch, and which count for the statistics."""

import numpy as np

from pipeprof.recording.loop import Steps
from tests import builders
from tests.builders import cut_short


def steps(*numbered: tuple[int, int]) -> Steps:
    """Steps of these ordinals and epochs."""
    ordinal, epoch = np.array(numbered, np.int64).reshape(-1, 2).T
    nothing = np.zeros(len(ordinal), np.int64)
    return Steps(
        ordinal=ordinal,
        epoch=epoch,
        start_ns=nothing,
        end_ns=nothing,
        wait_ns=nothing,
        batches=nothing,
    )


def test_an_epoch_begins_where_its_number_changes():
    taken = steps((0, 0), (1, 0), (2, 1), (3, 1))
    assert taken.first_of_epoch().tolist() == [True, False, True, False]
    assert taken.counted(0).tolist() == [False, True, False, True]
    assert taken.counted(3).tolist() == [False, False, False, True]
    assert steps().first_of_epoch().tolist() == []


def test_the_first_step_kept_behind_a_hole_begins_no_epoch():
    taken = steps((0, 0), (1, 0), (70, 4), (71, 4), (72, 5))
    assert taken.first_of_epoch().tolist() == [True, False, False, False, True]
    assert taken.counted(0).tolist() == [False, True, True, True, False]


def test_steps_that_come_in_parts_follow_the_ones_before_them():
    assert steps((5, 1), (6, 2)).first_of_epoch(before=(4, 1)).tolist() == [False, True]
    assert steps((5, 1), (6, 2)).counted(0, before=(4, 0)).tolist() == [False, False]


def test_a_long_loop_counts_what_was_kept_of_it():
    taken = cut_short(builders.loop(steps=100, epochs=10, warmup=2), first=15, last=15)
    assert taken.steps.ordinal[taken.counted].tolist() == [
        *range(2, 10),
        *range(11, 15),
        *range(85, 90),
        *range(91, 100),
    ]
