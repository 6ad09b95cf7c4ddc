"""Brings the recordings of processes that trained together, but shared no folder, into one run."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeprof.analysis.findings.rank_findings import OtherTraining, RankTwice
from pipeprof.analysis.findings.rank_summary import RankRecord
from pipeprof.analysis.ranks.one_training import ranks_of_one_training
from pipeprof.errors import RunError, UsageError
from pipeprof.loaded.loaded_ranks import Reading
from pipeprof.report.many_hosts.ranks_text import problem_sentence
from pipeprof.runs.log_folder import PLUGIN, file_name_of
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_search import files_of_run, find_run, has_files
from pipeprof.runs.shared_folder import rank_folder


def merge_runs(sources: Sequence[Path], out: Path, name: str | None = None) -> Path:
    """Copies the recordings of several folders into one run.

    Args:
        sources: folders of runs, or log folders, whose latest run is taken.
        out: log folder of the new run; made if it is not there.
        name: name of the new run; None for that of the first source.

    Returns:
        The folder of the new run.

    Raises:
        RunError: a source has no run, or one that cannot be read.
        UsageError: the recordings are of different trainings, or of one rank twice; or there is a run of
            that name already.
    """
    folders = [_run_folder(source) for source in sources]
    files = [file for folder in folders for file in files_of_run(folder)]
    if len(files) < 2:
        raise UsageError(
            f"expected recordings of several processes, found {len(files)}: name more folders."
        )
    records = _records(files)
    ours, problems = ranks_of_one_training(records)
    for problem in problems:
        if isinstance(problem, RankTwice):
            raise UsageError(
                f"expected each rank once, received {problem.recordings} recordings of rank "
                f"{problem.rank}: leave out the folders that have it again."
            )
        if isinstance(problem, OtherTraining):
            raise UsageError(f"expected the ranks of one training. {problem_sentence(problem)}")
    chosen = file_name_of(name) if name is not None else folders[0].name
    run = out / PLUGIN / chosen
    if run.exists():
        raise UsageError(
            f"expected no run named {chosen!r} in {out}, found one: choose another --out or --name."
        )
    try:
        for each in ours:
            place = next(number for number, one in enumerate(records) if one is each.record)
            _copy(files[place], rank_folder(run, each.number))
    except OSError as error:
        raise UsageError(
            f"expected a folder that can be written, received --out {out} "
            f"({error.strerror or error}): choose another one."
        ) from None
    return run


def _run_folder(source: Path) -> Path:
    return source if has_files(source) else find_run(source)


def _records(files: Sequence[RunFile]) -> list[RankRecord]:
    reading = Reading()
    records = []
    for file in files:
        found = reading.record(file)
        if isinstance(found, RunError):
            raise found
        records.append(found)
    return records


def _copy(file: RunFile, folder: Path) -> None:
    """Copies the files of a process, those of its worker processes included."""
    folder.mkdir(parents=True)
    for path in _files_of(file):
        shutil.copy2(path, folder / path.name, follow_symlinks=False)


def _files_of(file: RunFile) -> Iterator[Path]:
    for path in sorted(file.folder.glob(f"{file.host}-*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(".tmp"):
            yield path
