"""A recorded run: its recording, the findings of the analysis, and its report.

It may know everything that reads a recording. It must not know how one is captured.
"""

import functools
import os
import shutil
from pathlib import Path
from typing import Any

from pipeprof.analysis.analyse import analyse, predict
from pipeprof.analysis.comparing.run_summary import flat_summary
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.what_if_kinds import SupposedStep
from pipeprof.analysis.predicting.what_if_expressions import read_suppositions
from pipeprof.loaded.loaded_ranks import read_findings
from pipeprof.recording.profile import Profile
from pipeprof.runs.log_folder import DEFAULT_LOGDIR
from pipeprof.runs.run_search import find_run
from pipeprof.surfaces.webpages.notebook import show_profiles_as_pages


def load(
    path: str | os.PathLike[str] = DEFAULT_LOGDIR,
    *,
    name: str | None = None,
    rank: int | None = None,
) -> "RecordedRun":
    """Loads a recorded run; needs neither TensorFlow nor the machine that it was recorded on.

    ::

        run = pipeprof.load("logs/run1")
        print(run.report())
        run.to_dict()["diagnosis"]["bound"]  # "input"

    Args:
        path: a log folder, or the folder of one run.
        name: the run's name; None for the latest run of the log folder.
        rank: of a run of several processes, the rank that ``profile`` is of; None for the one that holds
            the others up.

    Returns:
        The run. One that was cut off, or is still being recorded, is loaded as far as it came.

    Raises:
        PipeprofError: there is no such run, or it cannot be read.
    """
    run = RecordedRun.of(read_findings(find_run(Path(path), name), rank))
    show_profiles_as_pages()
    return run


class RecordedRun:
    """A recorded run. As the last value of a notebook's cell it is shown as a page.

    Args:
        profile: the recording.

    Attributes:
        profile: the recording.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    @classmethod
    def of(cls, findings: Findings) -> "RecordedRun":
        """A run that is analysed already."""
        run = cls(findings.profile)
        run.__dict__["findings"] = findings  # where `cached_property` looks first
        return run

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.profile.run.name!r}>"

    @functools.cached_property
    def findings(self) -> Findings:
        """What the analysis finds in the recording."""
        return analyse(self.profile)

    def what_if(self, supposed: str) -> SupposedStep:
        """Predicts what a step of the main loop would take if something were otherwise.

        ::

            run.what_if("stage=decode parallelism=4").step_ms
            run.what_if("cache=decode, epoch_starts=0").interval

        Args:
            supposed: what is otherwise: ``input=free``, ``stage=NAME cost=0.5``, ``stage=NAME
                parallelism=4``, ``cache=NAME``, ``prefetch=yes``, ``workers=4 processes=yes``,
                ``epoch_starts=0``, ``callback=NAME``, ``cores=8``; several are parted by commas.

        Raises:
            UsageError: the text cannot be read, nothing has that name, or the run does not have what a
                prediction needs.
        """
        return predict(self.profile, read_suppositions(supposed))

    def report(self, width: int | None = None, color: bool = False) -> str:
        """The report in words and tables.

        Args:
            width: columns to use; None for those of the terminal.
            color: whether to use ANSI colours.
        """
        from pipeprof.surfaces.texts.terminal import render_report

        columns = width or shutil.get_terminal_size().columns
        return render_report(self.findings, width=columns, color=color)

    def summary(self) -> dict[str, float]:
        """The run as flat numbers, which the ``log`` calls of MLflow and Weights & Biases take as they are.

        ::

            mlflow.log_metrics(run.summary())
            wandb.log(run.summary())

        Times are milliseconds (``_ms``) or seconds (``_s``), ratios 0 to 1. What was not measured is
        not there.
        """
        return flat_summary(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report that ``pipeprof report --json`` prints, as plain values."""
        from pipeprof.surfaces.json_report.as_json import to_dict

        return to_dict(self.findings)

    def _repr_html_(self) -> str:
        from pipeprof.surfaces.webpages.webpage import render_in_notebook

        return render_in_notebook(self.findings)
