"""The clock of a trial, and loops that only take; the clock of the machine is left alone."""

import itertools
from collections.abc import Iterator

import pytest

from pipeprof.errors import TuningRefused
from pipeprof.tuning.consuming import Limits, StepClock, never_ends, take_from

FEW = Limits(warmup_steps=2, warmup_ns=0, measured_ns=0, least_steps=4)


def test_steps_are_measured_behind_the_warm_up() -> None:
    clock = StepClock(FEW)
    for _ in range(6):
        assert not clock.done
        clock.step()
    assert clock.done
    assert len(clock.durations_ns()) == 4


def test_an_epoch_without_steps_ends_it() -> None:
    clock = StepClock(FEW)
    clock.step()
    assert clock.epoch()
    assert not clock.epoch()


def test_an_input_that_runs_out_says_so_and_does_not_go_on_forever() -> None:
    once = iter([1, 2])
    with pytest.raises(TuningRefused, match="expected steps enough to measure, received 2"):
        take_from(lambda: once, FEW)


def test_a_loop_begins_anew_until_enough_is_measured() -> None:
    begun: list[int] = []

    def fresh() -> Iterator[int]:
        begun.append(1)
        return iter([1, 2, 3])

    assert len(take_from(fresh, FEW)) == 4
    assert len(begun) == 2


def test_only_a_dataset_that_repeats_forever_never_ends() -> None:
    class Dataset:
        def __init__(self, size: int) -> None:
            self.size = size

        def cardinality(self) -> int:
            return self.size

    assert [never_ends(Dataset(size)) for size in (-1, -2, 0, 9)] == [True, False, False, False]
    assert not never_ends(itertools.count())
