"""What ran, on which machine and with which versions, and what its recording cost."""

from collections.abc import Mapping
from enum import Enum

from pipeprof.clock import WallAnchor
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.rank import Machine, Rank


class RecordedBy(Enum):
    """How the user had it recorded."""

    COMMAND = "pipeprof run"
    PYTHON = "pipeprof.profile"


class KerasBackend(Enum):
    """The backends of Keras that pipeprof knows."""

    TENSORFLOW = "tensorflow"
    JAX = "jax"
    TORCH = "torch"


_BACKENDS = {each.value: each for each in KerasBackend}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What ran, on which machine and with which versions.

    Attributes:
        name: name of the run, which is also that of its folder.
        hosts: names of the machines that took part.
        anchor: relates the clock of the recording to the time of day.
        start_ns: when recording began.
        end_ns: when it ended.
        versions: package name to version.
        backend: Keras's backend, or None when Keras was not used.
        argv: the command line of the training.
        exit_code: what the training's process returned, or None where that is not known or a signal
            ended it.
        error: the exception that ended the training, in one line, or None.
        warnings: what a reader must know before trusting the figures, one sentence each.
        complete: False when the training's process died and the recording was recovered.
        ended_by: name of the signal that ended the process (``SIGTERM``), or None.
        recorded_by: how the user had it recorded.
        rank: the process's place among those that train together; None where it trains alone or that is
            not known.
        machine: what is known of the machine beside its processors.
        jax_computes: whether JAX, where it was loaded, had anything to compute.
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
    ended_by: str | None = None
    recorded_by: RecordedBy = RecordedBy.PYTHON
    rank: Rank | None = None
    machine: Machine | None = None
    jax_computes: bool = True

    @property
    def uses_jax(self) -> bool:
        """Whether JAX computes: TensorFlow and Keras load it wherever it is installed."""
        return self.keras_backend is KerasBackend.JAX or (
            "jax" in self.versions and self.jax_computes
        )

    @property
    def keras_backend(self) -> KerasBackend | None:
        """Keras's backend; None without Keras, and for a backend that pipeprof does not know."""
        return None if self.backend is None else _BACKENDS.get(self.backend)

    @property
    def steps_return_early(self) -> bool:
        """Whether Keras returns from a step while the device still computes it."""
        return self.keras_backend in (KerasBackend.JAX, KerasBackend.TORCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What the recording cost.

    Attributes:
        probe_ns: nanoseconds that recording one event takes, measured at the start of this run, or None
            where it was not measured.
        events: recorded events.
        dropped: events that were overwritten before they were read.
        collector_ns: CPU time of the thread that reads the events.
    """

    probe_ns: float | None
    events: int
    dropped: int
    collector_ns: int
