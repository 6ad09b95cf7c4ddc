"""Which stage an account names for its waits: planted bottlenecks and late epochs, and their opposites."""

from collections.abc import Sequence

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.account_findings import AccountRow
from pipeprof.recording.account import Part
from pipeprof.recording.loop import Loop
from pipeprof.recording.stage import Stage
from tests.analysis.measures.test_epoch_starts import filled, fit
from tests.builders import DECODE, MS, loop, profile, stage


def rows(during: Loop, *stages: Stage, part: Part) -> Sequence[AccountRow]:
    recorded = profile(loops=(during,), stages=stages)
    main = analyse(recorded).main
    assert main is not None
    found = [row for row in main.account.rows if row.part is part]
    assert sum(row.ns for row in found) == main.account.ns(part)
    return found


def test_waits_have_the_stage_that_they_are_for() -> None:
    waits = loop(wait_ns=20 * MS, compute_ns=10 * MS)
    [row] = rows(waits, stage("decode", during=waits), part=Part.WAIT)
    assert (row.name, row.location) == ("decode", DECODE)


def test_waits_of_each_epoch_have_the_stage_that_they_are_for() -> None:
    waits = loop(wait_ns=20 * MS, compute_ns=10 * MS, epochs=2)
    main = analyse(profile(loops=(waits,), stages=(stage("decode", during=waits),))).main
    assert main is not None
    named = [
        [(row.name, row.location) for row in epoch.account.rows if row.part is Part.WAIT]
        for epoch in main.epochs
    ]
    assert named == [[("decode", DECODE)]] * 2


def test_a_training_that_hardly_waits_names_no_stage() -> None:
    keeps_up = loop(wait_ns=MS // 10, compute_ns=30 * MS)
    [row] = rows(keeps_up, stage("decode", cost_ns=MS, during=keeps_up), part=Part.WAIT)
    assert (row.name, row.location) == (None, None)


def test_late_epochs_have_the_stage_that_fills() -> None:
    during = fit()
    [row] = rows(during, *filled(during), part=Part.EPOCH_START)
    assert row.name == "shuffle"


def test_epochs_that_begin_in_time_name_no_stage() -> None:
    during = fit(first_ms=(1, 1, 1), wait_ms=1)
    assert {row.name for row in rows(during, *filled(during), part=Part.EPOCH_START)} <= {None}
