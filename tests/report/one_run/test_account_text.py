"""What the head of a report and its Time line are, account in, text out."""

from dataclasses import replace

import pytest

from pipeprof.analysis.findings.account_findings import Account, AccountRow, EpochAccount
from pipeprof.analysis.findings.findings import LoopFinding
from pipeprof.analysis.findings.machine_findings import HeldUp
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.findings.wait_evidence_kinds import HeldUpByInput
from pipeprof.recording.account import Part
from pipeprof.report.one_run.account_text import epoch_pieces, headline, time_pieces, training_time
from tests.builders import SECOND, diagnosis, loop_finding


def account(**seconds: float) -> Account:
    rows = tuple(
        AccountRow(part=Part(part), ns=round(each * SECOND)) for part, each in seconds.items()
    )
    return Account(wall_ns=sum(row.ns for row in rows), rows=rows)


def main(
    bound: Bound, wait_ratio: float | None, host_ratio: float, **seconds: float
) -> LoopFinding:
    said = diagnosis(bound)
    assert said.wall is not None
    wall = replace(said.wall, wait_ratio=wait_ratio, host_ratio=host_ratio)
    return replace(loop_finding(said=replace(said, wall=wall)), account=account(**seconds))


SHUFFLE = {"epoch_start": 8.0, "wait": 0.2, "compute": 2.0, "callbacks": 0.1}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            main(Bound.INPUT, 0.8, 0.01, **SHUFFLE),
            "80 % of the training's time waits for data, nearly all of it where epochs begin",
        ),
        (
            main(Bound.INPUT, 0.4, 0.3, epoch_start=3, wait=1, callbacks=3, compute=3),
            "40 % of the training's time waits for data, most at epoch starts, "
            "30 % goes into callbacks",
        ),
        (
            main(Bound.HOST, 0.07, 0.6, wait=0.7, own_code=6, compute=3.3),
            "60 % of the training's time goes into the training's own code, 7.0 % waits for data",
        ),
        (
            main(Bound.HOST, None, 0.6, between_epochs=6, compute=4),
            "60 % of the training's time passes between epochs",
        ),
        (
            main(Bound.COMPUTE, 0.016, 0.0, wait=0.16, compute=9.84),
            "the input keeps up: 1.6 % of the training's time waits for data",
        ),
        (
            main(Bound.COMPUTE, 0.01, 0.0, wait=0.1, compute=5.9, validation=4),
            "the input keeps up: 1.0 % of the training's time waits for data, "
            "validation takes 40 % of the whole loop",
        ),
        (
            main(Bound.UNKNOWN, None, 0.0, compute=4),
            "pipeprof could not measure how long the steps waited for data",
        ),
    ],
)
def test_the_headline_names_what_most_time_goes_to_and_what_comes_second(
    found: LoopFinding, said: str
) -> None:
    assert headline(found) == said


def test_the_headline_of_a_training_that_its_input_holds_up_begins_with_that() -> None:
    found = main(Bound.INPUT, 0.01, 0.1, wait=0.1, compute=8.9, callbacks=1)
    held = HeldUpByInput(held_ms=17.0, step_ms=30.0, gil_ratio=0.47, cpu_queue_ratio=0.09)
    said = replace(
        found.diagnosis,
        evidence=(held,),
        held_up=HeldUp(gil_ratio=0.47, cpu_queue_ratio=0.09),
    )

    assert headline(replace(found, diagnosis=said)) == (
        "the input's own work takes 56 % of each step from the training, "
        "1.0 % of the training's time waits for data, 10 % goes into callbacks"
    )


def test_a_trainings_time_is_what_it_was_made_of() -> None:
    found = main(Bound.INPUT, 0.8, 0.0, **SHUFFLE, validation=3, startup=0.01)
    assert training_time(found) == (
        "10.3 s of training = wait 8.2 (epoch starts 8.0) + compute 2.0 + callbacks 0.1"
    )


def test_waits_that_are_too_short_for_a_name_of_their_own_are_waits() -> None:
    found = main(Bound.COMPUTE, 0.0, 0.0, epoch_start=0.04, wait=7.26, compute=2.5)
    assert training_time(found) == "9.8 s of training = wait 7.3 + compute 2.5"


def test_the_account_is_one_line_of_parts_in_order_with_small_ones_folded() -> None:
    whole = account(
        startup=3.1, compile=1.4, **SHUFFLE, between_epochs=0.05, own_code=0.05, shutdown=0.05
    )
    assert time_pieces(whole) == [
        "15.0 s: start-up 3.1",
        "compile 1.4",
        "epoch starts 8.0",
        "wait 0.2",
        "compute 2.0",
        "callbacks 0.1",
        "other 0.1",
    ]
    assert time_pieces(account()) == []


@pytest.mark.parametrize(
    ("named_s", "whole_s", "piece"),
    [
        (2.9, 12.0, "start-up 3.1 (import keras 2.9)"),
        (1.0, 12.0, "start-up 3.1"),
        (2.9, 60.0, "start-up 3.1"),
    ],
)
def test_what_a_long_start_goes_into_is_named(named_s: float, whole_s: float, piece: str) -> None:
    plain = account(startup=3.1 - named_s, compute=whole_s - 3.1)
    row = AccountRow(part=Part.STARTUP, ns=round(named_s * 1e9), name="import keras")
    whole = replace(plain, wall_ns=round(whole_s * 1e9), rows=(row, *plain.rows))
    assert [each for each in time_pieces(whole) if "start-up" in each] == [
        f"{whole_s:.1f} s: {piece}"
    ]


def epochs(*made_of: tuple[float, float]) -> list[EpochAccount]:
    """Epochs by what each waits and computes, in seconds."""
    return [
        EpochAccount(epoch=number, steps=10, account=account(wait=wait, compute=compute))
        for number, (wait, compute) in enumerate(made_of)
    ]


def test_epochs_that_differ_are_one_line() -> None:
    assert epoch_pieces(epochs((3, 1), (0.0, 1), (0.01, 1), (0.0, 1))) == [
        "1: 4.0 s, waits 75 %",
        "2 to 4: 1.0 s each, waits 0.3 %",
    ]


def test_epochs_that_are_alike_are_no_line() -> None:
    assert epoch_pieces(epochs((1, 1), (1.1, 1), (1, 1))) == []
    assert epoch_pieces([]) == []


def test_many_different_epochs_are_a_range() -> None:
    assert epoch_pieces(epochs((3, 1), (0, 1), (3, 1), (0, 1), (2, 1))) == [
        "1.0 s to 4.0 s each",
        "waits 0 % to 75 %",
    ]
