"""Lets XProf see a training's steps where each of them runs a loop of TensorFlow's.

XProf takes the iterations of a loop in a graph (``steps_per_execution``, a recurrent layer) for the
steps of the training, whatever is marked as one, and then finds none. It knows a loop by the number
of the iteration (stat ``iter_num``) on the events in it. Number 0 is that of what runs in no loop.
"""

from collections.abc import Set
from typing import Any

ITERATION = "iter_num"


def flatten_loops(plane: Any) -> int:
    """Takes the loops out of a plane; returns of how many events."""
    numbers = {key for key, stat in plane.stat_metadata.items() if stat.name == ITERATION}
    return sum(flatten_line(line, numbers) for line in plane.lines)


def flatten_line(line: Any, numbers: Set[int]) -> int:
    """Takes the loops out of a line.

    Args:
        line: the line.
        numbers: the stats of its plane that are named `ITERATION`.

    Returns:
        Of how many events.
    """
    changed = 0
    for event in line.events if numbers else ():
        for stat in event.stats:
            if stat.metadata_id in numbers and (stat.int64_value or stat.uint64_value):
                stat.int64_value = 0
                changed += 1
    return changed
