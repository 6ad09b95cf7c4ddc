"""Reads the runs of a log folder for a table of them."""

from pathlib import Path

from pipeprof.errors import RunError
from pipeprof.loaded.recorded_run import load
from pipeprof.report.runs.runs_table import RunRow, run_row, unreadable_row
from pipeprof.runs.run_search import find_run, list_runs


def rows_of_folder(logdir: Path, name: str | None = None) -> list[RunRow]:
    """A row for each run of a log folder, the latest last.

    Args:
        logdir: the log folder.
        name: the only run that is wanted; None for all.

    Raises:
        RunNotFound: there is no run, or none of that name.
    """
    found = find_run(logdir, name)
    return [_row(found)] if name is not None else [_row(folder) for folder in list_runs(logdir)]


def _row(folder: Path) -> RunRow:
    try:
        return run_row(folder.name, load(folder).findings)
    except RunError as error:
        return unreadable_row(folder.name, str(error))
