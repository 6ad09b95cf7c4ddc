"""The intervals on a loop's line of a timeline: steps with their parts, and the host's calls.

Intervals of a line nest. This module knows no viewer's format.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pipeprof.recording.account import HostFunction
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


class LineInterval(NamedTuple):
    """An interval of a loop's line. There are many, and a tuple is made faster than a dataclass.

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
    left = _Calls(calls if at_most is None else calls[-at_most:])
    columns = (steps.start_ns, steps.end_ns, steps.wait_ns)
    rows = zip(*(column[begin:].tolist() for column in columns), strict=True)
    free_ns = None  # nothing of a step that ended then may be covered
    for number, (start_ns, end_ns, wait_ns) in enumerate(rows, begin):
        yield from _cut(left.taken_until(start_ns), free_ns, start_ns)
        yield LineInterval(Shown.STEP, start_ns, end_ns, number)
        if inside := list(_cut(left.taken_until(end_ns), start_ns, end_ns)):
            yield from _step_parts(start_ns, end_ns, wait_ns, inside)
        elif wait_ns != UNKNOWN_NS:
            waited_ns = min(start_ns + wait_ns, end_ns)
            if start_ns < waited_ns:
                yield LineInterval(Shown.WAIT, start_ns, waited_ns)
            if waited_ns < end_ns:
                yield LineInterval(Shown.COMPUTE, waited_ns, end_ns)
        free_ns = end_ns
    yield from _cut(left.taken_until(None), free_ns, None)


class _Calls:
    """Calls in the order of their begins, which are taken one after the other."""

    def __init__(self, calls: Sequence[LineInterval]) -> None:
        self._calls = calls
        self._taken = 0

    def taken_until(self, until_ns: int | None) -> Sequence[LineInterval]:
        """Takes those before the first whose middle does not lie before a time; all for None."""
        begin = end = self._taken
        while end < len(self._calls) and (
            until_ns is None or self._calls[end].start_ns + self._calls[end].end_ns < 2 * until_ns
        ):
            end += 1
        self._taken = end
        return self._calls[begin:end]


def _cut(
    calls: Sequence[LineInterval], from_ns: int | None, until_ns: int | None
) -> Iterator[LineInterval]:
    """The parts of calls that lie inside a stretch of time."""
    for call in calls:
        start_ns = call.start_ns if from_ns is None else max(call.start_ns, from_ns)
        end_ns = call.end_ns if until_ns is None else min(call.end_ns, until_ns)
        if start_ns < end_ns:
            yield call._replace(start_ns=start_ns, end_ns=end_ns)


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
