"""The borders of the verdict."""

from pipeprof.analysis.findings.verdict_kinds import Bound

# XProf's borders of the wait ratio: from the first a loop is input-bound, under the second
# compute-bound.
INPUT_FROM = 0.20
COMPUTE_BELOW = 0.05


def bound_by_wait(ratio: float) -> Bound:
    """What a loop's speed hangs on that waits for such a part of its time."""
    if ratio >= INPUT_FROM:
        return Bound.INPUT
    return Bound.COMPUTE if ratio < COMPUTE_BELOW else Bound.BALANCED


def bound_by_shares(
    wait: float | None, host: float, framework: float = 0.0, unnamed: float = 0.0
) -> Bound:
    """What a loop's speed hangs on.

    Args:
        wait: waiting over its wall time, or None where nothing measured it.
        host: the host's work over its wall time.
        framework: the part of that which is the framework's own, between epochs: some of it is in
            every training, and nobody's to change, so no verdict hangs on it.
        unnamed: the part of it that passes between epochs without a name: most likely the framework's.
    """
    users = host - framework
    if wait is None:
        # What was not measured waits for less than the rest.
        return Bound.HOST if users >= 0.5 else Bound.UNKNOWN
    if users >= INPUT_FROM and users > wait:
        return Bound.HOST
    bound = bound_by_wait(wait)
    balanced = bound is Bound.COMPUTE and users - unnamed >= COMPUTE_BELOW
    return Bound.BALANCED if balanced else bound
