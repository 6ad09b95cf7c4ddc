"""A run of several processes as one: their summaries, the verdict on all, and one rank's own findings.

A rank's whole recording is read only where its summary is missing or not the last one, and for the rank
that the report is about.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.rank_findings import RanksRunning, RunOfRanks, Unreadable
from pipeprof.analysis.findings.rank_summary import RankRecord, RankSummary, is_sound
from pipeprof.analysis.ranks.many_ranks import analyse_ranks
from pipeprof.analysis.ranks.summarising import summarise
from pipeprof.errors import RunDamaged, RunError, UsageError
from pipeprof.recording.profile import Profile
from pipeprof.report.many_hosts.ranks_text import chosen_ranks
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_reading import read_process, read_run, require_files, with_beside
from pipeprof.runs.run_search import is_recorded_now
from pipeprof.runs.shared_folder import list_rank_folders, rank_of_folder
from pipeprof.runs.summary_file import read_summary

# Recordings without a last summary that are read whole, each in about a tenth of a second; of more, the
# summaries that were written while they were recorded are used.
MOST_RECOVERED = 64


def read_findings(folder: Path, rank: int | None = None) -> Findings:
    """The findings of a run, with the verdict on all ranks where it has several processes.

    Args:
        folder: the run's folder.
        rank: the rank that all but that verdict is about; None for the one that holds the others up.

    Raises:
        RunError: there is no run, or nothing of it can be read.
        UsageError: there is no such rank.
    """
    return load_processes(folder).findings(rank)


def load_processes(folder: Path) -> "LoadedProcess | LoadedRanks":
    """The process of a run, or all of them, of which findings can be asked again and again.

    Raises:
        RunError: there is no run, or nothing of it can be read.
    """
    if len(require_files(folder)) == 1 and not list_rank_folders(folder):
        return LoadedProcess(folder)
    return LoadedRanks(folder)


class LoadedProcess:
    """The only process of a run; it is read when its findings are asked for.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def findings(self, rank: int | None = None) -> Findings:
        """Its findings.

        Args:
            rank: its rank, or None.

        Raises:
            RunError: its recording cannot be read.
            UsageError: it has another rank.
        """
        profile = read_run(self._folder)
        own = profile.run.rank.number if profile.run.rank else 0
        if rank not in (None, own):
            raise UsageError(
                f"expected rank {own}, the only one in {self._folder}, received {rank}."
            )
        return analyse(_with_hint(profile))


def _with_hint(profile: Profile) -> Profile:
    """A recording of a rank that has a run of its own says where the others are."""
    rank = profile.run.rank
    if rank is None:
        return profile
    whole = "'pipeprof merge' makes one run of all."
    if rank.anonymous:
        whole = f"{whole} With one --name for all processes they share a run from the begin."
    return profile.with_warning(
        f"This is rank {rank.number} of {rank.size}, in a run of its own. {whole}"
    )


class LoadedRanks:
    """All processes of a run, read by their summaries.

    Args:
        folder: the run's folder.

    Attributes:
        ranks: what is found of all of them.

    Raises:
        RunError: there is no run, or nothing of it can be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        reading = Reading()
        read = [(file, reading.record(file)) for file in require_files(folder)]
        self._records = [(file, found) for file, found in read if isinstance(found, RankRecord)]
        unreadable = [
            Unreadable(
                name=str(file.path.relative_to(folder)),
                reason=str(found),
                rank=rank_of_folder(file.folder),
            )
            for file, found in read
            if isinstance(found, RunError)
        ]
        if not self._records:
            raise RunDamaged(
                f"expected recordings in {folder}, found {len(unreadable)} that cannot be read; "
                f"of the first: {unreadable[0].reason}"
            )
        empty = set(list_rank_folders(folder)).difference(file.folder for file, _ in read)
        self.ranks: RunOfRanks = analyse_ranks(
            [record for _, record in self._records],
            unreadable,
            sorted(number for each in empty if (number := rank_of_folder(each)) is not None),
        )

    @property
    def is_recorded_now(self) -> bool:
        """Whether some rank was still being recorded."""
        return any(isinstance(each, RanksRunning) for each in self.ranks.problems)

    def findings(self, rank: int | None = None) -> Findings:
        """One rank's own findings, with the verdict on all.

        Args:
            rank: its number; None for the one that holds the others up, or another one where the
                recording of that one cannot be read.

        Raises:
            RunError: its recording cannot be read.
            UsageError: there is no such rank.
        """
        others = [each.number for each in self.ranks.ranks if each.number != self.ranks.shown]
        errors: dict[int, RunError] = {}
        for number in (self.ranks.shown, *others) if rank is None else (rank,):
            profile = self._read(number)
            if isinstance(profile, Profile):
                return self._findings(number, profile, errors)
            errors[number] = profile
        raise next(iter(errors.values()))

    def _read(self, number: int) -> Profile | RunError:
        chosen = self.ranks.rank(number)
        if chosen is None:
            numbers = [each.number for each in self.ranks.ranks]
            raise UsageError(
                f"expected a rank from {numbers[0]} to {numbers[-1]} that was recorded, received "
                f"{number}."
            )
        file = next(file for file, record in self._records if record.summary is chosen.summary)
        try:
            return with_beside(read_process(file), self._folder)
        except RunError as error:
            return error

    def _findings(self, number: int, profile: Profile, errors: Mapping[int, RunError]) -> Findings:
        unreadable = (
            Unreadable(name=f"The whole recording of rank {other:,}", reason=str(error))
            for other, error in errors.items()
        )
        problems = (*unreadable, *self.ranks.problems)
        ranks = replace(self.ranks, shown=number, problems=problems)
        return replace(analyse(profile), ranks=ranks)


def findings_of_ranks(folder: Path, *, everyone: bool) -> list[Findings]:
    """The findings of each rank of a run that can be read, those that stand for all of many.

    Args:
        folder: the run's folder.
        everyone: whether all ranks are wanted, however many there are.
    """
    run = LoadedRanks(folder)
    chosen = run.ranks.ranks if everyone else [each for _, each in chosen_ranks(run.ranks)]
    found = []
    for each in chosen:
        with suppress(RunError):  # the report says so
            found.append(run.findings(each.number))
    return found


class Reading:
    """Reads summaries, and whole recordings where there is none to rely on."""

    def __init__(self) -> None:
        self._recovered = 0

    def record(self, file: RunFile) -> RankRecord | RunError:
        """The summary of a process, or why it has none and its recording cannot be read."""
        summary = read_summary(file, RankSummary)
        if summary is not None and not is_sound(summary):
            summary = None
        if summary is not None and summary.finished:
            return RankRecord(summary=summary)
        running = is_recorded_now(file)
        if summary is not None and self._recovered >= MOST_RECOVERED:
            return RankRecord(summary=summary, running=running)
        self._recovered += 1
        try:
            profile = read_process(file)
        except RunError as error:
            return error
        return RankRecord(summary=summarise(analyse(profile)), running=running)
