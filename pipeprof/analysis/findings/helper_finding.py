"""The processes of the user's own that help a stage of the input."""

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """Processes of the user's own, beside the training and its recorded workers.

    Attributes:
        count: how many lived at once, at most.
        cores: cores' worth of CPU that they used together.
    """

    count: int
    cores: float

    @property
    def cpu_ratio(self) -> float:
        """The part of its life that one of them was on a CPU."""
        return min(self.cores / self.count, 1.0) if self.count else 0.0
