"""Whether a difference between runs is larger than what the runs vary by themselves.

Two kinds of variation count. Within a run, blocks of its steps are drawn again and again (a bootstrap over
blocks, two neighbours at a time: Künsch, 'The jackknife and the bootstrap for general stationary
observations', 1989). Between runs of one thing, the values of several runs show it; how far a single run
can be trusted is assumed, the less the more its blocks differ, and the more runs there are, the less that
assumption counts.
"""

from collections.abc import Sequence

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import FloatArray

# How much runs of one thing differ, as a part of their value, where their own differences do not show
# it, and how many degrees of freedom this assumption counts for. `tools/validate_comparisons` tests it.
RUN_TO_RUN = 0.02
_ASSUMED_FREEDOM = 6
# What disturbs a run for seconds also disturbs it for minutes, so that means over a whole run vary by no
# less than this part of what means over its blocks vary by.
BLOCKS_TO_RUN = 0.5

_DRAWS = 1000
_SEED = 20_260_101
_LOW, _HIGH = 2.5, 97.5
_QUARTILES_OF_NORMAL = 1.349


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A quantity of one run.

    Attributes:
        value: what it is.
        blocks: what it is in parts of the run, which show how much it varies; empty where nothing does.
    """

    value: float
    blocks: FloatArray

    @classmethod
    def of_blocks(cls, blocks: FloatArray) -> "Measured | None":
        """A quantity whose value is the mean of its blocks; None where no block has it."""
        known = blocks[np.isfinite(blocks)]
        return cls(value=float(np.mean(known)), blocks=known) if len(known) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where a number lies, at 95 %."""

    low: float
    high: float


def value_of(runs: Sequence[Measured]) -> float:
    """The value of several runs of one thing."""
    return float(np.mean([run.value for run in runs]))


def range_of(runs: Sequence[Measured], assumed: float = RUN_TO_RUN) -> Range:
    """Where the value of several runs of one thing lies.

    Args:
        runs: the runs.
        assumed: how much runs differ, as a part of their value, where they do not show it.
    """
    between = _between([runs], _expected(runs, assumed))
    return _range(value_of(runs), _drawn(runs, 0), between)


def range_of_difference(
    before: Sequence[Measured], after: Sequence[Measured], assumed: float = RUN_TO_RUN
) -> Range:
    """Where the difference (after less before) of two groups of runs lies; arguments as of `range_of`."""
    first, second = value_of(before), value_of(after)
    expected = max(_expected(before, assumed), _expected(after, assumed))
    drawn = _drawn(after, 1) - _drawn(before, 0)
    return _range(second - first, drawn, _between([before, after], expected))


def _range(value: float, drawn: FloatArray, between: float) -> Range:
    """Both kinds of variation together; ``drawn`` varies around 0, ``between`` is half an interval."""
    low, high = np.percentile(drawn, [_LOW, _HIGH]) if len(drawn) else (0.0, 0.0)
    return Range(
        low=value - float(np.hypot(min(low, 0.0), between)),
        high=value + float(np.hypot(max(high, 0.0), between)),
    )


def _between(groups: Sequence[Sequence[Measured]], assumed: float) -> float:
    """Half the interval of the groups' difference (of one group: of its value) by what runs differ by.

    The variance of a run's value within its group is seen where there are several runs, and assumed else.
    """
    squares, freedom = _ASSUMED_FREEDOM * assumed**2, _ASSUMED_FREEDOM
    for group in groups:
        values = np.array([run.value for run in group])
        squares += float(np.square(values - values.mean()).sum())
        freedom += len(group) - 1
    of_means = squares / freedom * sum(1 / len(group) for group in groups)
    return student_95(freedom) * float(np.sqrt(of_means))


def student_95(freedom: int) -> float:
    """Half the interval that holds 95 % of Student's t (Cornish-Fisher; within 0.02 from 6 degrees on)."""
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def _expected(runs: Sequence[Measured], assumed: float) -> float:
    """By how much single runs like these are expected to differ."""
    spreads = [_spread(run.blocks) for run in runs if len(run.blocks) > 1]
    between_blocks = float(np.mean(spreads)) if spreads else 0.0
    return float(np.hypot(assumed * abs(value_of(runs)), BLOCKS_TO_RUN * between_blocks))


def _spread(blocks: FloatArray) -> float:
    """A standard deviation for which single blocks that were disturbed do not count."""
    low, high = np.percentile(blocks, [25, 75])
    return float(high - low) / _QUARTILES_OF_NORMAL


def _drawn(runs: Sequence[Measured], group: int) -> FloatArray:
    """Deviations of the group's value when its blocks are drawn again and again."""
    random = np.random.default_rng([_SEED, group])
    drawn = np.zeros(_DRAWS)
    for run in runs:
        count = len(run.blocks)
        if count < 2:
            continue
        starts = random.integers(0, count - 1, (_DRAWS, -(-count // 2)))
        places = np.stack([starts, starts + 1], axis=2).reshape(_DRAWS, -1)[:, :count]
        drawn += np.mean(run.blocks[places], axis=1) - np.mean(run.blocks)
    return drawn / len(runs)
