"""Lets XProf see a training's steps where each of them runs a loop of TensorFlow's.

XProf takes the iterations of a loop in a graph (``steps_per_execution``, a recurrent layer) for the
steps of the training, whatever is marked as one, and then finds none. It knows a loop by the number
of the iteration (stat ``iter_num``) on the events in it. Number 0 is that of what runs in no loop.
"""

from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from pipeprof.errors import RunDamaged
from pipeprof.xspace.trace_reader import HOST_PLANE
from pipeprof.xspace.xplane_schema import XSpace

# A larger trace takes too long, and ten times its size in memory.
MOST_BYTES = 50_000_000

_ITERATION = "iter_num"


def flatten_loops_in(path: Path) -> bool:
    """Takes the loops out of a trace's file.

    Returns:
        Whether it has none now; False where it is too large for this.

    Raises:
        RunDamaged: it is no trace.
        OSError: it cannot be read or written; what was there stays.
    """
    if path.stat().st_size > MOST_BYTES:
        return False
    try:
        space = XSpace.FromString(path.read_bytes())
    except DecodeError as error:
        raise RunDamaged(f"expected a whole trace (XSpace) in {path}: {error}") from error
    host = next((plane for plane in space.planes if plane.name == HOST_PLANE), None)
    if host is not None and flatten_loops(host):
        unfinished = path.with_name(f".{path.name}")
        try:
            unfinished.write_bytes(space.SerializeToString())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return True


def flatten_loops(plane: Any) -> int:
    """Takes the loops out of a plane; returns of how many events."""
    numbers = {key for key, stat in plane.stat_metadata.items() if stat.name == _ITERATION}
    changed = 0
    for line in plane.lines if numbers else ():
        for event in line.events:
            for stat in event.stats:
                if stat.metadata_id in numbers and (stat.int64_value or stat.uint64_value):
                    stat.int64_value = 0
                    changed += 1
    return changed
