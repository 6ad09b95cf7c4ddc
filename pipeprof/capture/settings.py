"""The options of a profile, with their defaults and limits."""

from collections.abc import Iterable
from pathlib import Path

from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.run_info import RecordedBy

WARMUP_STEPS = 5
MOST_TRACE_STEPS = 200
MOST_SAMPLE_HZ = 1000
# Batches that `pipeprof.ceiling` keeps and feeds again and again.
MOST_KEPT_BATCHES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments of `pipeprof.profile`, which documents them, and whether it was that.

    Raises:
        UsageError: a value is out of range.
    """

    logdir: Path
    name: str | None
    warmup: int
    sample_hz: float
    stacks: bool
    trace_steps: int
    fingerprint: bool = False
    data_workers: tuple[str, ...] = ()
    recorded_by: RecordedBy = RecordedBy.PYTHON

    def __post_init__(self) -> None:
        if self.warmup < 0:
            raise UsageError(f"expected warmup of 0 steps or more, received {self.warmup}.")
        if not 0 <= self.sample_hz <= MOST_SAMPLE_HZ:
            raise UsageError(
                f"expected sample_hz from 0 to {MOST_SAMPLE_HZ}, received {self.sample_hz}."
            )
        if type(self.trace_steps) is not int or not 0 <= self.trace_steps <= MOST_TRACE_STEPS:
            raise UsageError(
                f"expected trace_steps from 0 to {MOST_TRACE_STEPS}, received {self.trace_steps!r}."
            )
        for address in self.data_workers:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
                raise UsageError(
                    "expected data_workers as addresses HOST:PORT (worker-1:5051, [::1]:5051), "
                    f"received {address!r}."
                )


def split_addresses(given: str | Iterable[str]) -> tuple[str, ...]:
    """Addresses given as a sequence, or as a text with commas; ``grpc://`` before one is left out."""
    parts = given.split(",") if isinstance(given, str) else given
    stripped = (str(part).strip().removeprefix("grpc://") for part in parts)
    return tuple(address for address in stripped if address)
