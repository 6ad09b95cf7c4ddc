"""How often the training thread may read the models of a loop's iterators: for a share of the time."""

# What readings may take of the training thread, as a share of the time since the loop began. So much CPU
# time is there from the begin, because the first passes over the data may be short.
MOST_RATIO = 0.003
FIRST_NS = 10_000_000


class ReadingBudget:
    """Counts what the readings of one loop cost.

    Args:
        begin_ns: when the loop began.
    """

    def __init__(self, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        self._cost_ns = 0

    def has_room(self, now: int) -> bool:
        """Whether the readings so far have taken less than they may by now."""
        return self._cost_ns < FIRST_NS + MOST_RATIO * (now - self._begin_ns)

    def spend(self, cost_ns: int) -> None:
        """A reading took so much CPU time."""
        self._cost_ns += cost_ns
