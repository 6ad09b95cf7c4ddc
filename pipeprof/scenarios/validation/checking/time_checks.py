"""Compares a report's times with those that its training clocked itself."""

from collections.abc import Iterator

from pipeprof.scenarios.validation.checking.check_making import (
    SHARE_TOLERANCE,
    agreement,
    between,
    missing,
)
from pipeprof.scenarios.validation.checking.report_check import Point, ReportCheck
from pipeprof.scenarios.validation.checking.report_keys import (
    NOTHING,
    Report,
    Truth,
    look_up,
    main_loop,
)

TIME_TOLERANCE = 0.10
IDEAL_TOLERANCE = 0.15
CLOCK_MS = 0.5  # what two clocks of one step may differ


# Parts that a longer training would not have more of; no clock of the scripts' separates them.
AROUND = ("startup", "compile", "shutdown")


def wait_checks(report: Report, truth: Truth) -> Iterator[ReportCheck]:
    """What a step waits and takes, and what the wall time went to, where the script clocked it."""
    small_ms = max(SHARE_TOLERANCE * truth.get("step_ms", 0.0), truth.get("clock_ms", 0.0))
    for point, key, slack_ms in (
        (Point.WAIT, "wait_ms", small_ms),
        (Point.STEP, "step_ms", 0.0),
        (Point.STEP_CALLBACKS, "callback_ms", 0.0),
    ):
        if key in truth:
            yield _time(point, report, key, truth[key], slack_ms=slack_ms)
    if "wait_s" in truth and "loop_s" in truth:
        whole = training_s(report, truth)
        low = (truth["wait_s"] + truth.get("input_starts_s", 0.0)) / whole
        high = (truth["wait_s"] + most_of_starts_s(truth)) / whole
        slack = unsure(truth)
        yield _ratio_between(Point.WALL_WAIT, report, low - slack, high + slack)
    if "host_s" in truth:
        whole = training_s(report, truth)
        between_s = truth.get("between_epochs_s", 0.0)
        high = truth["host_s"] + max(truth.get("between_epochs_most_s", 0.0) - between_s, 0.0)
        high += truth.get("first_batches_s", 0.0)  # where epochs begin TensorFlow works as well
        yield _ratio_between(Point.WALL_HOST, report, truth["host_s"] / whole, high / whole)


def training_s(report: Report, truth: Truth) -> float:
    """The loop's time by the script's clock, without validation and what started, was compiled and ended.

    No clock of the script's shows the latter: it is what the report has.
    """
    account = look_up(main_loop(report), "account")
    parts = account["parts"] if account else ()
    around = (part["s"] for part in parts if part["part"] in AROUND)
    return float(truth["loop_s"] - truth.get("validation_s", 0.0) - sum(around))


def _time(
    point: Point, report: Report, key: str, true_ms: float, *, slack_ms: float
) -> ReportCheck:
    found = look_up(report, "diagnosis", key, "mean")
    if found is NOTHING:
        return missing(point, true_ms)
    within = max(TIME_TOLERANCE * true_ms, slack_ms, CLOCK_MS)
    right = found is not None and abs(found - true_ms) <= within
    error = None if found is None or true_ms < CLOCK_MS else found / true_ms - 1.0
    return ReportCheck(
        point=point, outcome=agreement(right), expected=true_ms, found=found, error=error
    )


def _ratio_between(point: Point, report: Report, low: float, high: float) -> ReportCheck:
    found = look_up(report, "diagnosis", point.value)
    return missing(point, low) if found is NOTHING else between(point, found, low, high)


def ideal_step_checks(report: Report, ceiling_ms: float | None) -> Iterator[ReportCheck]:
    """The step with input for free, against the measured one."""
    if ceiling_ms is None:
        return
    found = look_up(report, "diagnosis", "ideal_step_ms")
    if found is NOTHING:
        yield missing(Point.IDEAL_STEP, ceiling_ms)
        return
    low, high = look_up(report, "diagnosis", "ideal_step_ms_interval") or (found, found)
    right = found is not None and (
        abs(found / ceiling_ms - 1.0) <= IDEAL_TOLERANCE
        or abs(found - ceiling_ms) <= CLOCK_MS
        or low <= ceiling_ms <= high
    )
    error = None if found is None else found / ceiling_ms - 1.0
    yield ReportCheck(
        point=Point.IDEAL_STEP,
        outcome=agreement(right),
        expected=ceiling_ms,
        found=found,
        error=error,
    )


def unsure(truth: Truth) -> float:
    """The part of the loop by which the script's own clock may mistake waiting for computing.

    On a quiet machine it is nothing: it is what a call takes to begin beyond `CLOCK_MS`.
    """
    more_ms = max(truth.get("clock_ms", 0.0) - CLOCK_MS, 0.0)
    return more_ms / 1e3 * truth.get("steps", 0) / truth["loop_s"]


def most_of_starts_s(truth: Truth) -> float:
    """What passes before epochs' first batches and after their last ones, validation left out.

    TensorFlow starts there as well, and Keras ends and starts workers; between two calls of fit Keras
    takes a first batch of a generator, and ends what is under way for the call before.
    """
    after_s = 0.0 if "validation_s" in truth else truth.get("after_last_s", 0.0)
    between_s = truth.get("between_epochs_most_s", 0.0) - truth.get("between_epochs_s", 0.0)
    return truth["first_batches_s"] + after_s + max(between_s, 0.0)
