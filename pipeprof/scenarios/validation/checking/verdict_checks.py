"""Compares a report's verdict with what is planted, and with what its training clocked itself."""

from collections.abc import Iterator
from typing import Any

from pipeprof.scenarios.validation.checking.check_making import agreement, missing, one_of
from pipeprof.scenarios.validation.checking.report_check import Point, ReportCheck
from pipeprof.scenarios.validation.checking.report_keys import NOTHING, Report, Truth, look_up
from pipeprof.scenarios.validation.checking.time_checks import training_s
from pipeprof.scenarios.validation.expected import Planted
from pipeprof.scenarios.validation.script_places import is_at, is_at_text, is_inside

# The borders of the verdict, and how near to one a training may be either.
INPUT_FROM, COMPUTE_BELOW = 0.20, 0.05
BORDER_TOLERANCE = 0.01


def verdict_checks(report: Report, truth: Truth, planted: Planted) -> Iterator[ReportCheck]:
    """Bound, cause and bottleneck."""
    whole_s = training_s(report, truth) if "loop_s" in truth else None
    bounds = tuple(dict.fromkeys((*planted.bound, *bounds_by(truth, whole_s))))
    yield one_of(Point.BOUND, look_up(report, "diagnosis", "bound"), bounds)
    if planted.cause:
        yield one_of(Point.CAUSE, look_up(report, "diagnosis", "cause"), planted.cause)
    bottleneck = look_up(report, "diagnosis", "bottleneck")
    location = look_up(bottleneck, "location") or None
    if planted.no_bottleneck:
        found = bottleneck and bottleneck["stage"]
        yield ReportCheck(
            point=Point.BOTTLENECK, outcome=agreement(not bottleneck), expected=None, found=found
        )
    if planted.bottleneck:
        yield from _bottleneck(bottleneck, planted)
    if planted.bottleneck_line is not None:
        yield ReportCheck(
            point=Point.BOTTLENECK_LINE,
            outcome=agreement(is_at_text(location, planted.script, planted.bottleneck_line)),
            expected=planted.bottleneck_line,
            found=location,
        )
    if planted.bottleneck_kind is not None:
        found = look_up(bottleneck, "kind")
        yield one_of(Point.BOTTLENECK_KIND, found or None, (planted.bottleneck_kind,))


def bounds_by(truth: Truth, whole_s: float | None = None) -> tuple[str, ...]:
    """The bounds that the training's own clocks allow: others on the machine may make it wait in fact.

    Args:
        truth: what it clocked.
        whole_s: what waits are a part of; without it the whole loop but its validation.
    """
    if "wait_s" not in truth or "loop_s" not in truth:
        return ()
    whole = whole_s or truth["loop_s"] - truth.get("validation_s", 0.0)
    wait = (truth["wait_s"] + truth.get("input_starts_s", 0.0)) / whole
    host = truth.get("host_s", truth.get("own_code_s", 0.0)) / whole
    around = (wait - BORDER_TOLERANCE, wait + BORDER_TOLERANCE)
    return tuple(_bound(near, host) for near in around)


def _bound(wait: float, host: float) -> str:
    if host >= INPUT_FROM and host > wait:
        return "host"
    if wait >= INPUT_FROM:
        return "input"
    return "compute" if max(wait, host) < COMPUTE_BELOW else "balanced"


def _bottleneck(bottleneck: Any, planted: Planted) -> Iterator[ReportCheck]:
    name = look_up(bottleneck, "stage") or None
    right = [function for function in planted.bottleneck if is_named(name, function)]
    yield ReportCheck(
        point=Point.BOTTLENECK, outcome=agreement(right), expected=planted.bottleneck, found=name
    )
    location = look_up(bottleneck, "location") or None
    sampled = look_up(bottleneck, "cost_ms") is None  # known by the lines that samples met
    at = is_inside if sampled else is_at
    placed = any(at(location, planted.script, function) for function in planted.bottleneck)
    yield ReportCheck(
        point=Point.BOTTLENECK_LINE,
        outcome=agreement(placed),
        expected=planted.bottleneck,
        found=location,
    )


def is_named(name: object, function: str) -> bool:
    """Whether a name of a report is that of a function: in full or the last part of either."""
    if not isinstance(name, str):
        return False
    return name == function or name.rpartition(".")[2] == function.rpartition(".")[2]


def held_up_checks(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    """Whether the input's own work keeps the training from computing."""
    if planted.held_up is None:
        return
    held_up = look_up(report, "diagnosis", "held_up")
    if held_up is NOTHING:
        yield missing(Point.HELD_UP, planted.held_up)
        return
    ratios = [look_up(held_up, key) or 0.0 for key in ("gil_ratio", "cpu_queue_ratio")]
    right = (sum(ratios) >= 0.20) if planted.held_up else (sum(ratios) < 0.10)
    yield ReportCheck(
        point=Point.HELD_UP,
        outcome=agreement(right),
        expected=planted.held_up,
        found=sum(ratios),
    )
