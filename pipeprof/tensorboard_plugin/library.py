"""Finds the runs of a log folder by keys, and never a folder outside of it."""

import re
from pathlib import Path

from pipeprof.errors import RunNotFound
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.runs.log_folder import PLUGIN
from pipeprof.runs.run_search import files_of_run, is_being_recorded, list_runs


@dataclass(frozen=True, slots=True)
class Shelved:
    """A run in the log folder.

    Attributes:
        key: its name, after the path of the folder that it lies in, if any; XProf uses this key for the
            run's trace.
        folder: its folder, inside the log folder.
        version: a number that changes whenever the run's files change.
    """

    key: str
    folder: Path
    version: int

    @property
    def is_recorded_now(self) -> bool:
        """Whether it is still being recorded."""
        return is_being_recorded(self.folder)

    @property
    def trace(self) -> Path:
        """The folder of its trace for XProf, which may not exist."""
        return self.folder.parent.parent / "profile" / self.folder.name

    def window(self, name: str) -> Path | None:
        """The folder of one of its trace windows, or None for another name."""
        own = re.fullmatch(re.escape(self.folder.name) + r"_window[0-9]{1,3}", name)
        return self.trace.with_name(name) if own else None


class Library:
    """The runs inside one log folder; links to folders outside are ignored.

    Args:
        logdir: TensorBoard's log folder; an empty name is a folder without runs.
    """

    def __init__(self, logdir: str) -> None:
        self._logdir = Path(logdir) if logdir else None

    def runs(self) -> tuple[Shelved, ...]:
        """All runs, the latest first."""
        if self._logdir is None or not self._logdir.is_dir():
            return ()
        root = self._logdir.resolve()
        found = []
        for folder in list_runs(self._logdir):
            resolved = folder.resolve()
            if resolved.is_relative_to(root):
                key = _key(resolved.relative_to(root), folder.name)
                found.append(Shelved(key, resolved, _version(resolved)))
        return tuple(reversed(found))

    def find(self, key: str) -> Shelved:
        """The run with a key.

        Raises:
            RunNotFound: there is no such run.
        """
        for run in self.runs():
            if run.key == key:
                return run
        raise RunNotFound(f"expected a run of this log folder, found none named {key!r:.100}.")


def _key(path: Path, name: str) -> str:
    outer = path.parts[: -1 - len(PLUGIN.parts)]
    return "/".join((*outer, name))


def _version(folder: Path) -> int:
    # A sum, because what is copied into a run may be older than what is there.
    return sum(_written_ns(file.path) for file in files_of_run(folder))


def _written_ns(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
