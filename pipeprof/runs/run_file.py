"""The files of one recorded process in a run folder.

They are ``<host>-<pid>.json`` and the file of numbers that it names, ``<host>-<pid>.<n>.npz``. While the
process records, they hold its latest checkpoint, and its rings and name log lie beside them.
"""

import re
from pathlib import Path

import psutil

from pipeprof.capture.collector.collector import pid_of
from pipeprof.capture.recorder.recorder import host_name
from pipeprof.recording.light_dataclasses import dataclass

# Version of the files' format.
FORMAT = 2

# The kind of content stands at the begin.
_HEAD_BYTES = 64

_PREFIX = re.compile(r".+-[0-9]+")


@dataclass(frozen=True, slots=True)
class RunFile:
    """The pair of files of one recorded process.

    Attributes:
        folder: the run's folder.
        prefix: ``<host>-<pid>``.
    """

    folder: Path
    prefix: str

    @property
    def path(self) -> Path:
        """The JSON file."""
        return self.folder / f"{self.prefix}.json"

    @property
    def host(self) -> str:
        """The machine that the process ran on."""
        return self.prefix.rpartition("-")[0]

    def is_finished(self) -> bool:
        """Whether the finished recording is there, and not a checkpoint of a process that records."""
        if self.path.is_symlink() or not self.path.is_file():
            return False
        try:
            with self.path.open("rb") as file:
                return b'"kind": "profile"' in file.read(_HEAD_BYTES)
        except OSError:
            return False

    def is_alive(self) -> bool:
        """Whether the process still runs; False where that cannot be known, as on another machine."""
        pid = pid_of(self.prefix, host_name())
        if pid is None:
            return False
        try:
            process = psutil.Process(pid)
            # A process that began after the file was written is another one with a reused number.
            began_before = process.create_time() <= self.path.stat().st_mtime
            return began_before and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False


def list_run_files(folder: Path) -> tuple[RunFile, ...]:
    """The files of each recorded process in a run folder, in the order of their names."""
    prefixes = sorted(path.stem for path in folder.glob("*-*.json"))
    return tuple(RunFile(folder, prefix) for prefix in prefixes if _PREFIX.fullmatch(prefix))
