"""How a training with uneven steps waits for batches that become ready at one pace, behind a buffer."""

import math
from collections.abc import Sequence


def mean_step_ms(
    pace_ms: float, within_ms: float, compute_ms: Sequence[float], buffered: int
) -> float:
    """Mean time of a step of a long training.

    Args:
        pace_ms: how long after one batch the next is ready; 0 where no batch is waited for.
        within_ms: the part of the input's work that each step does itself.
        compute_ms: what the steps take beside that, in order; they are repeated.
        buffered: batches that lie ready at the most, at least 1.
    """
    if pace_ms <= within_ms + min(compute_ms):  # no batch is waited for
        return within_ms + math.fsum(compute_ms) / len(compute_ms)
    if pace_ms >= within_ms + max(compute_ms):  # every batch is
        return pace_ms
    return simulated_step_ms(pace_ms, within_ms, compute_ms, buffered)


def simulated_step_ms(
    pace_ms: float, within_ms: float, compute_ms: Sequence[float], buffered: int
) -> float:
    """Simulate any such queue step by step (Lindley 1952); arguments as of `mean_step_ms`."""
    steps = len(compute_ms)
    begun: list[float] = []
    last_ready = ended = half_ms = 0.0
    # The first pass fills the buffer: what a long training does is the second.
    for number, taken_ms in enumerate((*compute_ms, *compute_ms)):
        if number == steps:
            half_ms = ended
        room = begun[number - buffered] if number >= buffered else 0.0
        last_ready = max(last_ready, room) + pace_ms
        begun.append(max(ended, last_ready))
        ended = begun[-1] + within_ms + taken_ms
    return (ended - half_ms) / steps
