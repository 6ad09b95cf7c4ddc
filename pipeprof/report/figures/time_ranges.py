"""Which stretches of a run are worth looking at one event after another."""

from collections.abc import Iterator

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.span import SpanKind
from pipeprof.report.numbers import duration

STEPS_EACH = 12
MOST_SPANS = 3_000

_LEAD = 2
_HOLE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """A stretch of time with a name."""

    name: str
    start_ns: int
    end_ns: int


def time_ranges(profile: Profile, loop: Loop) -> tuple[TimeRange, ...]:
    """Stretches of a few steps each, the most usual first; none where no steps were kept."""
    number = next(index for index, each in enumerate(profile.loops) if each is loop)
    spans = profile.spans
    chosen = (spans.kind == SpanKind.STEP) & (spans.subject == number)
    order = np.argsort(spans.start_ns[chosen], kind="stable")
    starts, ends = spans.start_ns[chosen][order], spans.end_ns[chosen][order]
    holes = _holes(starts, ends)
    found: list[TimeRange] = []
    for name, index, most in _candidates(profile, loop, starts, holes):
        end = _end_of(index, most, starts, ends, holes, profile)
        time_range = TimeRange(
            name=f"{name}: {_where(loop, int(starts[index]), int(starts[end]), profile)}",
            start_ns=int(starts[index]),
            end_ns=int(ends[end]),
        )
        if not any(_mostly_in(time_range, other) for other in found):
            found.append(time_range)
    return tuple(found)


def _candidates(
    profile: Profile, loop: Loop, starts: IntArray, holes: IntArray
) -> Iterator[tuple[str, int, int]]:
    """For each range that may be shown: its name, its first step, and the most steps it may have."""
    if not len(starts):
        return
    steady = 0 if loop.steady_ns is None else int(np.searchsorted(starts, loop.steady_ns))
    last = max(len(starts) - STEPS_EACH, 0)
    yield "middle", min(max((steady + len(starts)) // 2, 0), last), STEPS_EACH
    longest = _longest_wait(loop)
    if longest is not None:
        index = int(np.searchsorted(starts, longest))
        yield "longest wait", _before(index, len(starts), holes), STEPS_EACH
    later = np.flatnonzero(loop.steps.first_of_epoch() & (loop.steps.ordinal > 0))
    if len(later):
        at = int(np.searchsorted(starts, loop.steps.start_ns[later[0]]))
        yield "start of an epoch", _before(at, len(starts), holes), STEPS_EACH
    for window in profile.trace_windows:
        if profile.loops[window.loop] is loop:
            first, end = np.searchsorted(starts, [window.start_ns, window.end_ns]).tolist()
            if first < end:
                yield "traced", first, min(end - first, STEPS_EACH)
    yield "first steps", 0, STEPS_EACH
    yield "last steps", last, STEPS_EACH


def _holes(starts: IntArray, ends: IntArray) -> IntArray:
    """Indices of the steps behind which steps are missing, because they were not kept one by one."""
    if not len(starts):
        return starts
    gaps = starts[1:] - ends[:-1]
    return np.flatnonzero(gaps > _HOLE * float(np.median(ends - starts)))


def _before(index: int, length: int, holes: IntArray) -> int:
    """The step at which a range begins that shows a certain step and those just before it."""
    index = min(index, length - 1)
    after_hole = int(holes[holes < index].max(initial=-1)) + 1
    return max(index - _LEAD, after_hole)


def _longest_wait(loop: Loop) -> int | None:
    """When the step that waited longest began; warm-up and first steps of epochs left out."""
    steps = loop.steps
    usual = loop.counted & steps.measured
    if not usual.any():
        return None
    return int(steps.start_ns[usual][np.argmax(steps.wait_ns[usual])])


def _end_of(
    index: int, most: int, starts: IntArray, ends: IntArray, holes: IntArray, profile: Profile
) -> int:
    """The last step of a range: it crosses no hole, and has no more spans than can be drawn."""
    end = min(index + most, len(starts)) - 1
    end = int(holes[holes >= index].min(initial=end))
    while end > index and _crowd(profile, int(starts[index]), int(ends[end])) > MOST_SPANS:
        end = (index + end) // 2
    return end


def _crowd(profile: Profile, start_ns: int, end_ns: int) -> int:
    spans = profile.spans
    work = (spans.kind == SpanKind.WORK) & (spans.end_ns > start_ns) & (spans.start_ns < end_ns)
    return int(work.sum())


def _where(loop: Loop, first_ns: int, last_ns: int, profile: Profile) -> str:
    numbers = dict(zip(loop.steps.start_ns.tolist(), loop.steps.ordinal.tolist(), strict=True))
    if first_ns in numbers and last_ns in numbers:
        return f"steps {numbers[first_ns]:,} to {numbers[last_ns]:,}"
    return f"at {duration((first_ns - profile.run.start_ns) / 1e6)}"


def _mostly_in(time_range: TimeRange, other: TimeRange) -> bool:
    shared = min(time_range.end_ns, other.end_ns) - max(time_range.start_ns, other.start_ns)
    return 2 * shared > time_range.end_ns - time_range.start_ns
