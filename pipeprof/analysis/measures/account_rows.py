"""Rows of an account: a part of the time by the places that calls and samples show."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeprof.analysis.findings.account_findings import (
    AccountRow,
    FeederPlace,
    FrameworkWork,
    PlaceName,
)
from pipeprof.recording.account import (
    HostSample,
    HostState,
    Part,
)
from pipeprof.recording.source_code import MODULE

# Places that hold less of a part than this are left in the part's own row.
NAMED_FROM = 0.01


# So many places of a part have a row of their own.
_MOST_NAMED = 8

# So many standard errors up and down hold the truth nine times in ten.
NINE_IN_TEN = 1.645


def by_samples(part: Part, ns: int, samples: Iterable[HostSample]) -> list[AccountRow]:
    """A part by the places of the training thread's samples in it; waiting by what it waited for."""
    if part is Part.WAIT:
        return _waiting(ns, samples)
    at_work = (HostState.OWN_CODE, HostState.FRAMEWORK)
    return _placed(part, ns, [s for s in samples if s.part is part and s.state in at_work])


def _waiting(ns: int, samples: Iterable[HostSample]) -> list[AccountRow]:
    """Waiting by what made the batches: functions of the loop's own thread, or who worked meanwhile."""
    by_state: dict[HostState, list[HostSample]] = defaultdict(list)
    for sample in samples:
        by_state[sample.state].append(sample)
    made, waited = (
        sum(sample.samples for sample in by_state[state])
        for state in (HostState.MAKING, HostState.WAITING)
    )
    made_ns = ns * made // (made + waited) if made else 0
    rows = _placed(Part.WAIT, made_ns, by_state[HostState.MAKING])
    return [*rows, *_placed(Part.WAIT, ns - made_ns, by_state[HostState.FEEDING])]


def _placed(part: Part, ns: int, mine: Sequence[HostSample]) -> list[AccountRow]:
    """A part by the places of these samples."""
    count = sum(sample.samples for sample in mine)
    if not count:
        return [AccountRow(part=part, ns=ns)] if ns else []
    by_place: dict[tuple[PlaceName, str], list[HostSample]] = defaultdict(list)
    for sample in mine:
        # What calls ``fit`` is no place of the user's.
        frameworks = part is Part.BETWEEN_EPOCHS and sample.state is HostState.FRAMEWORK
        name: PlaceName = FrameworkWork.BETWEEN_EPOCHS if frameworks else _place_name(sample)
        by_place[name, sample.location.file].append(sample)
    named = []
    for (name, _), its in by_place.items():
        share = sum(sample.samples for sample in its) / count
        if share >= NAMED_FROM:
            busiest = max(its, key=lambda sample: sample.samples)
            line = None if isinstance(name, FrameworkWork) else busiest.location
            named.append(
                AccountRow(
                    part=part,
                    ns=int(ns * share),
                    name=name,
                    location=line,
                    calls_fit=all(sample.calls_fit for sample in its),
                    calls_predict=all(sample.calls_predict for sample in its),
                    error_ns=_error_ns(its, ns / count),
                )
            )
    return with_rest(part, ns, named)


def _error_ns(samples: Sequence[HostSample], each_ns: float) -> int | None:
    """How far off the time of a place may be, of which each sample stands for so much; None if not known.

    Lines of one function are taken to be met independently, which makes this a little too large.
    """
    errors = [sample.error for sample in samples if sample.error is not None]
    if len(errors) < len(samples):
        return None
    return round(NINE_IN_TEN * math.hypot(*errors) * each_ns)


def _place_name(sample: HostSample) -> PlaceName:
    """The function; on a script's own lines what they call; who worked where the training waited."""
    if sample.state is HostState.FEEDING:
        return FeederPlace(function=sample.function, feeder=sample.feeder)
    if sample.function == MODULE and sample.detail is not None:
        return sample.detail
    return sample.function


def with_rest(part: Part, ns: int, named: list[AccountRow]) -> list[AccountRow]:
    """The dearest places of a part, and a row for what is left of it."""
    named = sorted(named, key=lambda row: -row.ns)[:_MOST_NAMED]
    named_ns = sum(row.ns for row in named)
    if named_ns > ns:  # their clocks differ by what lies between the readings
        named = [replace(row, ns=row.ns * ns // named_ns) for row in named]
    rest_ns = ns - sum(row.ns for row in named)
    return [*named, AccountRow(part=part, ns=rest_ns)] if rest_ns else named


def scaled_rows(rows: list[AccountRow], wall_ns: int) -> list[AccountRow]:
    """Rows that add up to the whole: what is missing is a row of its own."""
    missing_ns = wall_ns - sum(row.ns for row in rows)
    if missing_ns > 0:
        return [*rows, AccountRow(part=Part.OTHER, ns=missing_ns)]
    return rows


def ordered_rows(rows: Iterable[AccountRow]) -> tuple[AccountRow, ...]:
    """Rows that are not empty, in the order of the parts, the dearest of a part first."""
    order = {part: number for number, part in enumerate(Part)}
    kept = [row for row in rows if row.ns]
    return tuple(sorted(kept, key=lambda row: (order[row.part], row.name is None, -row.ns)))
