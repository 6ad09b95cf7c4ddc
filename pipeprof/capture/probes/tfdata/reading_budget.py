"""How often the training thread may read the models of a loop's iterators: for a share of the time."""

# What readings may take of the training thread, as a share of the time since the loop began. So much CPU
# time is there from the begin, because the first passes over the data may be short.
MOST_RATIO = 0.003
FIRST_NS = 10_000_000
# What vanishes from a model between two readings can only be estimated. So the next one comes after so
# long, whatever was spent before, unless the latest one alone took more than this part of that.
LONGEST_REST_NS = 400_000_000
MOST_OF_REST = 0.01


class ReadingBudget:
    """Counts what the readings of one loop cost.

    Args:
        begin_ns: when the loop began.
    """

    def __init__(self, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        self._cost_ns = 0
        self._due_ns = begin_ns

    def has_room(self, now: int) -> bool:
        """Whether the readings so far have taken less than they may by now, or the latest is long ago."""
        may_ns = FIRST_NS + MOST_RATIO * (now - self._begin_ns)
        return self._cost_ns < may_ns or now >= self._due_ns

    def spend(self, cost_ns: int, now: int) -> None:
        """A reading that ended now took so much CPU time."""
        self._cost_ns += cost_ns
        self._due_ns = now + max(LONGEST_REST_NS, round(cost_ns / MOST_OF_REST))
