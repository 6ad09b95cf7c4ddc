"""How long the steps of a loop took and waited, and what its epochs' beginnings cost."""

from dataclasses import replace
from statistics import median_low

import numpy as np

from pipeprof.analysis.findings.spread import Spread
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.series import BoolArray, Histogram, IntArray

MS = 1e6


# One slow start may be chance; a verdict wants to see it happen again.
_FEWEST_STARTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStartWaits:
    """Waits at the beginnings of epochs, the run's very first and those in the warm-up left out.

    Attributes:
        count: how many there are.
        wait_ms: what they usually wait together: the median for each, so that what happened to a
            single one (a cache that is filled, chance) is not taken to come back.
        step_ms: how long the steps that waited took together with such waits.
        epochs: how many epochs have a first step with a known wait; the run's very first, which also
            has what starts up in the training, counts only where there is no other.
        median_ms: the median of those waits, or None without any.
    """

    count: int = 0
    wait_ms: float = 0.0
    step_ms: float = 0.0
    epochs: int = 0
    median_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopTimes:
    """The times of a loop's counted steps: warm-up and each epoch's first step left out.

    Attributes:
        counted: how many steps count.
        measured: how many of them have a known wait.
        step: their durations, or None without any; of the measured ones where these are most of them,
            so that it is the sum of wait and compute.
        wait: waits of the measured ones, or None without any.
        callbacks: what callbacks took of the counted ones, or None without any.
        compute: duration less wait and callbacks of the measured ones, or None without any.
        wait_ratio: waiting over duration of the measured ones, or None without any.
        epoch_starts: what the first steps of epochs waited.
        sampled_wait_ms: the mean wait where no clock shows each, but samples of the training's thread
            do, or the clocks around it leave no time for more.
    """

    counted: int
    measured: int
    step: Spread | None
    wait: Spread | None
    callbacks: Spread | None
    compute: Spread | None
    wait_ratio: float | None
    epoch_starts: EpochStartWaits
    sampled_wait_ms: float | None = None

    @property
    def mean_wait_ms(self) -> float | None:
        """What a step waits on average; None if unknown."""
        return self.wait.mean if self.wait is not None else self.sampled_wait_ms

    @property
    def rest_ms(self) -> float | None:
        """What a step takes without its wait, on average: computing and callbacks; None if unknown."""
        if self.compute is None and self.step is not None and self.sampled_wait_ms is not None:
            return max(self.step.mean - self.sampled_wait_ms, 0.0)
        if self.compute is None:
            return None
        return self.compute.mean + (self.callbacks.mean if self.callbacks else 0.0)

    def without_framework(self, ratio: float) -> "LoopTimes":
        """These times, of which a part of the waits at epoch starts is the framework's own work."""
        waited = replace(self.epoch_starts, wait_ms=self.epoch_starts.wait_ms * (1.0 - ratio))
        return replace(self, epoch_starts=waited)

    @property
    def epoch_starts_outweigh(self) -> bool:
        """Whether epochs' beginnings wait longer than all that is inside the epochs."""
        if self.wait is None or self.epoch_starts.count < _FEWEST_STARTS:
            return False
        usual_ms = self.wait.mean * self.epoch_starts.count
        return self.epoch_starts.wait_ms - usual_ms > self.wait.mean * self.counted

    @property
    def wait_ratio_with_epoch_starts(self) -> float | None:
        """Waiting over duration of the counted steps and of the epochs' first ones together."""
        if self.wait_ratio is None or self.step is None:
            return None
        inside_ms = self.step.mean * self.counted
        whole_ms = inside_ms + self.epoch_starts.step_ms
        if not whole_ms:
            return self.wait_ratio
        return min((self.wait_ratio * inside_ms + self.epoch_starts.wait_ms) / whole_ms, 1.0)

    @property
    def step_ms_with_epoch_starts(self) -> float | None:
        """Mean duration of a step, the epochs' first ones included."""
        if self.step is None:
            return None
        whole_ms = self.step.mean * self.counted + self.epoch_starts.step_ms
        return whole_ms / (self.counted + self.epoch_starts.count)


def loop_times(loop: Loop) -> LoopTimes:
    """Exact times where all steps were kept one by one, else those of the histograms."""
    if loop.steady_ns is None:
        return LoopTimes(
            counted=0,
            measured=0,
            step=None,
            wait=None,
            callbacks=None,
            compute=None,
            wait_ratio=None,
            epoch_starts=EpochStartWaits(),
        )
    if len(loop.steps) == loop.step_count:
        return _times_of_steps(loop)
    return _times_of_histograms(loop)


