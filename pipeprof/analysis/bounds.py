"""The borders of the verdict."""

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
