"""Where the calls of the host's stand among the steps of a loop."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.recording.account import HostFunction, Part, PassContext
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind
from pipeprof.surfaces.timelines.loop_lines import LineInterval, Shown, loop_lines
from tests import builders
from tests.builders import MS, START_NS, Span

SAVE = HostFunction(part=Part.CALLBACKS, name="Save.on_epoch_end", location=None)
FIT = builders.loop(steps=3, wait_ns=2 * MS, compute_ns=8 * MS, lane=0)


def with_passes(loop: Loop, *passes: tuple[int, int]) -> Loop:
    rows: IntArray = np.array([(*each, PassContext.TOP) for each in passes])
    account = replace(
        loop.account,
        passes=rows,
        pass_count=len(passes),
        start_ns=passes[0][0],
        end_ns=passes[-1][1],
    )
    return replace(loop, account=account)


def recorded(*spans: Span, loops: Sequence[Loop] = (FIT,)) -> Profile:
    return builders.profile(
        loops=tuple(loops),
        spans=builders.spans(*spans),
        host_functions=(SAVE,),
        lanes=(builders.lane(), builders.lane("other")),
    )


def call(start_ms: float, end_ms: float, lane: int = 0) -> Span:
    start_ns, end_ns = (START_NS + round(at * MS) for at in (start_ms, end_ms))
    return Span(SpanKind.CALL, 0, start_ns, end_ns, lane)


def shown(line: Sequence[LineInterval]) -> list[tuple[Shown, float, float]]:
    return [
        (each.shown, (each.start_ns - START_NS) / MS, (each.end_ns - START_NS) / MS)
        for each in line
    ]


def test_a_wait_lies_behind_a_call_that_leaves_no_room_before_it() -> None:
    (line,) = loop_lines(recorded(call(0.5, 3)))
    assert shown(line)[:5] == [
        (Shown.STEP, 0, 10),
        (Shown.COMPUTE, 0, 0.5),
        (Shown.CALL, 0.5, 3),
        (Shown.WAIT, 3, 5),
        (Shown.COMPUTE, 5, 10),
    ]


def test_a_wait_without_room_anywhere_is_cut() -> None:
    (line,) = loop_lines(recorded(call(1, 9.5)))
    assert shown(line)[:4] == [
        (Shown.STEP, 0, 10),
        (Shown.WAIT, 0, 1),
        (Shown.CALL, 1, 9.5),
        (Shown.COMPUTE, 9.5, 10),
    ]


def test_a_call_that_reaches_over_the_border_of_a_step_is_cut_there() -> None:
    (line,) = loop_lines(recorded(call(8, 11)))
    assert (Shown.CALL, 8, 10) in shown(line)


def test_calls_in_a_loop_inside_are_that_loops() -> None:
    fit = with_passes(FIT, (START_NS, START_NS + 200 * MS))
    check = builders.loop(
        LoopKind.EVALUATE, parent=0, steps=2, lane=0, start_ns=START_NS + 50 * MS, wait_ns=MS
    )
    check = with_passes(check, (START_NS + 45 * MS, START_NS + 150 * MS))
    outer, inner = call(40, 160), call(46, 48)
    elsewhere = call(46, 48, lane=1)
    of_fit, of_check = loop_lines(recorded(outer, inner, elsewhere, loops=(fit, check)))
    assert [each for each in shown(of_fit) if each[0] is Shown.CALL] == [(Shown.CALL, 40, 160)]
    assert [each for each in shown(of_check) if each[0] is Shown.CALL] == [(Shown.CALL, 46, 48)]


def test_only_the_latest_steps_and_calls_are_there_where_that_is_asked_for() -> None:
    (line,) = loop_lines(recorded(call(5, 6), call(25, 26)), at_most=1)
    assert [each[:2] for each in shown(line) if each[0] in (Shown.STEP, Shown.CALL)] == [
        (Shown.STEP, 20),
        (Shown.CALL, 25),
    ]


@given(st.lists(st.integers(0, 30 * MS), max_size=12), st.booleans())
def test_all_intervals_nest(borders: list[int], compiling: bool) -> None:
    ordered = sorted(borders)
    spans = [
        Span(SpanKind.CALL, 0, START_NS + begin, START_NS + end)
        for begin, end in zip(ordered[::2], ordered[1::2], strict=False)
    ]
    if compiling and spans:
        spans[0] = replace(spans[0], kind=SpanKind.COMPILE)
    (line,) = loop_lines(recorded(*spans))
    open_ends: list[int] = []
    for each in line:
        while open_ends and open_ends[-1] <= each.start_ns:
            open_ends.pop()
        assert each.start_ns < each.end_ns <= (open_ends[-1] if open_ends else each.end_ns)
        open_ends.append(each.end_ns)
