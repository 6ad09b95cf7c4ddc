"""Compares where a report has the time gone with what its training clocked itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    account_of,
    look_up,
)
from pipeprof.scenarios.validation.checking.time_checks import most_of_starts_s, training_s, unsure
from pipeprof.scenarios.validation.expected import Named, Share
from pipeprof.scenarios.validation.script_places import is_inside

ACCOUNT_TOLERANCE = 0.01

# The parts of the main loop's account, and the keys of the truth that clock them.
WITHIN_STEPS = (
    Share(parts=("wait",), truth=("wait_s",)),
    Share(parts=("compute",), truth=("compute_s",)),
)
SHARES = (
    *WITHIN_STEPS,
    Share(parts=("callbacks",), truth=("callbacks_s",)),
    Share(parts=("validation",), truth=("validation_s",)),
    Share(parts=("own_code",), truth=("own_code_s",)),
)


def account_checks(report: Report) -> Iterator[ReportCheck]:
    """Whether the parts of each account add up to its wall time."""
    accounts: list[tuple[str | None, Any]] = [(None, look_up(report, "account"))]
    accounts += [
        (f"of loop {number}", look_up(loop, "account"))
        for number, loop in enumerate(look_up(report, "loops") or (), start=1)
    ]
    for of, account in accounts:
        if account is NOTHING:
            yield missing(Point.ACCOUNT, "parts that add up to the wall time", of)
            continue
        wall_s, parts_s = account["wall_s"], sum(part["s"] for part in account["parts"])
        yield ReportCheck(
            point=Point.ACCOUNT,
            of=of,
            outcome=agreement(abs(parts_s - wall_s) <= ACCOUNT_TOLERANCE * wall_s),
            expected=wall_s,
            found=parts_s,
        )


def share_checks(report: Report, truth: Truth, share: Share) -> Iterator[ReportCheck]:
    """The part of the time that these parts of the account have together."""
    if any(key not in truth for key in (*share.truth, share.whole)):
        return
    of = " and ".join(share.parts)
    true_ratio = sum(truth[key] for key in share.truth) / truth[share.whole]
    account = account_of(report, of_run=share.of_run)
    if account is NOTHING:
        yield missing(Point.SHARE, true_ratio, of)
        return
    parts_s = sum(part["s"] for part in account["parts"] if part["part"] in share.parts)
    found = parts_s / account["wall_s"]
    error = found - true_ratio
    within = SHARE_TOLERANCE + (unsure(truth) if share in WITHIN_STEPS else 0.0)
    yield ReportCheck(
        point=Point.SHARE,
        of=of,
        outcome=agreement(abs(error) <= within),
        expected=true_ratio,
        found=found,
        error=error,
    )


def epoch_start_checks(report: Report, truth: Truth) -> Iterator[ReportCheck]:
    """At least what is planted there, at most what passes before first batches and after last ones."""
    if "first_batches_s" not in truth or "loop_s" not in truth:
        return
    of = "epoch_start"
    low = truth.get("input_starts_s", 0.0) / truth["loop_s"]
    high = most_of_starts_s(truth) / truth["loop_s"]
    account = account_of(report, of_run=False)
    if account is NOTHING:
        yield missing(Point.SHARE, (low, high), of)
        return
    parts_s = sum(part["s"] for part in account["parts"] if part["part"] == "epoch_start")
    yield between(Point.SHARE, parts_s / account["wall_s"], low, high, of)


def between_epochs_checks(report: Report, truth: Truth) -> Iterator[ReportCheck]:
    """At least what the script does there, at most all of that time: frameworks work there too."""
    if "between_epochs_most_s" not in truth:
        return
    of = "between_epochs"
    high_s = truth["between_epochs_most_s"] + truth.get("first_batches_s", 0.0)
    low, high = _ends(truth.get("between_epochs_s", 0.0), high_s, truth)
    account = account_of(report, of_run=False)
    if account is NOTHING:
        yield missing(Point.SHARE, (low, high), of)
        return
    parts_s = sum(part["s"] for part in account["parts"] if part["part"] == "between_epochs")
    yield between(Point.SHARE, parts_s / account["wall_s"], low, high, of)


def _ends(low_s: float, high_s: float, truth: Truth) -> tuple[float, float]:
    return low_s / truth["loop_s"], max(low_s, high_s) / truth["loop_s"]


def name_checks(report: Report, truth: Truth, script: Path, named: Named) -> Iterator[ReportCheck]:
    """Whether something has its name in the report, its line, and its share of the time."""
    where = "host" if named.part is None else named.part
    of = f"{named.name} in {where}"
    entries = _entries(report, named)
    if entries is NOTHING:
        yield missing(Point.NAME, named.name, of)
        return
    found = [entry for entry in entries if _has_name(entry.get("name"), named.name)]
    names = tuple(str(entry.get("name")) for entry in entries)
    yield ReportCheck(
        point=Point.NAME, of=of, outcome=agreement(found), expected=named.name, found=names
    )
    if not found:
        return
    if named.function is not None:
        locations = tuple(str(entry["location"]) for entry in found)
        placed = any(is_inside(location, script, named.function) for location in locations)
        yield ReportCheck(
            point=Point.LINE,
            of=f"{Point.NAME.value} {of}",
            outcome=agreement(placed),
            expected=named.function,
            found=locations,
        )
    if named.truth is not None:
        true_ratio = truth[named.truth] / _whole_s(report, truth, named)
        ratio = sum(entry["ratio"] or 0.0 for entry in found)
        yield ReportCheck(
            point=Point.SHARE,
            of=named.name,
            outcome=agreement(abs(ratio - true_ratio) <= SHARE_TOLERANCE),
            expected=true_ratio,
            found=ratio,
            error=ratio - true_ratio,
        )


def _whole_s(report: Report, truth: Truth, named: Named) -> float:
    """What a ratio of something that is named refers to: of the host, the training's time."""
    if named.part is None:
        return training_s(report, truth)
    return truth["script_s" if named.of_run else "loop_s"]


def _entries(report: Report, named: Named) -> Any:
    if named.part is None:
        return look_up(report, "diagnosis", "host")
    account = account_of(report, of_run=named.of_run)
    if account is NOTHING:
        return NOTHING
    return [part for part in account["parts"] if part["part"] == named.part]


def _has_name(found: object, name: str) -> bool:
    """Whether a name is the one that is wanted or ends in it, or begins with it where methods are named."""
    if not isinstance(found, str):
        return False
    return found == name or found.endswith(f".{name}") or found.startswith(f"{name}.")
