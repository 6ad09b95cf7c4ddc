"""The run folder of processes that train together: each finds it by itself, and takes its own place in it.

In a shared folder each process has a folder of its own, ``rank-<number>``, with the files that a run of one
process has. No process writes into another's folder, or looks into it while it records.

The rule that keeps trainings apart which share a name:

1. Processes share a folder only if a launcher gave each of them a rank of one group. The folder appears
   with the group's mark already in it, in one atomic step, whichever process comes first.
2. A process takes its place by making its rank's folder, which only one process can do. If there is one
   already, another training was here before: the process goes on to ``NAME_2``.
3. If the group has no job number of the launcher, another training may have an equal group. Then a process
   also goes on where a process with a place has ended, or has written nothing for `SILENT_S`.

Times are compared on the file system's own clock only.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pipeprof.capture.recorder.recorder import host_name
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.rank import Rank
from pipeprof.runs.log_folder import PLUGIN, file_name_of
from pipeprof.runs.run_file import RunFile, list_run_files

_GROUP_SUFFIX = ".group"
_RANK_FOLDER = re.compile(r"rank-([0-9]{1,7})")

# A process writes at least every 10 s, and other hosts see it some seconds later: NFS shows changes after a
# minute at most, unless it is set otherwise.
SILENT_S = 300.0

_MOST_FOLDERS = 1000
# Of a training that was here before, all processes have ended, or nearly all.
_MOST_LOOKED_AT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFolder:
    """A process's place in a shared folder.

    Attributes:
        folder: the process's own folder; the run's folder is around it.
        clock_ahead_ns: how far this machine's clock is ahead of the file system's.
    """

    folder: Path
    clock_ahead_ns: int


def join_run_folder(logdir: Path, name: str | None, rank: Rank) -> ProcessFolder:
    """Finds or makes the folder of a process's group, and takes the process's place in it.

    Args:
        logdir: TensorBoard's log folder.
        name: name of the run, or None for one that is made of the group.
        rank: the process's rank.

    Raises:
        OSError: a folder cannot be made.
    """
    parent = logdir / PLUGIN
    parent.mkdir(parents=True, exist_ok=True)
    wanted = file_name_of(name) if name else f"ranks-{rank.group[:8]}"
    for number in range(1, _MOST_FOLDERS + 1):
        folder = parent / (wanted if number == 1 else f"{wanted}_{number}")
        if _is_of_group(folder, rank) and _take_place(folder, rank):
            own = rank_folder(folder, rank.number)
            return ProcessFolder(folder=own, clock_ahead_ns=_clock_ahead_ns(own))
    raise FileExistsError(f"a thousand runs are named {wanted}")


def rank_folder(folder: Path, number: int) -> Path:
    """The folder of a rank in a shared folder."""
    return folder / f"rank-{number}"


def rank_of_folder(own: Path) -> int | None:
    """The rank whose folder it is, or None."""
    numbered = _RANK_FOLDER.fullmatch(own.name)
    return int(numbered[1]) if numbered else None


def list_rank_folders(folder: Path) -> tuple[Path, ...]:
    """The folders of the ranks in a run's folder, in the order of their numbers; none in other folders."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            numbered = _RANK_FOLDER.fullmatch(entry.name)
            if numbered and entry.is_dir(follow_symlinks=False):
                found.append((int(numbered[1]), entry.name))
    return tuple(folder / name for _, name in sorted(found))


def _is_of_group(folder: Path, rank: Rank) -> bool:
    """Whether a folder is that of the group; makes it where there is none."""
    mark = f"{rank.group}{_GROUP_SUFFIX}"
    if not folder.exists():
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            made.chmod(0o755)
            (made / mark).touch()
            made.rename(folder)  # fails where another process was faster
        except OSError:
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return (folder / mark).exists()


def _take_place(folder: Path, rank: Rank) -> bool:
    """Makes the rank's folder, unless the folder is that of another training."""
    own = rank_folder(folder, rank.number)
    try:
        own.mkdir()
    except FileExistsError:
        return False
    now_ns = own.stat().st_mtime_ns
    if not rank.job_known and any(_is_over(other, now_ns) for other in _some_others(folder, own)):
        own.rmdir()
        return False
    return True


def _some_others(folder: Path, own: Path) -> Sequence[Path]:
    """Folders of other ranks, of many some: what a process pays does not depend on how many there are."""
    others = [other for other in list_rank_folders(folder) if other != own]
    return others[:: max(len(others) // _MOST_LOOKED_AT, 1)]


def _clock_ahead_ns(own: Path) -> int:
    """How far this machine's clock is ahead of the clock that stamps new files."""
    probe = own / ".clock"
    before_ns = time.time_ns()
    probe.touch()
    after_ns = time.time_ns()
    stamped_ns = probe.stat().st_mtime_ns
    probe.unlink()
    return (before_ns + after_ns) // 2 - stamped_ns


def _is_over(own: Path, now_ns: int) -> bool:
    """Whether a rank's process has ended, or has written nothing for long."""
    written_ns = max((path.stat().st_mtime_ns for path in _files(own)), default=now_ns)
    if now_ns - written_ns > SILENT_S * 1e9:
        return True
    return any(map(_has_ended, list_run_files(own)))


def _has_ended(file: RunFile) -> bool:
    if file.host == host_name():
        return not file.is_alive()
    return file.is_finished()


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder, without those that vanish meanwhile."""
    for path in folder.iterdir():
        if path.exists():
            yield path
