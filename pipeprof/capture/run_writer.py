"""Writes one run: checkpoints and scalars while it is recorded, and all files when it is over."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipeprof.capture.collector.checkpoint import Checkpoint
from pipeprof.errors import PipeprofError
from pipeprof.recording.profile import Profile
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import finish_run, write_run_file
from pipeprof.runs.summary_file import write_summary

if TYPE_CHECKING:
    from pipeprof.loaded.recorded_run import RecordedRun
    from pipeprof.surfaces.timelines.scalar_log import ScalarLog

# TensorBoard reads a log folder every 30 s; writing scalars takes much CPU time.
SCALARS_S = 10.0
SCALARS_REST = 200

# Summaries of a process among others: they are read where the process died.
SUMMARY_S = 30.0
SUMMARY_REST = 400

# Width of the report in TensorBoard.
_REPORT_COLUMNS = 100


class RunWriter:
    """Writes the files of the process that records a run.

    Args:
        folder: the run's folder.
        prefix: begin of the names of the process's files.
        logdir: TensorBoard's log folder.

    Attributes:
        MODULES_MEANWHILE: what it imports for `update_scalars`.
        MODULES_FOR_SUMMARIES: what it imports for `write_summary`.
        MODULES_AT_THE_END: what it imports for `finish`.
    """

    MODULES_MEANWHILE: ClassVar = ("pipeprof.surfaces.timelines.scalar_log",)
    MODULES_FOR_SUMMARIES: ClassVar = (
        "pipeprof.analysis.analyse",
        "pipeprof.analysis.ranks.summarising",
    )
    MODULES_AT_THE_END: ClassVar = (
        *MODULES_FOR_SUMMARIES,
        "pipeprof.surfaces.texts.terminal",
        "pipeprof.surfaces.timelines.tensorboard",
    )

    def __init__(self, folder: Path, prefix: str, logdir: Path) -> None:
        self._file = RunFile(folder, prefix)
        self._logdir = logdir
        self._scalars: ScalarLog | None = None

    @property
    def has_scalars(self) -> bool:
        """Whether TensorBoard has scalars of the run already."""
        return self._scalars is not None

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes the state of the recording.

        Raises:
            OSError: it cannot be written.
        """
        write_run_file(self._file, checkpoint)

    def update_scalars(self, profile: Profile) -> None:
        """Writes TensorBoard's scalars of the steps since the last call.

        Raises:
            OSError: they cannot be written.
        """
        if self._scalars is None:
            from pipeprof.surfaces.timelines.scalar_log import ScalarLog

            self._scalars = ScalarLog(self._logdir)
        self._scalars.update(profile)

    def write_summary(self, profile: Profile) -> None:
        """Writes what this process found so far, for the verdict on all that train together.

        Raises:
            OSError: it cannot be written.
        """
        from pipeprof.analysis.analyse import analyse
        from pipeprof.analysis.ranks.summarising import summarise

        write_summary(self._file, summarise(analyse(profile)))

    def finish(self, run: "RecordedRun", pids: Iterable[int]) -> "RecordedRun":
        """Writes the finished run, also for TensorBoard, and removes the rings that it was made from.

        Args:
            run: the finished run.
            pids: the processes whose rings were read.

        Returns:
            The finished run, with a warning if something could not be written.
        """
        from pipeprof.analysis.ranks.summarising import summarise
        from pipeprof.surfaces.timelines.tensorboard import write_run

        try:
            if run.profile.run.rank is not None:
                write_summary(self._file, summarise(run.findings))
            finish_run(self._file, run.profile, pids)
            report = run.report(width=_REPORT_COLUMNS)
            write_run(run.findings, self._logdir, report, self._scalars)
        except OSError as error:
            problem = (
                f"The run could not be written completely to {self._file.folder} "
                f"({error.strerror or error})."
            )
        except (PipeprofError, ValueError) as error:  # a trace has no room for months
            problem = f"TensorBoard's files could not be written: {error}"
        else:
            return run
        return type(run)(run.profile.with_warning(problem))
