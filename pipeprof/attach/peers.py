"""Finds the processes on this host that train together, by what their launcher set for them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipeprof.capture.launchers import rank_by_environment
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.rank import Rank

_PROC = Path("/proc")
# Each one is observed by two processes of py-spy.
MOST_PEERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A process that trains together with others.

    Attributes:
        pid: the process.
        rank: its rank.
    """

    pid: int
    rank: Rank


def find_peers(pid: int, proc: Path = _PROC) -> tuple[Peer, ...]:
    """The ranks of a process's training on this host, by their numbers; empty where it trains alone.

    Of several processes of one rank (worker processes have their parent's environment) it is the topmost
    that runs the same program.

    Args:
        pid: a process.
        proc: where the system shows its processes; for tests.
    """
    own = _rank_of(pid, proc)
    if own is None or own.anonymous:
        return ()
    program = _text(proc / str(pid) / "comm")
    found: dict[int, Peer] = {own.number: Peer(pid=pid, rank=own)}
    for each in sorted(_pids(proc)):
        if _text(proc / str(each) / "comm") != program:
            continue
        rank = _rank_of(each, proc)
        if rank is None or rank.group != own.group or rank.number == own.number:
            continue
        above = found.get(rank.number)
        if above is None or _is_above(each, above.pid, proc):
            found[rank.number] = Peer(pid=each, rank=rank)
    return tuple(found[number] for number in sorted(found))


def _is_above(pid: int, other: int, proc: Path) -> bool:
    """Whether a process is an ancestor of another."""
    for _ in range(64):
        parent = _parent(other, proc)
        if parent in (None, 0):
            return False
        if parent == pid:
            return True
        other = parent
    return False


def _parent(pid: int, proc: Path) -> int | None:
    text = _text(proc / str(pid) / "stat")
    fields = text.rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 and fields[1].isdecimal() else None


def _pids(proc: Path) -> Iterator[int]:
    for path in proc.iterdir():
        if path.name.isdecimal():
            yield int(path.name)


def _rank_of(pid: int, proc: Path) -> Rank | None:
    raw = b""
    with contextlib.suppress(OSError):
        raw = (proc / str(pid) / "environ").read_bytes()
    pairs = (part.decode(errors="replace").partition("=") for part in raw.split(b"\0"))
    return rank_by_environment({name: value for name, equals, value in pairs if equals})


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
