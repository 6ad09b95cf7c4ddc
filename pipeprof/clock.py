"""The one clock of a recording.

``time.perf_counter_ns`` is ``CLOCK_MONOTONIC`` on Linux. All processes of a machine share it, so records of
workers and of the training can be compared. Code that needs the time takes a clock as an argument; this
module only names the real one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], int]

now_ns: Clock = time.perf_counter_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class WallAnchor:
    """One moment on both clocks, to turn recorded times into the time of day.

    Attributes:
        monotonic_ns: the moment on the clock of the recording.
        unix_ns: this moment in nanoseconds since 1970, UTC.
    """

    monotonic_ns: int
    unix_ns: int

    @classmethod
    def now(cls) -> "WallAnchor":
        """Reads both clocks, one right after the other."""
        return cls(monotonic_ns=now_ns(), unix_ns=time.time_ns())

    def to_unix_ns(self, monotonic_ns: int) -> int:
        """Turns a recorded time into nanoseconds since 1970, UTC."""
        return self.unix_ns + (monotonic_ns - self.monotonic_ns)
