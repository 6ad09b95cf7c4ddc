"""Which calls are passes of one loop, and which are loops of their own."""

import pytest

from pipeprof.capture.probes.loops.loop_stack import MOST_LOOPS, LoopSource, LoopStack
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.account import PassContext
from pipeprof.recording.loop import InputKind, LoopKind
from pipeprof.recording.source_code import Location
from tests.capture.probes.recorded import events, loops_of, warnings_of

FIT, EVALUATE, PREDICT = LoopKind.FIT, LoopKind.EVALUATE, LoopKind.PREDICT


def source(model: int = 1, line: int = 10) -> LoopSource:
    return LoopSource(model=model, location=Location(file="train.py", line=line))


class Program:
    """A program whose every move takes 10 ns."""

    def __init__(self) -> None:
        self.now = 100
        self.recorder = Recorder(None)
        self.stack = LoopStack(self.recorder, self.clock)

    def clock(self) -> int:
        self.now += 10
        return self.now

    def begin(self, kind: LoopKind = FIT, of: LoopSource | None = None) -> OpenLoop:
        return self.stack.add(kind, source=of)

    def call(self, kind: LoopKind = FIT, of: LoopSource | None = None) -> int:
        """A whole call; the number of its loop."""
        loop = self.begin(kind, of)
        loop.begin_epoch(self.clock())
        loop.begin_step(self.clock())
        loop.end_step(self.clock())
        self.stack.close(loop)
        return loop.number

    @property
    def passes(self) -> list[tuple[int, int]]:
        """Loop and context of each pass that has ended."""
        return [(e.number, e.inner) for e in events(self.recorder, Kind.PASS_ENDED)]


@pytest.fixture
def program() -> Program:
    return Program()


def test_calls_on_one_model_from_one_line_are_passes_of_one_loop(program: Program) -> None:
    first = program.call(of=source())
    assert [program.call(of=source()) for _ in range(3)] == [first] * 3
    [facts] = loops_of(program.recorder)
    assert (facts.model, facts.location) == (1, Location(file="train.py", line=10))
    assert program.passes == [(first, PassContext.TOP)] * 4
    steps = events(program.recorder, Kind.STEP)
    assert [(step.inner, step.value >> 32) for step in steps] == [(n, n) for n in range(4)]
    ended = events(program.recorder, Kind.EPOCH_ENDED)
    assert [epoch.inner for epoch in ended] == list(range(4))


def test_another_model_at_that_line_or_another_line_is_another_loop(program: Program) -> None:
    calls = [source(), source(model=2), source(line=20), source()]
    first, *others, again = [program.call(of=each) for each in calls]
    assert again == first
    assert len({first, *others}) == 3


def test_two_models_in_turns_stay_two_loops(program: Program) -> None:
    numbers = [program.call(of=source(model, line=model)) for model in (1, 2) * 3]
    assert numbers == numbers[:2] * 3
    assert numbers[0] != numbers[1]


def test_predictions_in_a_for_are_one_loop_and_no_part_of_the_fit(program: Program) -> None:
    fit = program.call(of=source())
    numbers = {program.call(PREDICT, source()) for _ in range(50)}
    assert len(numbers) == 1
    assert fit not in numbers


def test_calls_whose_model_is_not_known_are_loops_of_their_own(program: Program) -> None:
    assert program.call() != program.call()


def test_a_loop_inside_is_another_than_one_beside(program: Program) -> None:
    outer = program.begin(of=source())
    inside = program.call(EVALUATE, source())
    assert program.call(EVALUATE, source()) == inside
    program.stack.close(outer)
    assert program.call(EVALUATE, source()) != inside
    assert [facts.parent for facts in loops_of(program.recorder)] == [None, outer.number, None]


def test_a_pass_says_what_it_runs_inside(program: Program) -> None:
    fit = program.begin(of=source())
    fit.begin_epoch(program.clock())
    between = program.call(EVALUATE, source())
    fit.begin_step(program.clock())
    inside = program.call(PREDICT, source())
    fit.end_step(program.clock())
    fit.in_callback = True
    nested = program.call(FIT, source(model=2))
    fit.in_callback = False
    program.stack.close(fit)
    assert program.passes == [
        (between, PassContext.BETWEEN_STEPS),
        (inside, PassContext.IN_STEP),
        (nested, PassContext.IN_CALLBACK),
        (fit.number, PassContext.TOP),
    ]


def test_the_innermost_loop_is_the_current_one(program: Program) -> None:
    assert program.stack.current is None
    outer = program.begin(of=source())
    inner = program.begin(EVALUATE, source())
    assert program.stack.current is inner
    program.stack.close(inner)
    assert program.stack.current is outer
    program.stack.close_all()
    assert program.stack.current is None


def test_closing_a_loop_ends_those_left_open_inside(program: Program) -> None:
    outer = program.begin(of=source())
    inner = program.begin(EVALUATE, source())
    program.stack.close(outer)
    assert [number for number, _ in program.passes] == [inner.number, outer.number]


def test_more_models_than_that_share_the_last_loop_of_their_kind(program: Program) -> None:
    numbers = [program.call(of=source(model)) for model in range(MOST_LOOPS + 6)]
    assert len(loops_of(program.recorder)) == MOST_LOOPS
    assert set(numbers[MOST_LOOPS:]) == {numbers[MOST_LOOPS - 1]}
    assert len(program.passes) == MOST_LOOPS + 6
    assert warnings_of(program.recorder) == [
        f"More than {MOST_LOOPS} training loops ran: later ones of a kind are shown as one."
    ]


def test_one_that_was_there_before_keeps_its_loop_however_many_follow(program: Program) -> None:
    first = program.call(of=source(1))
    for model in range(2, MOST_LOOPS + 6):
        program.call(of=source(model))
    assert program.call(of=source(1)) == first


def test_another_kind_of_input_is_another_loop(program: Program) -> None:
    numbers = []
    for kind in (InputKind.ARRAYS, InputKind.TF_DATA, InputKind.ARRAYS):
        loop = program.stack.add(FIT, fed_by=InputFacts(kind=kind), source=source())
        program.stack.close(loop)
        numbers.append(loop.number)
    assert numbers[0] == numbers[2] != numbers[1]
