"""The time of a loop that counts: after its warm-up, without the loops that ran inside it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipeprof.recording.intervals import disjoint
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, Loop
from pipeprof.recording.series import Binned, FloatArray, Gauge, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedTime:
    """A stretch of time with holes, and the steps of one loop in it.

    Attributes:
        start_ns: where it begins.
        end_ns: where it ends.
        holes: stretches inside it that belong to other loops, in the order of time.
        steps: steps of the loop in it.
        past_warmup: False when the loop never came past its warm-up and all of it had to do.
    """

    start_ns: int
    end_ns: int
    holes: tuple[tuple[int, int], ...] = ()
    steps: int
    past_warmup: bool = True

    @property
    def length_ns(self) -> int:
        """How long it is, the holes left out."""
        return self.end_ns - self.start_ns - sum(end - start for start, end in self.holes)

    def sums(self, binned: Binned) -> FloatArray:
        """The sum of each channel in it, never below 0."""
        inside = binned.between(self.start_ns, self.end_ns)
        for start, end in self.holes:
            inside = inside - binned.between(start, end)
        return np.maximum(inside, 0.0)

    def overlap_ns(self, start_ns: int, end_ns: int) -> int:
        """How much of another stretch of time lies between its ends."""
        return max(min(self.end_ns, end_ns) - max(self.start_ns, start_ns), 0)

    def level(self, gauge: Gauge | None) -> float | None:
        """The mean reading in it, of the whole run where it holds none, or None without any."""
        if gauge is None:
            return None
        chosen = self._bins_of(gauge)
        count = int(gauge.counts[chosen].sum())
        return float(gauge.sums[chosen].sum(dtype=np.float64)) / count if count else gauge.mean()

    def highest(self, gauge: Gauge | None) -> int | None:
        """The greatest reading in it, of the whole run where it holds none, or None without any."""
        if gauge is None:
            return None
        chosen = self._bins_of(gauge)
        seen = gauge.highs[chosen][gauge.counts[chosen] > 0]
        return int(seen.max()) if len(seen) else gauge.high()

    def empty_ratio(self, gauge: Gauge | None) -> float | None:
        """How many of the readings in it were 0, or None without any."""
        if gauge is None:
            return None
        chosen = self._bins_of(gauge)
        count = int(gauge.counts[chosen].sum())
        return int(gauge.zeros[chosen].sum()) / count if count else None

    def _bins_of(self, gauge: Gauge) -> IntArray:
        first = max((self.start_ns - gauge.start_ns) // gauge.width_ns, 0)
        last = max(-((gauge.start_ns - self.end_ns) // gauge.width_ns), 0)
        bins = np.arange(first, min(last, len(gauge.counts)))
        middle_ns = gauge.start_ns + bins * gauge.width_ns + gauge.width_ns // 2
        outside = np.ones(len(bins), np.bool_)
        for start, end in self.holes:
            outside &= (middle_ns < start) | (middle_ns >= end)
        read = gauge.counts[bins] > 0
        # Where nothing was read outside of the holes, what was read in them has to do.
        chosen: IntArray = bins[outside] if (outside & read).any() else bins
        return chosen


def counted_times(loops: Sequence[Loop]) -> tuple[CountedTime, ...]:
    """The counted time of each loop; all of a loop that never came past its warm-up."""
    inside: dict[int, list[Loop]] = defaultdict(list)
    for loop in loops:
        if loop.parent is not None:
            inside[loop.parent].append(loop)
    return tuple(_counted_time(loop, inside[number]) for number, loop in enumerate(loops))


def _counted_time(loop: Loop, inner: Sequence[Loop]) -> CountedTime:
    start = loop.start_ns if loop.steady_ns is None else loop.steady_ns
    end = max(loop.end_ns, start)
    steps = loop.step_count if loop.steady_ns is None else loop.step_count - loop.warmup_steps
    inside = [s for other in inner if other is not loop for s in stretches(other)]
    return CountedTime(
        start_ns=start,
        end_ns=end,
        holes=_between(inside, start, end),
        steps=max(steps, 0),
        past_warmup=loop.steady_ns is not None,
    )


def without_pauses(counted_time: CountedTime, loop: Loop) -> CountedTime:
    """Counted time without the stretches in which no step of its loop was under way.

    Between epochs a loop may stand for long, and its input with it: while a callback saves the model, or
    while Keras 2 waits up to five seconds for the threads of its queue to end. What that leaves is
    the time that ratios about steps refer to: how busy a stage or the CPUs were.
    """
    taken = stretches(loop)
    edges = [
        counted_time.start_ns,
        *(edge for stretch in taken for edge in stretch),
        counted_time.end_ns,
    ]
    pauses = zip(edges[::2], edges[1::2], strict=True)
    holes = _between((*counted_time.holes, *pauses), counted_time.start_ns, counted_time.end_ns)
    steps_only = replace(counted_time, holes=holes)
    return steps_only if steps_only.length_ns > 0 else counted_time


def _between(
    pieces: Iterable[tuple[int, int]], start_ns: int, end_ns: int
) -> tuple[tuple[int, int], ...]:
    """The parts of these stretches that lie between two times, in order and without overlap."""
    intervals = np.array(sorted(pieces), np.int64).reshape(-1, 2)
    inside = disjoint(np.clip(intervals, start_ns, end_ns))
    starts, ends = inside[inside[:, 0] < inside[:, 1]].T.tolist()
    return tuple(zip(starts, ends, strict=True))


def stretches(loop: Loop) -> tuple[tuple[int, int], ...]:
    """When a loop took steps: each of its epochs, or, of a long loop, the time bins it filled."""
    steps = loop.steps
    if not len(steps):
        return ()
    if len(steps) == loop.step_count:
        begins = np.flatnonzero(steps.first_of_epoch())
        ends = np.append(begins[1:], len(steps)) - 1
        times = zip(steps.start_ns[begins].tolist(), steps.end_ns[ends].tolist(), strict=True)
        return tuple(times)
    binned = loop.over_time
    filled = binned.sums[:, LOOP_CHANNELS.index("step_ns")] * 2 >= binned.width_ns
    edges = np.flatnonzero(np.diff(filled.astype(np.int8), prepend=0, append=0))
    borders = (binned.start_ns + edges * binned.width_ns).tolist()
    return tuple(zip(borders[::2], borders[1::2], strict=True))
