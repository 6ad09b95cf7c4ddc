"""A run of several processes as one: their summaries, the verdict on all, and one rank's own findings.

A rank's whole recording is read only where its summary is missing or not the last one, and for the rank
that the report is about.
"""

from dataclasses import replace
from pathlib import Path

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings import Findings
from pipeprof.analysis.many_ranks import analyse_ranks
from pipeprof.analysis.rank_findings import Unreadable
from pipeprof.analysis.rank_summary import RankRecord, RankSummary, is_sound
from pipeprof.analysis.summarising import summarise
from pipeprof.errors import RunDamaged, RunError, UsageError
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_reading import read_process, read_run, require_files, with_beside
from pipeprof.runs.run_search import is_recorded_now
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
    files = require_files(folder)
    if len(files) == 1:
        profile = read_run(folder)
        own = profile.run.rank.number if profile.run.rank else 0
        if rank not in (None, own):
            raise UsageError(f"expected rank {own}, the only one in {folder}, received {rank}.")
        return analyse(profile)
    reading = Reading()
    read = [(file, reading.record(file)) for file in files]
    records = [(file, found) for file, found in read if isinstance(found, RankRecord)]
    unreadable = [
        Unreadable(name=str(file.path.relative_to(folder)), reason=str(found))
        for file, found in read
        if isinstance(found, RunError)
    ]
    if not records:
        raise RunDamaged(
            f"expected recordings in {folder}, found {len(unreadable)} that cannot be read; "
            f"of the first: {unreadable[0].reason}"
        )
    ranks = analyse_ranks([record for _, record in records], unreadable)
    shown = ranks.shown if rank is None else rank
    chosen = ranks.rank(shown)
    if chosen is None:
        raise UsageError(
            f"expected a rank from {ranks.ranks[0].number} to {ranks.ranks[-1].number} that was "
            f"recorded, received {shown}."
        )
    place = next(file for file, record in records if record.summary is chosen.summary)
    profile = with_beside(read_process(place), folder)
    return replace(analyse(profile), ranks=replace(ranks, shown=shown))


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
