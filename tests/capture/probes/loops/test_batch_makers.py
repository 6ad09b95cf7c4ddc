"""Whether a thread is at work on a loop's next batch, met in loops that run here."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from pipeprof.capture.probes.loops.batch_makers import BatchMakers
from pipeprof.capture.probes.python.thread_places import ThreadPlace
from pipeprof.recording.account import HostState
from pipeprof.recording.source_code import Location

HERE = Location(__file__, 1)


class Loops:
    """Loops that train, and note what is found where they are met."""

    def __init__(self, state: HostState = HostState.OWN_CODE, *, calls_model: bool = False) -> None:
        self.makers = BatchMakers()
        self.place = ThreadPlace(function="f", location=HERE, state=state, calls_model=calls_model)
        self.met: list[bool] = []

    def meet(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        assert frame is not None
        self.met.append(self.makers.makes(frame, self.place))

    def train_on_batch(self, *batch: Any) -> None:
        self.makers.trained_from(sys._getframe(1))

    def read(self) -> Iterator[int]:
        for number in range(3):
            self.meet()
            yield number

    def load(self, number: int) -> int:
        self.meet()
        return number

    def over_a_generator(self) -> None:
        for x in self.read():
            self.train_on_batch(x)

    def with_a_function(self) -> None:
        for step in range(3):
            x = self.load(step)
            self.train_on_batch(x)

    def logs(self) -> None:
        for step in range(3):
            self.train_on_batch(step)
            self.load(step)

    def trains_in_the_generator(self) -> Iterator[int]:
        for step in range(3):
            self.train_on_batch(step)
            self.load(step)
            yield step

    def follows_progress(self) -> None:
        for _ in self.trains_in_the_generator():
            self.meet()

    def inline(self) -> None:
        for step in range(3):
            x = [step, self.meet()]
            self.train_on_batch(x)


def met(loops: Callable[[Loops], None], of: Loops | None = None) -> list[bool]:
    found = of or Loops()
    loops(found)
    return found.met


def test_a_generator_makes_the_batches_of_the_loop_over_it() -> None:
    assert met(Loops.over_a_generator) == [False, True, True]  # at first it is no loop that trains


def test_a_function_makes_the_batches_that_it_returns() -> None:
    assert met(Loops.with_a_function) == [False, True, True]


def test_what_runs_after_the_step_makes_no_batch() -> None:
    assert met(Loops.logs) == [False] * 3


def test_a_generator_that_trains_makes_no_batches() -> None:
    assert not any(met(Loops.follows_progress))


def test_the_loops_own_lines_make_no_batch() -> None:
    assert not any(met(Loops.inline))


def test_what_waits_for_others_makes_nothing_itself() -> None:
    assert not any(met(Loops.over_a_generator, Loops(HostState.WAITING)))


def test_a_model_works_for_batches_only_where_a_generator_calls_it() -> None:
    framework = HostState.FRAMEWORK
    predicts = met(Loops.over_a_generator, Loops(framework, calls_model=True))
    assert predicts == [False, True, True]
    assert met(Loops.with_a_function, Loops(framework, calls_model=True)) == [False] * 3
    assert met(Loops.with_a_function, Loops(framework)) == [False, True, True]
