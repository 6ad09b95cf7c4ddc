"""What was seen of a training from outside, in a short while: plain values, no verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeprof.recording.python_stacks import SampledStack


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedProcess:
    """A process.

    Attributes:
        pid: its number.
        command: its command line.
        cpu_ns: CPU time of all its threads while it was watched.
    """

    pid: int
    command: str
    cpu_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedThread:
    """A thread.

    Attributes:
        pid: its process.
        tid: its number to the system.
        name: its name to the system, at most 15 characters.
        cpu_ns: CPU time while it was watched.
        queued_ns: how long it stood ready then without being given a CPU.
        lived_ratio: the part of the watch in which it was there.
    """

    pid: int
    tid: int
    name: str
    cpu_ns: int
    queued_ns: int = 0
    lived_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A process and its children, watched for a while.

    Attributes:
        pid: the process that was asked for; it stands first in ``processes``.
        cores: processors of the machine.
        duration_ns: how long.
        processes: the process and all below it.
        threads: their threads.
        stacks: what each Python thread was doing, sample by sample; those that waited too.
        holders: the same of just those threads that held their interpreter's lock.
        texts: what is written at a line of source code, by file and line.
    """

    pid: int
    cores: int
    duration_ns: int
    processes: tuple[ObservedProcess, ...]
    threads: tuple[ObservedThread, ...]
    stacks: tuple[SampledStack, ...]
    holders: tuple[SampledStack, ...]
    texts: Mapping[tuple[str, int], str] = field(default_factory=dict)
