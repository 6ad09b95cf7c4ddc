"""The state of a recording that goes on, as it is stored and taken up again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.run_sums import RunSums
from pipeprof.recording.run_info import Overhead, RunInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RingState:
    """How far a ring was read, and whose lane it was then."""

    pid: int
    number: int
    lane: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that is needed, with the rings, to go on.

    Attributes:
        sums: what has been collected. These go on collecting: a checkpoint is to be stored before
            the next records are added.
        rings: the rings as far as they were read.
        ended: worker processes that were read to their end, whose files may still be there.
    """

    run: RunInfo
    cores: int
    cpu_limit: float | None
    overhead: Overhead
    sums: RunSums
    rings: tuple[RingState, ...]
    ended: tuple[int, ...]


def take(
    accumulator: Accumulator,
    positions: Mapping[tuple[int, int], int],
    *,
    ended: Iterable[int] = (),
    run: RunInfo,
    cores: int,
    cpu_limit: float | None,
    overhead: Overhead,
) -> Checkpoint:
    """The present state of an accumulator that has read the rings up to ``positions``."""
    return Checkpoint(
        run=run,
        cores=cores,
        cpu_limit=cpu_limit,
        overhead=overhead,
        sums=accumulator.sums,
        rings=tuple(
            RingState(
                pid=key[0],
                number=key[1],
                lane=accumulator.ring_lane.get(key, -1),
                position=position,
            )
            for key, position in positions.items()
        ),
        ended=tuple(sorted(ended)),
    )


def resume(checkpoint: Checkpoint) -> Accumulator:
    """An accumulator that goes on where the checkpoint was taken."""
    ring_lane = {(ring.pid, ring.number): ring.lane for ring in checkpoint.rings}
    return Accumulator(checkpoint.sums, ring_lane)
