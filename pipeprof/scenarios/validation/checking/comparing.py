"""Compares a report (`--json`) with what is true of its training. Pure: values in, checks out."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from pipeprof.scenarios.validation.checking.account_checks import (
    SHARES,
    account_checks,
    between_epochs_checks,
    epoch_start_checks,
    name_checks,
    share_checks,
)
from pipeprof.scenarios.validation.checking.check_making import (
    agreement,
    missing,
    one_of,
)
from pipeprof.scenarios.validation.checking.report_check import Agreement, Point, ReportCheck
from pipeprof.scenarios.validation.checking.report_keys import (
    NOTHING,
    Report,
    Truth,
    look_up,
)
from pipeprof.scenarios.validation.checking.time_checks import (
    ideal_step_checks,
    wait_checks,
)
from pipeprof.scenarios.validation.checking.verdict_checks import (
    held_up_checks,
    is_named,
    verdict_checks,
)
from pipeprof.scenarios.validation.expected import ExpectedCost, Loops, Planted

COST_TOLERANCE = 0.10


def compare_report(
    report: Report, truth: Truth, planted: Planted, *, ceiling_ms: float | None = None
) -> tuple[ReportCheck, ...]:
    """What the report has to state of a planted training, and whether it does.

    Args:
        report: of one run, as `--json` writes it.
        truth: what the training clocked itself in that run.
        planted: what was known before.
        ceiling_ms: its step with input for free, where that was measured.
    """
    return tuple(
        chain(
            verdict_checks(report, truth, planted),
            wait_checks(report, truth),
            account_checks(report),
            *(share_checks(report, truth, share) for share in (*SHARES, *planted.shares)),
            epoch_start_checks(report, truth),
            between_epochs_checks(report, truth),
            *(_cost(report, truth, cost) for cost in planted.costs),
            *(name_checks(report, truth, planted.script, named) for named in planted.named),
            _loops(report, planted),
            _epochs(report, planted),
            _advice(report, planted),
            _remarks(report, planted),
            held_up_checks(report, planted),
            ideal_step_checks(report, ceiling_ms),
        )
    )


# The verdict.


# Times.


# The account.


# Stages, loops, epochs and advice.


def _cost(report: Report, truth: Truth, cost: ExpectedCost) -> Iterator[ReportCheck]:
    true_ms = truth[cost.truth]
    stages = [
        stage
        for stage in look_up(report, "stages") or ()
        if is_named(stage["name"], cost.stage) or is_named(stage.get("function"), cost.stage)
    ]
    if not stages:
        names = tuple(stage["name"] for stage in look_up(report, "stages") or ())
        yield ReportCheck(
            point=Point.COST, of=cost.stage, outcome=Agreement.WRONG, expected=true_ms, found=names
        )
        return
    found = stages[0]["cost_ms"]
    error = None if found is None else found / true_ms - 1.0
    right = error is not None and abs(error) <= COST_TOLERANCE
    yield ReportCheck(
        point=Point.COST,
        of=cost.stage,
        outcome=agreement(right),
        expected=true_ms,
        found=found,
        error=error,
    )
    if cost.copies is not None:
        copies = look_up(stages[0], "copies")
        yield one_of(Point.COPIES, copies, (cost.copies,), cost.stage)


def _loops(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    loops: Sequence[Any] = look_up(report, "loops") or ()
    for wanted in planted.loops:
        of_kind = [loop for loop in loops if loop["kind"] == wanted.kind]
        yield ReportCheck(
            point=Point.LOOPS,
            of=wanted.kind,
            outcome=agreement(len(of_kind) == wanted.count),
            expected=wanted.count,
            found=len(of_kind),
        )
        yield from _steps_and_epochs(of_kind, wanted)
    for kind in planted.no_loops:
        found = sum(loop["kind"] == kind for loop in loops)
        yield ReportCheck(
            point=Point.LOOPS, of=kind, outcome=agreement(not found), expected=0, found=found
        )


def _steps_and_epochs(loops: Sequence[Any], wanted: Loops) -> Iterator[ReportCheck]:
    for point, key, expected in (
        (Point.STEPS, "steps", wanted.steps),
        (Point.EPOCHS, "epochs", wanted.epochs),
    ):
        if expected is not None:
            found = tuple(loop[key] for loop in loops)
            yield ReportCheck(
                point=point,
                of=wanted.kind,
                outcome=agreement(all(number == expected for number in found)),
                expected=expected,
                found=found,
            )


def _epochs(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    if planted.epochs is None:
        return
    wanted = planted.epochs
    expected = f"the first over {wanted.first_over}, later ones under {wanted.later_under}"
    epochs = look_up(report, "epochs")
    if epochs is NOTHING:
        yield missing(Point.EPOCH_WAITS, expected)
        return
    ratios = tuple(epoch["wait_ratio"] for epoch in epochs)
    right = (
        len(ratios) > 1
        and ratios[0] >= wanted.first_over
        and all(ratio <= wanted.later_under for ratio in ratios[1:])
    )
    yield ReportCheck(
        point=Point.EPOCH_WAITS, outcome=agreement(right), expected=expected, found=ratios
    )


def _advice(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    if not planted.advised and not planted.not_advised:
        return
    advice = look_up(report, "diagnosis", "advice") or ()
    text = "\n".join(f"{one['action']} {one['summary']} {one['how']}" for one in advice).lower()
    for word in planted.advised:
        yield ReportCheck(
            point=Point.ADVICE, outcome=agreement(word in text), expected=word, found=text or None
        )
    for word in planted.not_advised:
        yield ReportCheck(
            point=Point.ADVICE,
            outcome=agreement(word not in text),
            expected=f"no {word}",
            found=text or None,
        )


def _remarks(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    evidence = look_up(report, "diagnosis", "evidence") or ()
    warnings = look_up(report, "run", "warnings") or ()
    text = " ".join((*evidence, *warnings))
    for word in planted.remarked:
        yield ReportCheck(
            point=Point.REMARK, outcome=agreement(word in text), expected=word, found=text or None
        )


# Checks.
