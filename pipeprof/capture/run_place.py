"""Where a recording's files lie: in a run of its own, or in its place among others that train with it."""

from contextlib import suppress
from pathlib import Path

from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.settings import Settings
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.rank import Rank
from pipeprof.recording.run_info import RecordedBy
from pipeprof.runs.log_folder import create_run_folder
from pipeprof.runs.shared_folder import ProcessFolder, join_run_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """Where the files of one process lie.

    Attributes:
        folder: the folder of the files, or None where it could not be made.
        run_folder: the run's folder: that folder, or the one around it where processes share a run.
        clock_ahead_ns: how far this machine's clock is ahead of the clock of the shared file system.
        problem: a sentence with the reason why there is no folder.
    """

    folder: Path | None = None
    run_folder: Path | None = None
    clock_ahead_ns: int | None = None
    problem: str | None = None


def find_place(settings: Settings, rank: Rank | None) -> RunPlace:
    """The place of a recording that begins.

    Args:
        settings: how to record.
        rank: the process's rank, as far as it is known yet.
    """
    try:
        if rank is None or not _can_be_joined(settings, rank):
            folder = create_run_folder(settings.logdir, settings.name)
            return RunPlace(folder=folder, run_folder=folder)
        return _among_others(join_run_folder(settings.logdir, settings.name, rank))
    except OSError as error:
        option = "--logdir" if settings.recorded_by is RecordedBy.COMMAND else "logdir"
        return RunPlace(
            problem=f"The run could not be written to {settings.logdir} ({error.strerror or error}): "
            f"choose another folder with {option}."
        )


def join_late(settings: Settings, rank: Rank, recorder: Recorder) -> RunPlace | None:
    """Moves a recording to its place among the others, where its rank became known while it records.

    The shared run has a name of its own: what each process recorded alone until now may have the plain
    one, and no process waits until another has left it.

    Args:
        settings: how to record.
        rank: the process's rank.
        recorder: writes the recording.

    Returns:
        The place, or None where the recording stays in its own run: another process may write into that,
        or it cannot be moved.
    """
    if not recorder.is_alone or not _can_be_joined(settings, rank):
        return None
    with suppress(OSError):
        name = None if settings.name is None else f"{settings.name}-ranks"
        place = join_run_folder(settings.logdir, name, rank)
        with suppress(OSError):
            if recorder.move(place.folder):
                return _among_others(place)
        place.folder.rmdir()
    return None


def _can_be_joined(settings: Settings, rank: Rank) -> bool:
    """Whether others of the group can be known: by a name, where the group only has a size."""
    return settings.name is not None or not rank.anonymous


def _among_others(place: ProcessFolder) -> RunPlace:
    return RunPlace(
        folder=place.folder,
        run_folder=place.folder.parent,
        clock_ahead_ns=place.clock_ahead_ns,
    )
