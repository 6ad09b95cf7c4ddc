"""Shapes of training batches that no step is known to have taken yet. Knows no framework."""

from collections import deque

from pipeprof.capture.probes.loops.shape_changes import Shapes, describe_changes

_MOST_PENDING = 256


class NewShapes:
    """The shapes that batches had for the first time, in the order in which the batches were made.

    Where something is compiled for each of them, that happens in the same order.

    Attributes:
        made: how many batches were made.
    """

    def __init__(self) -> None:
        self.made = 0
        self._pending: deque[tuple[int, Shapes]] = deque(maxlen=_MOST_PENDING)
        self._latest: Shapes | None = None

    def came(self, shapes: Shapes) -> None:
        """The batch that is made next has shapes which none had before."""
        self._pending.append((self.made, shapes))

    def take(self, most: int, until: int) -> str | None:
        """Takes new shapes for a step that compiled.

        Args:
            most: how many batches the step took.
            until: how many batches had been made, at the most, when the last of these was.

        Returns:
            How the first of these shapes differs from the one before; None where there is none.
        """
        change = None
        while most and self._pending and self._pending[0][0] < until:
            before, (_, self._latest) = self._latest, self._pending.popleft()
            if before is not None and change is None:
                change = describe_changes(before, self._latest)
            most -= 1
        return change
