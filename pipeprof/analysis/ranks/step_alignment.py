"""Lays the steps of all ranks beside each other, by their numbers and never by clocks.

Where ranks wait for each other in an all-reduce, each step ends at one moment on all of them. Then the
differences between the clocks follow from the common ends of steps, and not the other way round.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pipeprof.analysis.findings.rank_findings import Synchrony
from pipeprof.analysis.findings.rank_summary import STEP_COLUMNS, RankSummary
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, UNKNOWN_NS
from pipeprof.recording.series import BoolArray, FloatArray, IntArray

_ORDINAL, _END, _STEP, _WAIT = range(len(STEP_COLUMNS))
_STEPS, _STEP_NS, _MEASURED, _MEASURED_NS, _WAIT_NS, _CALLBACK_NS = range(len(LOOP_CHANNELS))

# Two clocks of machines go apart by less than this part of the time, a step's pace differs by more.
MOST_DRIFT = 2e-4
# Where three of four steps end closer together than this part of a step, they end together.
_TOGETHER = 0.25
_OF_FOUR = 75
# Fewer common steps do not show whether they end together.
FEWEST_STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedSteps:
    """Steps of several ranks, a row for each rank and a column for each step; NaN where there is none.

    Attributes:
        ordinal: number of each column's step.
        end_ns: when the steps ended, since 1970 by the clock of each rank's machine.
        step_ns: their durations.
        wait_ns: their waits.
    """

    ordinal: IntArray
    end_ns: FloatArray
    step_ns: FloatArray
    wait_ns: FloatArray

    def __len__(self) -> int:
        return len(self.ordinal)


def align_steps(summaries: Sequence[RankSummary]) -> AlignedSteps:
    """The single steps of all ranks, without the warm-up; those that only one rank has are left out."""
    warmup = max((each.warmup_steps for each in summaries), default=0)
    tables = [each.series.steps if each.series is not None else _NO_STEPS for each in summaries]
    seen, counts = np.unique(
        np.concatenate([table[:, _ORDINAL] for table in tables] or [_NO_STEPS[:, 0]]),
        return_counts=True,
    )
    ordinal = seen[(counts > 1) & (seen >= warmup)]
    shape = (len(tables), len(ordinal))
    end_ns, step_ns, wait_ns = (np.full(shape, np.nan) for _ in range(3))
    for row, table in enumerate(tables):
        place = np.searchsorted(ordinal, table[:, _ORDINAL])
        known = place < len(ordinal)
        known[known] = ordinal[place[known]] == table[known, _ORDINAL]
        there = place[known]
        end_ns[row, there] = table[known, _END]
        step_ns[row, there] = table[known, _STEP]
        waits = table[known, _WAIT]
        wait_ns[row, there] = np.where(waits == UNKNOWN_NS, np.nan, waits)
    return AlignedSteps(ordinal=ordinal, end_ns=end_ns, step_ns=step_ns, wait_ns=wait_ns)


_NO_STEPS: IntArray = np.empty((0, len(STEP_COLUMNS)), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonEnds:
    """Whether the steps of ranks end together, and what that says of their clocks.

    Attributes:
        synchrony: whether they do.
        ahead_ns: how far each rank's clock is ahead of the median of all; NaN where that is not known.
    """

    synchrony: Synchrony
    ahead_ns: FloatArray


def find_common_ends(aligned: AlignedSteps) -> CommonEnds:
    """Whether the ranks' steps end together.

    The difference between the ends of one step on two ranks is then the difference of their clocks: the
    same at each step, but for the drift of clocks.
    """
    unknown = np.full(len(aligned.end_ns), np.nan)
    there = np.isfinite(aligned.end_ns)
    enough = there.sum(axis=1) >= FEWEST_STEPS
    if enough.sum() < 2:
        return CommonEnds(synchrony=Synchrony.UNKNOWN, ahead_ns=unknown)
    reference = int(np.argmax(there.sum(axis=1)))
    step_ns = float(np.nanmedian(aligned.step_ns))
    apart: list[float] = []
    ahead_ns = unknown.copy()
    reference_ns = aligned.end_ns[reference]
    for rows, both in _with_equal_steps(there & there[reference]):
        if both.sum() < FEWEST_STEPS:
            continue
        difference = aligned.end_ns[np.ix_(rows, both)] - reference_ns[both]
        ahead_ns[rows] = np.median(difference, axis=1)
        rest = _without_drift(reference_ns[both], difference)
        of_four = np.percentile(np.abs(rest), _OF_FOUR, axis=1)
        apart += of_four[rows != reference].tolist()
    if not apart:
        return CommonEnds(synchrony=Synchrony.UNKNOWN, ahead_ns=unknown)
    if np.median(apart) > _TOGETHER * step_ns:
        return CommonEnds(synchrony=Synchrony.FREE, ahead_ns=unknown)
    return CommonEnds(
        synchrony=Synchrony.LOCK_STEP, ahead_ns=ahead_ns - float(np.nanmedian(ahead_ns))
    )


def _with_equal_steps(there: BoolArray) -> Iterator[tuple[IntArray, BoolArray]]:
    """The rows that have the same steps, and which these are: nearly always one group of all rows."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for row, steps in enumerate(there):
        alike[steps.tobytes()].append(row)
    for rows in alike.values():
        yield np.array(rows), there[rows[0]]


