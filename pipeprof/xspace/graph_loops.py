"""Makes XProf find the steps of a training where each step runs a loop inside a TensorFlow graph.

XProf takes the iterations of such a loop (``steps_per_execution``, a recurrent layer) for the steps of the
training, ignores the marked steps, and then finds none. It recognises a loop by the iteration number (stat
``iter_num``) of its events. Events with number 0 are in no loop, so these numbers are set to 0.
"""

from collections.abc import Set
from typing import Any

ITERATION = "iter_num"


def flatten_loops(plane: Any) -> int:
    """Sets the iteration numbers of a plane's events to 0; returns how many events changed."""
    numbers = {key for key, stat in plane.stat_metadata.items() if stat.name == ITERATION}
    return sum(flatten_line(line, numbers) for line in plane.lines)


def flatten_line(line: Any, numbers: Set[int]) -> int:
    """Sets the iteration numbers of a line's events to 0.

    Args:
        line: the line.
        numbers: ids of the stats of its plane that are named `ITERATION`.

    Returns:
        How many events changed.
    """
    changed = 0
    for event in line.events if numbers else ():
        for stat in event.stats:
            if stat.metadata_id in numbers and (stat.int64_value or stat.uint64_value):
                stat.int64_value = 0
                changed += 1
    return changed
