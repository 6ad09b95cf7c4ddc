"""The intervals on a loop's line of a timeline: steps with their parts, and the host's calls.

Intervals of a line nest. This module knows no viewer's format.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from itertools import pairwise

import numpy as np

from pipeprof.recording.account import HostFunction
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import UNKNOWN_NS, Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind


class Shown(Enum):
    """What an interval of a loop's line is."""

    STEP = "step"
    WAIT = "wait"
    COMPUTE = "compute"
    CALL = "call"
    COMPILE = "compile"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineInterval:
    """An interval of a loop's line.

    Attributes:
        shown: what it is.
        start_ns: begin.
        end_ns: end.
        step: of a step, its place in `Loop.steps`; else None.
        function: of a call, what was called; else None.
    """

    shown: Shown
    start_ns: int
    end_ns: int
    step: int | None = None
    function: HostFunction | None = None


def loop_lines(profile: Profile, at_most: int | None = None) -> list[list[LineInterval]]:
    """The intervals on the line of each loop, outer ones before those inside them.

    A call of the host's belongs to the loop of its thread that ran when it began, the inner one of
    two. The wait of a step is laid at the step's begin, behind calls that leave no room for it there.

    Args:
        profile: the run.
        at_most: the latest so many steps of each loop, and as many calls.
    """
    calls = _calls_by_loop(profile)
    return [list(_line(loop, calls[number], at_most)) for number, loop in enumerate(profile.loops)]


def _calls_by_loop(profile: Profile) -> dict[int, list[LineInterval]]:
    """Calls and compiling by the loop that they belong to, in the order of their begins."""
    spans = profile.spans
    chosen = np.flatnonzero(np.isin(spans.kind, (SpanKind.CALL, SpanKind.COMPILE)))
    chosen = chosen[np.lexsort((-spans.end_ns[chosen], spans.start_ns[chosen]))]
    loops = np.where(
        spans.kind[chosen] == SpanKind.COMPILE,
        spans.subject[chosen],
        _running(profile, spans.lane[chosen], spans.start_ns[chosen]),
    )
    found: dict[int, list[LineInterval]] = defaultdict(list)
    columns = (spans.kind, spans.subject, spans.start_ns, spans.end_ns)
    for loop, kind, subject, start_ns, end_ns in zip(
        loops.tolist(), *(column[chosen].tolist() for column in columns), strict=True
    ):
        if loop >= 0 <= subject:
            calls = kind == SpanKind.CALL
            interval = LineInterval(
                shown=Shown.CALL if calls else Shown.COMPILE,
                start_ns=start_ns,
                end_ns=end_ns,
                function=profile.host_functions[subject] if calls else None,
            )
            found[loop].append(interval)
    return found


def _running(profile: Profile, lanes: IntArray, at_ns: IntArray) -> IntArray:
    """For each thread and time: index of the innermost loop that ran there then, or -1."""
    found = np.full(len(at_ns), -1, np.int64)
    began_ns = np.full(len(at_ns), np.iinfo(np.int64).min)
    for number, loop in enumerate(profile.loops):
        begins, ends = _passes(loop)
        place = np.searchsorted(begins, at_ns, "right") - 1
        later = (place >= 0) & (loop.lane == lanes) & (at_ns < ends[place])
        later &= begins[place] >= began_ns
        found[later], began_ns[later] = number, begins[place][later]
    return found


def _passes(loop: Loop) -> tuple[IntArray, IntArray]:
    """Begins and ends of a loop's passes; one pass for all where some of a top-level loop were not kept."""
    account = loop.account
    kept = account.passes
    if len(kept) and (loop.parent is not None or len(kept) == account.pass_count):
        return kept[:, 0], kept[:, 1]
    start_ns = loop.start_ns if account.start_ns is None else account.start_ns
    end_ns = loop.end_ns if account.end_ns is None else account.end_ns
    return np.array([start_ns]), np.array([end_ns])


