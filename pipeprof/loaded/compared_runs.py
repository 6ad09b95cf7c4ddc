"""Recorded runs side by side: `pipeprof.compare`."""

import os
import shutil
from collections.abc import Sequence
from typing import Any, TypeAlias

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.comparing.gate import GateResult, check, parse_condition
from pipeprof.analysis.comparing.run_comparison import Comparison, compare_runs
from pipeprof.analysis.findings.findings import Findings
from pipeprof.errors import UsageError
from pipeprof.loaded.recorded_run import RecordedRun, load
from pipeprof.recording.profile import Profile

Run: TypeAlias = RecordedRun | Profile | str | os.PathLike[str]


def compare(before: Run | Sequence[Run], after: Run | Sequence[Run]) -> "ComparedRuns":
    """Compares two runs, or two groups of runs: was it the same work, and did it get better?

    ::

        compared = pipeprof.compare("logs/main", prof.result)
        print(compared.report())
        compared.to_dict()["work"]["sameness"]  # "same"

    Args:
        before: a run, or several of one thing: what `pipeprof.load` returns, ``prof.result``, or a log
            folder (its latest run).
        after: the run or runs to compare with those.

    Raises:
        PipeprofError: a run cannot be read or has no steps, or one run is on both sides.
    """
    return ComparedRuns(compare_runs(_group(before), _group(after)))


def _group(runs: Any) -> list[Findings]:
    if isinstance(runs, (list, tuple)):
        return [_findings(run) for run in runs]
    return [_findings(runs)]


def _findings(run: Any) -> Findings:
    if isinstance(run, Profile):
        return analyse(run)
    if isinstance(run, (str, os.PathLike)):
        run = load(run)
    findings = getattr(run, "findings", None)
    if not isinstance(findings, Findings):
        raise UsageError(
            f"expected a run (of pipeprof.load, prof.result or a folder), received {type(run).__name__}."
        )
    return findings


class ComparedRuns:
    """Runs side by side.

    Attributes:
        comparison: what was found, as values.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def check(self, *expressions: str) -> tuple[GateResult, ...]:
        """What becomes of conditions such as ``step_ms>+5%``; those whose ``fails`` is true are broken.

        Raises:
            UsageError: an expression is wrong, or the runs cannot be compared.
        """
        return check(self.comparison, [parse_condition(each) for each in expressions])

    def report(self, width: int | None = None, color: bool = False) -> str:
        """The comparison in words and a table.

        Args:
            width: columns to use; None for those of the terminal.
            color: whether to use ANSI colours.
        """
        from pipeprof.surfaces.texts.compared_terminal import render_comparison

        columns = width or shutil.get_terminal_size().columns
        return render_comparison(self.comparison, width=columns, color=color)

    def to_dict(self) -> dict[str, Any]:
        """What ``pipeprof compare --json`` prints, as plain values."""
        from pipeprof.surfaces.json_report.compared_as_json import comparison_dict

        return comparison_dict(self.comparison)

    def _repr_html_(self) -> str:
        from pipeprof.surfaces.webpages.compared_page import render_comparison_page
        from pipeprof.surfaces.webpages.webpage import in_frame

        return in_frame(render_comparison_page(self.comparison))
