"""What was observed of a training from outside, in a short time: plain values without a verdict."""

from collections.abc import Mapping
from dataclasses import field

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.python_stacks import SampledStack


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedProcess:
    """A process.

    Attributes:
        pid: its id.
        command: its command line.
        cpu_ns: CPU time of all its threads during the observation.
    """

    pid: int
    command: str
    cpu_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedThread:
    """A thread.

    Attributes:
        pid: its process.
        tid: the system's number of it.
        name: the system's name of it, at most 15 characters.
        cpu_ns: CPU time during the observation.
        queued_ns: how long it was ready to run during the observation while no CPU was free.
        lived_ratio: the part of the observation in which it existed.
    """

    pid: int
    tid: int
    name: str
    cpu_ns: int
    queued_ns: int = 0
    lived_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A process and its children, observed for some time.

    Attributes:
        pid: the observed process; it comes first in ``processes``.
        cores: processors of the machine.
        duration_ns: how long it was observed.
        processes: the process and all processes below it.
        threads: their threads.
        stacks: sampled stacks of all Python threads, waiting ones too.
        holders: sampled stacks of the threads that held the GIL.
        texts: source text of lines, by file and line.
    """

    pid: int
    cores: int
    duration_ns: int
    processes: tuple[ObservedProcess, ...]
    threads: tuple[ObservedThread, ...]
    stacks: tuple[SampledStack, ...]
    holders: tuple[SampledStack, ...]
    texts: Mapping[tuple[str, int], str] = field(default_factory=dict)
