"""What ran, where and with what, and what the recording of it cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeprof.clock import WallAnchor


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What ran, where and with what.

    Attributes:
        name: name of the run, that of its folder.
        hosts: machines that took part.
        anchor: ties the clock of the recording to the calendar.
        start_ns: when recording began.
        end_ns: when it ended.
        versions: package name to version.
        backend: Keras's backend, or None when Keras was not used.
        argv: the command line of the training.
        exit_code: what the training's process returned, or None where that is not known.
        error: the exception that ended the training, in one line, or None.
        warnings: what a reader must know before trusting the rest, one sentence each.
        complete: False when the recording was cut off and recovered.
    """

    name: str
    hosts: tuple[str, ...]
    anchor: WallAnchor
    start_ns: int
    end_ns: int
    versions: Mapping[str, str]
    backend: str | None
    argv: tuple[str, ...]
    exit_code: int | None
    error: str | None
    warnings: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What the looking cost.

    Attributes:
        probe_ns: nanoseconds one recorded event takes, measured at the start of this very run, or
            None where it was not.
        events: events recorded.
        dropped: events that were overwritten before they could be read.
        collector_ns: CPU time of the thread that reads them.
    """

    probe_ns: float | None
    events: int
    dropped: int
    collector_ns: int
