"""The state of an unfinished recording, as it is stored and resumed."""

from collections.abc import Iterable, Mapping

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.run_sums import RunSums
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.run_info import Overhead, RunInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RingState:
    """How far a ring was read, and which lane wrote it then."""

    pid: int
    number: int
    lane: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that is needed, together with the rings, to continue a recording.

    Attributes:
        sums: the sums so far. They are not copied: store the checkpoint before records are added.
        rings: how far each ring was read.
        ended: worker processes that have ended and were read completely; their files may still exist.
    """

    run: RunInfo
    cores: int
    cpu_limit: float | None
    overhead: Overhead
    sums: RunSums
    rings: tuple[RingState, ...]
    ended: tuple[int, ...]
    physical_cores: int | None = None


def take(
    accumulator: Accumulator,
    positions: Mapping[tuple[int, int], int],
    *,
    ended: Iterable[int] = (),
    run: RunInfo,
    cores: int,
    cpu_limit: float | None,
    overhead: Overhead,
    physical_cores: int | None = None,
) -> Checkpoint:
    """A checkpoint of an accumulator.

    Args:
        accumulator: it has added the records of the rings up to ``positions``.
        positions: how many records were read, by process and number of the ring.
        ended: worker processes that have ended and were read completely.
        run: the run so far.
        cores: processors of the machine.
        cpu_limit: how many of them the run may use, or None without a limit.
        overhead: what the recording cost so far.
        physical_cores: cores that the processors are hardware threads of, or None.
    """
    return Checkpoint(
        run=run,
        cores=cores,
        physical_cores=physical_cores,
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
    """An accumulator that continues from a checkpoint."""
    ring_lane = {(ring.pid, ring.number): ring.lane for ring in checkpoint.rings}
    return Accumulator(checkpoint.sums, ring_lane)
