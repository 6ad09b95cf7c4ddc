"""Whether the training thread has to be sampled now, and for which loop.

It has to be where no clock shows what the thread does: between loops, between the epochs of a framework's
loop, and in a hand-written loop. Asked from another thread, so what it reads may change meanwhile.
"""

from pipeprof.capture.probes.loops.loop_tracker import LoopTracker
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LoopKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingNeed:
    """What the time of the training thread belongs to while it has to be sampled.

    Attributes:
        loop: the loop that its time belongs to, or None outside of all.
        by_hand: whether that is a hand-written one.
        in_step: whether the loop is among its steps.
        is_timed: whether a clock shows that its model is at work: only what others do is to be sampled.
        unclocked: whether no clock shows how long the loop waits for its batches.
        starts_up: whether no loop has begun yet. What starts up needs few samples.
    """

    loop: OpenLoop | None = None
    by_hand: bool = False
    in_step: bool = False
    is_timed: bool = False
    unclocked: bool = False
    starts_up: bool = False


_OUTSIDE = SamplingNeed()
_START_UP = SamplingNeed(starts_up=True)


def find_sampling_need(loops: LoopTracker) -> SamplingNeed | None:
    """What a sample that is taken now belongs to, or None where none is needed."""
    open_loops = loops.open_loops
    if not open_loops:
        if loops.hand.is_timed:
            return None
        return _OUTSIDE if loops.any_began else _START_UP
    outermost, *inner = open_loops
    if outermost.kind.hand_written:
        if loops.hand.fetching or any(loop.kind is not LoopKind.PREDICT for loop in inner):
            return None
        return SamplingNeed(
            loop=outermost,
            by_hand=True,
            in_step=outermost.taking,
            is_timed=loops.hand.is_timed,
            unclocked=outermost.waits_by is None,
        )
    if outermost.kind is not LoopKind.FIT or inner or outermost.taking or outermost.in_callback:
        return None
    return SamplingNeed(loop=outermost)
