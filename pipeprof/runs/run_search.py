"""Finds the runs in a log folder, without reading their files."""

import glob
import os
import time
from itertools import chain
from pathlib import Path

from pipeprof.capture.recorder.recorder import RING_SUFFIX, host_name
from pipeprof.errors import RunNotFound
from pipeprof.runs.log_folder import PLUGIN
from pipeprof.runs.run_file import RunFile, list_run_files
from pipeprof.runs.shared_folder import list_rank_folders

# Files of a process on another machine are new for so long.
NEW_S = 120.0


def list_runs(logdir: Path) -> tuple[Path, ...]:
    """The folders of all runs below a log folder, the latest last.

    Args:
        logdir: TensorBoard's log folder, a run's own folder, or a folder of log folders.
    """
    found = {run for run in (logdir / PLUGIN).glob("*") if has_files(run)}
    if not found and has_files(logdir):
        return (logdir,)
    if not found:
        found = {run for run in logdir.glob(f"*/{PLUGIN}/*") if has_files(run)}
    return tuple(sorted(found, key=lambda run: (run.stat().st_mtime_ns, run.name)))


def has_files(folder: Path) -> bool:
    """Whether a folder is a run's: files of some process lie in it, or in the folder of a rank."""
    return bool(list_run_files(folder)) or any(map(list_run_files, list_rank_folders(folder)))


def files_of_run(folder: Path) -> tuple[RunFile, ...]:
    """The files of all processes of a run, the ranks in the order of their numbers."""
    of_ranks = (list_run_files(own) for own in list_rank_folders(folder))
    return (*list_run_files(folder), *chain.from_iterable(of_ranks))


def find_run(logdir: Path, name: str | None = None) -> Path:
    """The folder of a run below a log folder.

    Args:
        logdir: as for `list_runs`.
        name: name of the run; None for the latest.

    Raises:
        RunNotFound: there is no such run.
    """
    if not os.path.isdir(logdir):  # noqa: PTH112 - pathlib may refuse to look
        raise RunNotFound(f"expected a folder with runs, found no folder {logdir}: check the path.")
    runs = list_runs(logdir)
    if not runs:
        if next(logdir.glob("plugins/profile/*/*.xplane.pb"), None) is not None:
            raise RunNotFound(
                f"expected a run of pipeprof in {logdir}, found only profiles of another profiler: "
                f"'tensorboard --logdir {logdir}' shows them, after 'pipeprof repair {logdir}' if "
                "Keras's own callback made them."
            )
        raise RunNotFound(
            f"expected a recorded run in {logdir}, found none: record one with "
            "'pipeprof run SCRIPT' or 'with pipeprof.profile(...)'."
        )
    if name is None:
        return runs[-1]
    for run in runs:
        if run.name == name:
            return run
    known = ", ".join(run.name for run in runs[-5:])
    others = len(runs) - 5
    rest = f" and {others} earlier (pipeprof report --list)" if others > 0 else ""
    raise RunNotFound(f"expected a run named {name!r} in {logdir}, found only: {known}{rest}.")


def is_being_recorded(folder: Path) -> bool:
    """Whether some process still records into a run's folder."""
    return any(map(is_recorded_now, files_of_run(folder)))


def is_recorded_now(file: RunFile) -> bool:
    """Whether a process still records into its files.

    On this machine the process is looked for. One on another machine counts as alive while its files are
    new: it writes every 10 s, and NFS shows that within a minute.
    """
    rings = list(file.folder.glob(f"{glob.escape(file.host)}-*{RING_SUFFIX}"))
    if not rings:
        return False
    if file.host == host_name():
        return file.is_alive()
    written_s = max(
        (path.stat().st_mtime for path in (*rings, file.path) if path.exists()), default=0
    )
    return abs(time.time() - written_s) < NEW_S
