"""The user's own threads and processes that feed a loop, as a finding."""

from dataclasses import dataclass

from pipeprof.recording.account import FeedingLane
from pipeprof.recording.source_code import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeder:
    """Where the user's own threads or processes were at work for a loop.

    Attributes:
        function: the innermost function of the user's.
        location: the line where most samples were taken.
        lane: the thread or process of most samples; None where it was not recorded.
        share: of all such samples.
        threads: how many threads were met in that function.
    """

    function: str
    location: Location
    lane: FeedingLane | None
    share: float
    threads: int = 0
