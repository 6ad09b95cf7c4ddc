"""What a training's steps take with input for free, as it was measured."""

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Step times of a training that was fed again and again with batches kept in memory.

    Attributes:
        median_ns: of a step.
        mean_ns: of a step.
        p95_ns: of a step.
        steps: how many steps were measured, after the warm-up.
        batches: how many batches were kept and fed again.
    """

    median_ns: int
    mean_ns: int
    p95_ns: int
    steps: int
    batches: int

    def __post_init__(self) -> None:
        if self.steps < 1 or min(self.median_ns, self.mean_ns, self.p95_ns) < 0:
            raise ValueError("expected measured steps that took some time")