def _without_drift(at_ns: FloatArray, difference: FloatArray) -> FloatArray:
    """Differences, a row for each clock, less their median and less a drift that a clock may have."""
    half = len(at_ns) // 2
    span_ns = float(np.median(at_ns[half:]) - np.median(at_ns[:half]))
    grown_ns = np.median(difference[:, half:], axis=1) - np.median(difference[:, :half], axis=1)
    drift = grown_ns / span_ns if span_ns > 0 else np.zeros(len(difference))
    drift[np.abs(drift) > MOST_DRIFT] = 0.0
    rest = difference - drift[:, None] * (at_ns - at_ns[0])
    centred: FloatArray = rest - np.median(rest, axis=1, keepdims=True)
    return centred


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedBlocks:
    """Blocks of steps of several ranks, a row for each rank and a column for each block; NaN: none there.

    Attributes:
        first_step: number of the first step of each column.
        block_steps: steps of a block.
        step_ms: mean duration of the steps.
        wait_ms: mean wait of them.
        callback_ms: mean time in callbacks.
        weight: steps of each block, on most ranks.
    """

    first_step: IntArray
    block_steps: int
    step_ms: FloatArray
    wait_ms: FloatArray
    callback_ms: FloatArray
    weight: FloatArray


def align_blocks(summaries: Sequence[RankSummary]) -> AlignedBlocks:
    """The whole loops of all ranks in blocks of equally many steps."""
    series = [each.series for each in summaries]
    width = max((each.block_steps for each in series if each is not None), default=1)
    sums = [
        np.zeros((0, len(LOOP_CHANNELS)))
        if each is None
        else _wider(each.blocks, width // each.block_steps)
        for each in series
    ]
    count = max((len(each) for each in sums), default=0)
    padded = np.zeros((len(sums), count, len(LOOP_CHANNELS)))
    for row, each in enumerate(sums):
        padded[row, : len(each)] = each
    with np.errstate(invalid="ignore", divide="ignore"):
        return AlignedBlocks(
            first_step=np.arange(count) * width,
            block_steps=width,
            step_ms=padded[..., _STEP_NS] / padded[..., _STEPS] / 1e6,
            wait_ms=padded[..., _WAIT_NS] / padded[..., _MEASURED] / 1e6,
            callback_ms=padded[..., _CALLBACK_NS] / padded[..., _STEPS] / 1e6,
            weight=np.median(padded[..., _STEPS], axis=0) if len(sums) else np.empty(0),
        )


def _wider(blocks: IntArray, factor: int) -> IntArray:
    """Blocks of ``factor`` times as many steps."""
    rest = -len(blocks) % factor
    padded = np.vstack([blocks, np.zeros((rest, blocks.shape[1]), np.int64)])
    summed: IntArray = padded.reshape(-1, factor, blocks.shape[1]).sum(axis=1)
    return summed
