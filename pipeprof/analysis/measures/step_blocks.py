"""A loop's steady time in blocks of equally many steps: how much quantities vary within one run.

Single steps vary for many reasons, and neighbours resemble each other. Means over blocks hold both.
"""

from dataclasses import fields

import numpy as np

from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, Loop
from pipeprof.recording.series import Binned, BoolArray, FloatArray, IntArray

MOST_BLOCKS = 24
FEWEST_BLOCKS = 4
# Steps in the shortest blocks.
FEWEST_STEPS = 4

_LOW = 10

# Neighbouring steps are alike: in the error of their mean, so many of them count as one.
_ALIKE_STEPS = 10
# So many standard errors to both sides hold the middle 90 %.
_ERRORS = 1.645
_STEPS, _STEP_NS, _MEASURED, _MEASURED_NS, _WAIT_NS, _CALLBACK_NS = range(len(LOOP_CHANNELS))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBlocks:
    """Blocks of a loop's counted steps; all arrays have one entry a block.

    Attributes:
        start_ns: begin of each block.
        end_ns: its end.
        steps: its steps.
        step_ms: mean duration of them.
        wait_ms: mean wait of them; not a number where no wait is known.
        callback_ms: mean time in callbacks of them.
        low_ms: their 10th percentile: what steps take that nothing disturbs; not a number where steps were
            not kept one by one.
    """

    start_ns: IntArray
    end_ns: IntArray
    steps: FloatArray
    step_ms: FloatArray
    wait_ms: FloatArray
    callback_ms: FloatArray
    low_ms: FloatArray

    def __len__(self) -> int:
        return len(self.steps)

    def quieter_half(self) -> "StepBlocks":
        """The half of the blocks whose steps are shortest, in their order.

        What other programs take from a run comes in bursts and only makes steps longer.
        """
        shortest = np.argsort(self.step_ms, kind="stable")[: -(-len(self) // 2)]
        chosen = np.sort(shortest)
        return StepBlocks(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    @property
    def compute_ms(self) -> FloatArray:
        """The rest of the steps."""
        rest: FloatArray = self.step_ms - self.wait_ms - self.callback_ms
        none_negative: FloatArray = np.maximum(rest, 0.0)
        return none_negative

    def per_step(self, work: Binned, channel: int) -> FloatArray:
        """A quantity that was collected over time, for each step of each block."""
        each: FloatArray = self._sums(work, channel) / np.maximum(self.steps, 1)
        return each

    def per_ns(self, work: Binned, channel: int) -> FloatArray:
        """A quantity that was collected over time, as a part of each block's time."""
        part: FloatArray = self._sums(work, channel) / np.maximum(self.end_ns - self.start_ns, 1)
        return part

    def _sums(self, work: Binned, channel: int) -> FloatArray:
        spans = zip(self.start_ns.tolist(), self.end_ns.tolist(), strict=True)
        return np.array([work.between(start, end)[channel] for start, end in spans])


def step_blocks(loop: Loop) -> StepBlocks | None:
    """The blocks of a loop, or None where it has too few counted steps."""
    if loop.steady_ns is None:
        return None
    if len(loop.steps) == loop.step_count:
        return _of_steps(loop)
    return _of_bins(loop)


def step_error(loop: Loop) -> float:
    """How far the mean step of another run may be from that of this one, as a part of it.

    Drawn from blocks of neighbouring steps; the whole of it where there are too few of them.
    """
    steps = loop.steps
    lasted = (steps.end_ns - steps.start_ns)[loop.counted].astype(np.float64)
    length = max(min(len(lasted) // FEWEST_BLOCKS, _ALIKE_STEPS), 1)
    whole = len(lasted) // length * length
    means = lasted[:whole].reshape(-1, length).mean(axis=1)
    if len(means) < 2 or not means.mean():
        return 1.0
    error = float(means.std(ddof=1) / np.sqrt(len(means)) / means.mean())
    return min(_ERRORS * error, 1.0)


def _of_steps(loop: Loop) -> StepBlocks | None:
    """Blocks where all steps were kept one by one."""
    steps = loop.steps
    counted = np.flatnonzero(loop.counted)
    count = min(MOST_BLOCKS, len(counted) // FEWEST_STEPS)
    if count < FEWEST_BLOCKS:
        return None
    chosen = np.array_split(counted, count)
    durations = steps.end_ns - steps.start_ns
    start_ns = np.array([steps.start_ns[block[0]] for block in chosen])
    end_ns = np.array([steps.end_ns[block[-1]] for block in chosen])
    return StepBlocks(
        start_ns=start_ns,
        end_ns=end_ns,
        steps=np.array([float(len(block)) for block in chosen]),
        step_ms=np.array([durations[block].mean() / MS for block in chosen]),
        wait_ms=np.array(
            [_mean_wait(steps.wait_ns[block], steps.measured[block]) for block in chosen]
        ),
        callback_ms=_callbacks(loop, start_ns, end_ns),
        low_ms=np.array([np.percentile(durations[block], _LOW) / MS for block in chosen]),
    )


def _mean_wait(wait_ns: IntArray, measured: BoolArray) -> float:
    return float(wait_ns[measured].mean()) / MS if measured.any() else float("nan")


def _callbacks(loop: Loop, start_ns: IntArray, end_ns: IntArray) -> FloatArray:
    found = []
    for start, end in zip(start_ns.tolist(), end_ns.tolist(), strict=True):
        inside = loop.over_time.between(start, end)
        found.append(inside[_CALLBACK_NS] / MS / inside[_STEPS] if inside[_STEPS] else 0.0)
    return np.array(found)


def _of_bins(loop: Loop) -> StepBlocks | None:
    """Blocks of a long loop, from what was collected over time."""
    assert loop.steady_ns is not None
    bins = loop.over_time
    edges = bins.start_ns + bins.width_ns * np.arange(len(bins.sums) + 1, dtype=np.int64)
    behind = edges[:-1] >= loop.steady_ns
    if not behind.any():
        return None
    first = int(np.argmax(behind))
    done = np.concatenate([[0.0], np.cumsum(bins.sums[first:, _STEPS])])
    count = min(MOST_BLOCKS, int(done[-1]) // FEWEST_STEPS)
    if count < FEWEST_BLOCKS:
        return None
    borders = np.interp(np.linspace(0, done[-1], count + 1), done, edges[first:]).astype(np.int64)
    spans = list(zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True))
    sums = np.array([bins.between(start, end) for start, end in spans])
    sums = sums[sums[:, _STEPS] > 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return StepBlocks(
            start_ns=borders[:-1][: len(sums)],
            end_ns=borders[1:][: len(sums)],
            steps=sums[:, _STEPS],
            step_ms=sums[:, _STEP_NS] / sums[:, _STEPS] / MS,
            wait_ms=sums[:, _WAIT_NS] / sums[:, _MEASURED] / MS,
            callback_ms=sums[:, _CALLBACK_NS] / sums[:, _STEPS] / MS,
            low_ms=np.full(len(sums), np.nan),
        )
