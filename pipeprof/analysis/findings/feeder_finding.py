"""What of the user's own makes the batches of a loop whose waits only samples show, as a finding."""

from pipeprof.recording.account import FeedingLane
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeder:
    """Where the user's own code was at work for a loop.

    Attributes:
        function: the innermost function of the user's.
        location: the line where most samples were taken.
        own_thread: whether the loop's own thread was at it, between the steps.
        lane: the thread or process of most samples; None where it was not recorded, and for the own thread.
        share: of all such samples.
        threads: how many threads were met in that function.
    """

    function: str
    location: Location
    lane: FeedingLane | None
    share: float
    threads: int = 0
    own_thread: bool = False
