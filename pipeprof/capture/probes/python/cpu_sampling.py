"""Which calls of a stage have their CPU time read, so that reading costs next to nothing.

A reading costs a system call, which takes many times as long between two pieces of work as in a loop of
its own. Therefore its cost is measured where it is paid, and the calls that are read are spaced by it. It
knows neither a clock nor a recorder.
"""

import math
import random
from collections.abc import Callable

# Readings may take this share of the time of the work that they measure.
MOST_RATIO = 0.003
# Until the first reading of a stage has been measured.
_FIRST_COST_NS = 5_000
# With each call a mean forgets this part of itself.
_FORGETS = 1 / 8
# One reading raises their mean no further: a thread may lose its processor in the middle of one.
_MOST_RISE = 2
MOST_WEIGHT = 1 << 16

# From a generator of its own: a training must not draw other numbers because it is profiled.
_draw = random.Random().random


class CpuSampling:
    """Chooses the calls of one stage in which CPU time is read.

    Where calls take so long that reading every one is within `MOST_RATIO`, every one is read. Else each
    call is read with a chance that was fixed before the call, whatever the call then takes, so that
    readings, each times its ``weight``, add up to the CPU time of all calls: also where long and short
    calls alternate. After a long call the next one is always read, because long calls often follow one
    another.

    Args:
        draw: returns a random number, at least 0 and less than 1.

    Attributes:
        left: how many calls come before the next one that is read.
        weight: how many calls that one stands for.
        cost_ns: how long the two readings of a call take.
        long_ns: own work from which on a call pays for its reading.
        ratio: CPU time over own work in the latest readings; 1 before any.
    """

    __slots__ = ("_cpu_ns", "_draw", "_own_ns", "cost_ns", "left", "long_ns", "ratio", "weight")

    def __init__(self, draw: Callable[[], float] = _draw) -> None:
        self.left = 0
        self.weight = 1
        self.ratio = 1.0
        self._draw = draw
        self.cost_ns = _FIRST_COST_NS
        self._own_ns = 0.0
        self._cpu_ns = 0.0
        self.long_ns = _FIRST_COST_NS / MOST_RATIO

    def read(self, own_ns: int, cpu_ns: int, cost_ns: int) -> None:
        """Adds a reading, and chooses the next call that is read.

        Args:
            own_ns: own work of the call.
            cpu_ns: CPU time of this work.
            cost_ns: how long both readings took, at its begin and at its end.
        """
        if not self._own_ns:
            self._own_ns, self._cpu_ns = own_ns, cpu_ns
        self.cost_ns += int((min(cost_ns, _MOST_RISE * self.cost_ns) - self.cost_ns) * _FORGETS)
        self._add(own_ns, cpu_ns)
        self.long_ns = self.cost_ns / MOST_RATIO
        if self._own_ns > 0:
            self.ratio = min(self._cpu_ns / self._own_ns, 1.0)
        needed = self.long_ns / self._own_ns if self._own_ns > 0 else MOST_WEIGHT
        self.weight = min(max(math.ceil(needed), 1), MOST_WEIGHT)
        self.left = self._passed_over() if self.weight > 1 else 0

    def ran_long(self, own_ns: int) -> None:
        """A call that was not read took longer than `long_ns`: the next one is read.

        Args:
            own_ns: own work of the call.
        """
        self.weight = 1
        self.left = 0
        self._add(own_ns, own_ns * self.ratio)

    def _add(self, own_ns: float, cpu_ns: float) -> None:
        """Adds a call to the means, as often as it stands for a call."""
        part = 1.0 - (1.0 - _FORGETS) ** self.weight
        self._own_ns += (own_ns - self._own_ns) * part
        self._cpu_ns += (cpu_ns - self._cpu_ns) * part

    def _passed_over(self) -> int:
        """How many calls a chance of 1 / weight passes over, drawn once for all of them."""
        return int(math.log(1.0 - self._draw()) / math.log1p(-1.0 / self.weight))
