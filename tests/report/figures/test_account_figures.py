"""The account and the epochs as stacked bars."""

from dataclasses import replace

from pipeprof.analysis.findings.account_findings import Account, AccountRow, EpochAccount
from pipeprof.recording.account import Part
from pipeprof.recording.source_code import Location
from pipeprof.report.figures.account_bars import account_figure
from pipeprof.report.figures.comparison import comparison_figures
from pipeprof.report.figures.epoch_times import MOST_BARS, epochs_figure
from pipeprof.report.figures.part_bars import PART_STYLES
from tests.builders import SECOND, findings, loop, loop_finding
from tests.report.figures.drawn import trace, view


def account(**seconds: float) -> Account:
    rows = tuple(
        AccountRow(part=Part(part), ns=round(each * SECOND)) for part, each in seconds.items()
    )
    return Account(wall_ns=sum(row.ns for row in rows), rows=rows)


MAIN = replace(loop_finding(), account=account(epoch_start=3, compute=2))
RUN = replace(findings(main=MAIN), account=account(startup=1, epoch_start=3, compute=2))


def test_every_part_has_a_style_of_its_own() -> None:
    assert set(PART_STYLES) == set(Part)
    assert len(set(PART_STYLES.values())) == len(Part)


def test_the_run_and_its_main_loop_are_a_bar_each() -> None:
    drawn = view(account_figure(RUN))
    assert [each["name"] for each in drawn.traces] == ["start-up", "epoch starts", "compute"]
    assert trace(drawn, "start-up")["x"] == [1.0, 0]
    assert trace(drawn, "compute")["x"] == [2.0, 2.0]
    assert trace(drawn, "epoch starts")["marker"]["pattern"]["shape"] == "/"
    assert drawn.layout["yaxis"]["ticktext"] == ["run ", "fit "]


def test_the_table_has_a_row_a_place() -> None:
    save = AccountRow(
        part=Part.CALLBACKS,
        ns=SECOND,
        count=4,
        name="<b>.on_epoch_end",
        location=Location("src/train.py", 5),
    )
    rows = (*RUN.account.rows, save)
    found = replace(RUN, account=Account(wall_ns=7 * SECOND, rows=rows))
    table = view(account_figure(found)).table
    assert table.columns == ("part", "what", "where", "calls", "run", "share", "fit")
    assert table.rows[-1] == (
        "callbacks", "<b>.on_epoch_end", "train.py:5", "4", "1.0 s", "14 %", "0 ms",
    )  # fmt: skip


def test_a_run_that_took_no_time_has_no_bar() -> None:
    assert account_figure(replace(RUN, account=account())) is None


def with_epochs(*made_of: dict[str, float]) -> tuple[EpochAccount, ...]:
    return tuple(
        EpochAccount(epoch=number, steps=10, account=account(**seconds))
        for number, seconds in enumerate(made_of)
    )


def test_each_epoch_is_a_bar_of_its_parts() -> None:
    epochs = with_epochs({"epoch_start": 3, "compute": 1}, {"wait": 0.5, "compute": 1})
    fit = replace(MAIN, epochs=epochs)
    drawn = view(epochs_figure(replace(findings(main=fit), loops=(fit,))))
    assert trace(drawn, "epoch starts")["y"] == [3.0, 0]
    assert trace(drawn, "wait")["y"] == [0, 0.5]
    assert trace(drawn, "wait")["x"] == [1, 2]
    assert drawn.caption == ("The longest is epoch 1: 4.0 s. Epoch 1 waits most: 75 % of its time.")
    assert drawn.table.rows[1][:5] == ("2", "10", "1.5 s", "33 %", "500 ms")


def test_one_epoch_alone_has_no_picture() -> None:
    assert epochs_figure(findings(main=loop_finding(loop(epochs=1)))) is None


def test_of_very_many_epochs_some_are_shown() -> None:
    fit = replace(MAIN, epochs=with_epochs(*({"compute": 1.0},) * 1_000))
    drawn = view(epochs_figure(replace(findings(main=fit), loops=(fit,))))
    shown = trace(drawn, "compute")["x"]
    assert shown[:2] == [1, 5]
    assert len(shown) <= MOST_BARS
    assert "One epoch of each 4 is shown." in drawn.caption


def test_runs_stand_beside_each_other_in_their_accounts() -> None:
    figure, *_ = comparison_figures(
        [("slow", RUN), ("fast", replace(RUN, account=account(wait=1)))]
    )
    drawn = view(figure)
    assert trace(drawn, "wait")["x"] == [0, 1.0]
    assert trace(drawn, "start-up")["x"] == [1.0, 0]
    assert drawn.table.rows[1][:2] == ("fast", "1.0 s")