def spread(durations_ns: IntArray) -> Spread | None:
    """Median, mean and 95th percentile, or None without durations."""
    if not len(durations_ns):
        return None
    return Spread(
        median=float(np.median(durations_ns)) / MS,
        mean=float(durations_ns.mean()) / MS,
        p95=float(np.percentile(durations_ns, 95)) / MS,
    )


def histogram_spread(histogram: Histogram) -> Spread | None:
    """Median, mean and 95th percentile of a histogram: the mean is exact, the others within 1 %."""
    mean = histogram.mean_ns()
    median, p95 = histogram.quantile_ns(0.5), histogram.quantile_ns(0.95)
    if mean is None or median is None or p95 is None:
        return None
    return Spread(median=median / MS, mean=mean / MS, p95=p95 / MS)


def _times_of_steps(loop: Loop) -> LoopTimes:
    steps, warmup_steps = loop.steps, loop.warmup_steps
    first = steps.first_of_epoch()
    steady = steps.ordinal >= warmup_steps
    durations = steps.end_ns - steps.start_ns
    counted = steps.counted(warmup_steps) & ~np.isin(steps.ordinal, loop.account.compiled_steps)
    known = counted & steps.measured
    begun = first & steps.measured
    later = begun & (steps.ordinal > 0)
    begun = later if later.any() else begun  # the very first also has what starts up
    started = steady & later
    waited_ns, lasted_ns = int(steps.wait_ns[known].sum()), int(durations[known].sum())
    started_wait_ms = int(started.sum()) * (_median_ms(steps.wait_ns[started]) or 0.0)
    computed_ns = int((durations - steps.wait_ns)[started].sum())
    called = loop.callback_times
    return LoopTimes(
        counted=int(counted.sum()),
        measured=int(known.sum()),
        step=spread(durations[known if _most(known, counted) else counted]),
        wait=spread(steps.wait_ns[known]),
        callbacks=histogram_spread(called),
        compute=histogram_spread(loop.compute_times)
        if called.sum_ns
        else spread((durations - steps.wait_ns)[known]),
        wait_ratio=waited_ns / lasted_ns if lasted_ns else None,
        epoch_starts=EpochStartWaits(
            count=int(started.sum()),
            wait_ms=started_wait_ms,
            step_ms=started_wait_ms + computed_ns / MS,
            epochs=int(begun.sum()),
            median_ms=_median_ms(steps.wait_ns[begun]),
        ),
    )


def _most(known: BoolArray, counted: BoolArray) -> bool:
    """Whether the steps with a known wait stand for all: those of a trace are few, and slowed by it."""
    return int(known.sum()) * 2 > int(counted.sum())


def _median_ms(durations_ns: IntArray) -> float | None:
    """The middle one, of two in the middle the shorter; None without any."""
    return median_low(durations_ns.tolist()) / MS if len(durations_ns) else None


def _times_of_histograms(loop: Loop) -> LoopTimes:
    wait, compute = histogram_spread(loop.wait_times), histogram_spread(loop.compute_times)
    called = histogram_spread(loop.callback_times)
    rest_ms = compute.mean + (called.mean if called else 0.0) if compute else 0.0
    lasted_ns = loop.wait_times.sum_ns + loop.wait_times.count * rest_ms * MS
    step = histogram_spread(loop.step_times)
    if step and wait and compute and 2 * loop.wait_times.count > loop.step_times.count:
        step = replace(step, mean=wait.mean + rest_ms)
    return LoopTimes(
        counted=loop.step_times.count,
        measured=loop.wait_times.count,
        step=step,
        wait=wait,
        callbacks=called,
        compute=compute,
        wait_ratio=loop.wait_times.sum_ns / lasted_ns if lasted_ns else None,
        epoch_starts=_starts_of_histogram(loop, rest_ms if compute else None),
    )


def _starts_of_histogram(loop: Loop, rest_ms: float | None) -> EpochStartWaits:
    """The median stands for each: it leaves out what only the run's first step had to wait for."""
    starts = loop.epoch_start_times
    median_ns = starts.quantile_ns(0.5)
    if loop.waits_by is None or rest_ms is None or median_ns is None:
        return EpochStartWaits()
    count = starts.count - 1
    wait_ms = count * median_ns / MS
    return EpochStartWaits(
        count=count,
        wait_ms=wait_ms,
        step_ms=wait_ms + count * rest_ms,
        epochs=starts.count,
        median_ms=median_ns / MS,
    )
