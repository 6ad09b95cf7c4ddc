"""The rows of the tables beside the account: the host's places, and loops."""

from dataclasses import replace

from pipeprof.analysis.findings.account_findings import Account, AccountRow
from pipeprof.analysis.findings.findings import Findings, Grouping, LoopGroup
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.account import Part
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.source_code import Location
from pipeprof.report.one_run.account_tables import host_cells
from pipeprof.report.one_run.host_rows import host_rows
from pipeprof.report.one_run.loop_rows import loop_rows
from tests.builders import MS, SECOND, diagnosis, findings, loop, loop_finding

LINE = Location("src/train.py", 7)


def hosted(*rows: AccountRow, compute_s: float = 5) -> Findings:
    computing = AccountRow(part=Part.COMPUTE, ns=round(compute_s * SECOND))
    every = (*rows, computing)
    account = Account(wall_ns=sum(row.ns for row in every), rows=every)
    return replace(findings(main=loop_finding()), account=account)


def row(
    part: Part, seconds: float, name: str | None = None, calls: int | None = None
) -> AccountRow:
    return AccountRow(
        part=part,
        ns=round(seconds * SECOND),
        count=calls,
        name=name,
        location=LINE if name else None,
    )


def test_places_of_the_host_are_rows_the_dearest_first() -> None:
    found = hosted(
        row(Part.OWN_CODE, 1, "act"),
        row(Part.CALLBACKS, 3, "Save.on_epoch_end", 2),
        row(Part.BETWEEN_EPOCHS, 1.001),
        row(Part.CALLBACKS, 1, "Save.on_epoch_end", 1),
        row(Part.CALLBACKS, 0.01, "Log.on_epoch_end", 1),
        row(Part.VALIDATION, 2, "evaluate", 1),
    )
    assert [host_cells(each) for each in host_rows(found)] == [
        ("Save.on_epoch_end", "train.py:7", "3", "4.0 s", "31 %"),
        ("(between epochs)", None, None, "1.0 s", "7.7 %"),
        ("act", "train.py:7", None, "1.0 s", "7.7 %"),
    ]


def test_a_host_that_takes_little_has_no_rows() -> None:
    assert host_rows(hosted(row(Part.CALLBACKS, 0.1, "Save.on_epoch_end"))) == ()


def test_the_main_loop_alone_has_no_rows() -> None:
    assert loop_rows(findings(main=loop_finding()), 5) == []


def group(grouping: Grouping, kind: LoopKind, count: int, **about: int) -> LoopGroup:
    """Loops of 100 steps of 30 ms, the latest of them first."""
    found = [
        replace(loop_finding(loop(kind, location=LINE, **about)), index=number)
        for number in reversed(range(count))
    ]
    return LoopGroup(
        grouping=grouping,
        kind=kind,
        location=LINE,
        loops=tuple(found),
        passes=2 * count,
        wall_s=3.0 * count,
    )


def test_models_of_one_line_have_a_row_each_and_small_loops_one_together() -> None:
    fits = group(Grouping.MODELS, LoopKind.FIT, 2)
    fits = replace(
        fits,
        loops=(
            replace(fits.loops[0], diagnosis=diagnosis(Bound.HOST, host_ratio=0.4)),
            fits.loops[1],
        ),
    )
    small = group(Grouping.FOLDED, LoopKind.PREDICT, 3)
    found = replace(findings(main=fits.loops[1]), groups=(fits, small))
    assert [each.cells for each in loop_rows(found, 5)] == [
        ("fit, model 1 of 2", "train.py:7", "1", "100", "3.0 s", "67 %", "0 %", "INPUT-BOUND"),
        ("fit, model 2 of 2", "train.py:7", "1", "100", "3.0 s", "67 %", "40 %", "HOST-BOUND"),
        ("6 calls of predict", "train.py:7", "6", "300", "9.0 s", None, None, None),
    ]


def test_models_that_only_predict_are_one_row() -> None:
    main = loop_finding()
    alone = LoopGroup(
        grouping=Grouping.ALONE, kind=LoopKind.FIT, location=None, loops=(main,), passes=1, wall_s=3
    )
    predictions = group(Grouping.MODELS, LoopKind.PREDICT, 4)
    rows = loop_rows(replace(findings(main=main), groups=(alone, predictions)), 5)
    assert [each.label for each in rows] == ["fit", "8 calls of predict"]


def test_loops_beyond_the_most_are_one_row_with_what_they_cost() -> None:
    fits = group(Grouping.MODELS, LoopKind.FIT, 5)
    *_, last = loop_rows(replace(findings(main=fits.loops[0]), groups=(fits,)), 2)
    assert last.cells[:5] == ("and 3 more loops", None, "3", "300", "9.0 s")


def test_a_validation_is_shown_inside_its_training() -> None:
    fit = loop_finding(loop())
    check = loop_finding(loop(LoopKind.EVALUATE, parent=0, wait_ns=MS))
    rows = loop_rows(findings(main=fit, others=(check,)), 5)
    assert [each.label for each in rows] == ["fit", "evaluate in fit"]
