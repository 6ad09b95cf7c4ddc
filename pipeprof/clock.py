"""The one clock of a recording.

``time.perf_counter_ns`` is ``CLOCK_MONOTONIC`` on Linux: all processes of a machine share it, so a
worker's record and the training's can be laid side by side. Code that needs the time takes a clock
as an argument; this module only names the real one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], int]

now_ns: Clock = time.perf_counter_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class WallAnchor:
    """One moment on both clocks, to turn recorded times into dates.

    Attributes:
        monotonic_ns: the moment on the clock of the recording.
        unix_ns: the same moment in nanoseconds since 1970, UTC.
    """

    monotonic_ns: int
    unix_ns: int

    @classmethod
    def now(cls) -> "WallAnchor":
        """Reads both clocks, one right after the other."""
        return cls(monotonic_ns=now_ns(), unix_ns=time.time_ns())

    def to_unix_ns(self, monotonic_ns: int) -> int:
        """The date of a recorded time, in nanoseconds since 1970."""
        return self.unix_ns + (monotonic_ns - self.monotonic_ns)
