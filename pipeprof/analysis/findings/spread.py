"""A quantity over the steps of a loop."""

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A quantity over all counted steps, in milliseconds."""

    median: float
    mean: float
    p95: float