def _line(loop: Loop, calls: Sequence[LineInterval], at_most: int | None) -> Iterator[LineInterval]:
    steps = loop.steps
    begin = 0 if at_most is None else max(len(steps) - at_most, 0)
    left = list(calls if at_most is None else calls[-at_most:])
    columns = (steps.start_ns, steps.end_ns, steps.wait_ns)
    rows = zip(*(column[begin:].tolist() for column in columns), strict=True)
    free_ns = None  # nothing of a step that ended then may be covered
    for number, (start_ns, end_ns, wait_ns) in enumerate(rows, begin):
        before, left = _taken_until(left, start_ns)
        yield from _cut(before, free_ns, start_ns)
        inside, left = _taken_until(left, end_ns)
        yield LineInterval(shown=Shown.STEP, start_ns=start_ns, end_ns=end_ns, step=number)
        yield from _step_parts(start_ns, end_ns, wait_ns, list(_cut(inside, start_ns, end_ns)))
        free_ns = end_ns
    yield from _cut(left, free_ns, None)


def _taken_until(
    calls: list[LineInterval], until_ns: int
) -> tuple[list[LineInterval], list[LineInterval]]:
    """Splits calls at the first whose middle does not lie before a time."""
    count = 0
    while count < len(calls) and calls[count].start_ns + calls[count].end_ns < 2 * until_ns:
        count += 1
    return calls[:count], calls[count:]


def _cut(
    calls: Sequence[LineInterval], from_ns: int | None, until_ns: int | None
) -> Iterator[LineInterval]:
    """The parts of calls that lie inside a stretch of time."""
    for call in calls:
        start_ns = call.start_ns if from_ns is None else max(call.start_ns, from_ns)
        end_ns = call.end_ns if until_ns is None else min(call.end_ns, until_ns)
        if start_ns < end_ns:
            yield replace(call, start_ns=start_ns, end_ns=end_ns)


def _step_parts(
    start_ns: int, end_ns: int, wait_ns: int, calls: Sequence[LineInterval]
) -> Iterator[LineInterval]:
    """The wait of a step, its calls, and computing in the rest of the step."""
    if wait_ns == UNKNOWN_NS:
        yield from calls
        return
    wait = _laid_wait(start_ns, end_ns, wait_ns, calls)
    parts = [*calls, *([wait] if wait.start_ns < wait.end_ns else ())]
    covered = start_ns
    computing = []
    for part in sorted(parts, key=lambda part: part.start_ns):
        if part.start_ns > covered:
            computing.append(
                LineInterval(shown=Shown.COMPUTE, start_ns=covered, end_ns=part.start_ns)
            )
        covered = max(covered, part.end_ns)
    if covered < end_ns:
        computing.append(LineInterval(shown=Shown.COMPUTE, start_ns=covered, end_ns=end_ns))
    yield from sorted([*parts, *computing], key=lambda part: (part.start_ns, -part.end_ns))


def _laid_wait(
    start_ns: int, end_ns: int, wait_ns: int, intervals: Sequence[LineInterval]
) -> LineInterval:
    """The wait of a step, placed in the first gap between calls that is long enough, else in the longest.

    A gap lies inside compiling or outside of it, because the function that is compiled fetches the batch.
    """
    borders = {start_ns, end_ns}
    borders.update(border for each in intervals for border in (each.start_ns, each.end_ns))
    calls = [each for each in intervals if each.shown is Shown.CALL]
    gaps = [
        (begin, end)
        for begin, end in pairwise(sorted(borders))
        if not any(call.start_ns <= begin and end <= call.end_ns for call in calls)
    ]
    roomy = [gap for gap in gaps if gap[1] - gap[0] >= wait_ns]
    widest = max(gaps, key=lambda gap: gap[1] - gap[0], default=(start_ns, start_ns))
    begin, end = roomy[0] if roomy else widest
    return LineInterval(shown=Shown.WAIT, start_ns=begin, end_ns=min(begin + wait_ns, end))
