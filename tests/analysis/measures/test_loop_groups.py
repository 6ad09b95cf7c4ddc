"""Which loops are shown together."""

from dataclasses import replace

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Grouping
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.source_code import Location
from tests.builders import MS, SECOND, loop, profile

TRAIN = Location("train.py", 41)


def grouped(*loops: Loop) -> list[tuple[Grouping, LoopKind, int, Location | None]]:
    return [
        (group.grouping, group.kind, len(group.loops), group.location)
        for group in analyse(profile(loops=loops)).groups
    ]


def after(before: Loop, kind: LoopKind = LoopKind.FIT, **changes: object) -> Loop:
    start_ns = before.end_ns + MS
    return replace(loop(kind, steps=20, start_ns=start_ns), **changes)  # type: ignore[arg-type]


def test_loops_over_several_models_from_one_line_are_one_group():
    first = loop(location=TRAIN, model=1)
    second = after(first, location=TRAIN, model=2)
    elsewhere = after(second, location=Location("train.py", 50), model=3)
    assert grouped(first, second, elsewhere) == [
        (Grouping.MODELS, LoopKind.FIT, 2, TRAIN),
        (Grouping.ALONE, LoopKind.FIT, 1, Location("train.py", 50)),
    ]


def test_loops_whose_line_is_not_known_stand_alone():
    first = loop(model=1)
    assert [each[0] for each in grouped(first, after(first, model=2))] == [Grouping.ALONE] * 2


def test_loops_that_cost_little_are_folded_by_kind_with_their_cost():
    fit = loop(steps=1_000)
    predictions = [
        loop(LoopKind.PREDICT, steps=2, start_ns=fit.end_ns + number * SECOND)
        for number in range(1, 4)
    ]
    evaluate = loop(LoopKind.EVALUATE, steps=100, start_ns=fit.end_ns + 5 * SECOND)
    found = analyse(profile(loops=(fit, *predictions, evaluate))).groups
    assert [(group.grouping, group.kind, group.passes, group.wall_s) for group in found] == [
        (Grouping.ALONE, LoopKind.FIT, 1, 30.0),
        (Grouping.ALONE, LoopKind.EVALUATE, 1, 3.0),
        (Grouping.FOLDED, LoopKind.PREDICT, 3, 0.18),
    ]


def test_without_loops_there_are_no_groups():
    assert grouped() == []
