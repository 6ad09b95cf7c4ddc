"""The borders of the verdict, and how a share of waiting is written beside it."""

import math

from pipeprof.analysis.verdict_kinds import Bound

# XProf's borders of the wait ratio: from the first a loop is input-bound, under the second
# compute-bound.
INPUT_FROM = 0.20
COMPUTE_BELOW = 0.05


def bound_by_wait(ratio: float) -> Bound:
    """What a loop's speed hangs on that waits for such a part of its time."""
    if ratio >= INPUT_FROM:
        return Bound.INPUT
    return Bound.COMPUTE if ratio < COMPUTE_BELOW else Bound.BALANCED


def wait_percent(ratio: float) -> str:
    """A wait ratio as people write it: with more digits where fewer would put it on a border.

    19.6 % is not input-bound, and neither would a reader believe it of '20 %'.
    """
    share = 100 * ratio
    if 0 < share < 0.05:
        return "<0.1 %"
    least = 1 if 0 < share < 9.95 else 0
    for digits in range(least, 3):
        written = round(share, digits)
        if bound_by_wait(written / 100) is bound_by_wait(ratio):
            return f"{written:.{digits}f} %"
    return f"{math.floor(100 * share) / 100:.2f} %"
