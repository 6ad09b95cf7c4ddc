"""Answers requests of the tab with plain values for JSON. A run that cannot be read becomes a message."""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeprof.analysis.comparing.run_comparison import compare_runs
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.errors import PipeprofError, UsageError
from pipeprof.recording.profile import Profile
from pipeprof.report.figures.comparison import MOST_RUNS, comparison_figures
from pipeprof.report.figures.figure import to_plain
from pipeprof.report.figures.of_run import figures_of
from pipeprof.report.figures.part_bars import PART_STYLES
from pipeprof.report.figures.theme import TEMPLATES
from pipeprof.report.many_hosts.ranks_text import chosen_ranks, rank_choice
from pipeprof.report.names.part_names import PART_NAMES
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import duration, percent
from pipeprof.report.one_run.run_text import traced_steps
from pipeprof.report.predicting.what_if_panel import what_if_panel
from pipeprof.report.runs.runs_table import (
    COLUMNS,
    RunRow,
    account_shares,
    chosen_rows,
    run_row,
    runs_cells,
    unreadable_row,
)
from pipeprof.surfaces.webpages.compared_page import compared_body, compared_figures
from pipeprof.surfaces.webpages.page_report import comparison_body, message, report_body
from pipeprof.surfaces.webpages.page_what_if import what_if_data, what_if_section
from pipeprof.tensorboard_plugin.library import Library, Shelved
from pipeprof.tensorboard_plugin.readings import Readings

Answer = dict[str, Any]

_log = logging.getLogger(__name__)

MOST_SUMMARIES = 40
_MOST_REMEMBERED = 5_000
_MOST_CONDITIONS = 20
_RANK = re.compile(r"[0-9]{1,7}")


class Answers:
    """Answers about the runs of one log folder."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._readings = Readings()
        self._rows: OrderedDict[tuple[str, int], RunRow] = OrderedDict()

    def runs(self) -> Answer:
        """All runs, the latest first, without reading them."""
        found = self._library.runs()
        return {
            "runs": [{"key": run.key, "version": str(run.version)} for run in found],
            "templates": TEMPLATES,
            "most_compared": MOST_RUNS,
            "summaries_each": MOST_SUMMARIES,
            "columns": [asdict(column) for column in COLUMNS],
            "verdicts": {bound.value: word for bound, word in VERDICTS.items()},
            "parts": {
                PART_NAMES[part]: {"color": color, "hatched": bool(hatching)}
                for part, (color, hatching) in PART_STYLES.items()
            },
        }

    def summaries(self, keys: Sequence[str]) -> Answer:
        """The rows of runs in the table of all, by key; keys without a run are left out."""
        wanted = set(keys[:MOST_SUMMARIES])
        runs = (run for run in self._library.runs() if run.key in wanted)
        return {run.key: _summary(self._row(run)) for run in runs}

    def chosen(self, conditions: Sequence[str]) -> Answer:
        """The keys of the runs for which all conditions (``step_ms>10``) hold, or what is wrong."""
        try:
            rows = [self._row(run) for run in self._library.runs()]
            kept = chosen_rows(rows, conditions[:_MOST_CONDITIONS], None)
        except UsageError as error:
            return {"problem": str(error)}
        return {"keys": [row.name for row in kept]}

    def run(self, key: str, rank: str | None = None) -> Answer:
        """One run's report and figures.

        Args:
            key: the run's key.
            rank: of a run of several processes the number of the one that all but the verdict on all is
                about; None for the one that holds the others up.
        """

        def make() -> Answer:
            run = self._library.find(key)
            findings = self._readings.findings(run, _number(rank))
            figures = figures_of(findings)
            return {
                "html": report_body(findings, figures),
                "figures": [to_plain(figure) for figure in figures],
                "version": str(run.version),
                "recording": run.is_recorded_now,
                "trace": _trace(run.key, run.trace),
                "windows": list(_windows(run, findings)),
                "ranks": _ranks(findings),
            }

        what = f"The run {key}" if rank is None else f"Rank {rank:.10} of the run {key}"
        return _answer_or_message(make, f"{what} cannot be shown")

    def what_if(self, key: str, rank: str | None = None) -> Answer:
        """What could be otherwise in a run; no HTML for one that is being recorded or did not train.

        Args:
            key: the run's key.
            rank: as for `run`.
        """
        nothing: Answer = {"html": "", "data": None}
        try:
            run = self._library.find(key)
            recorded = run.is_recorded_now
            panel = None if recorded else what_if_panel(self._profile(run, rank))
        except (PipeprofError, OSError):  # the run's own answer says so
            return nothing
        except Exception:  # a damaged run with valid values may cause any error
            _log.exception("pipeprof: nothing can be predicted from the run %s", key)
            return nothing
        if panel is None:
            return nothing
        return {"html": what_if_section(panel), "data": what_if_data(panel)}

    def comparison(self, keys: Sequence[str], after: Sequence[str] = ()) -> Answer:
        """Runs beside each other, in the order of the keys; of two, the second is what changed.

        Args:
            keys: the runs, or those of the first of two groups.
            after: the runs of the second group, where there are two.
        """

        def make() -> Answer:
            every = [*keys, *after]
            if not 2 <= len(every) <= MOST_RUNS:
                raise UsageError(
                    f"expected 2 to {MOST_RUNS} runs to compare, received {len(every)}."
                )
            named = [(key, self._read(key)) for key in every]
            if after or len(named) == 2:
                before = len(keys) if after else 1
                findings = [each for _, each in named]
                comparison = compare_runs(findings[:before], findings[before:])
                figures = compared_figures(comparison, every)
                html = compared_body(comparison, figures, names=every)
            else:
                figures = comparison_figures(named)
                html = comparison_body(named, figures)
            return {"html": html, "figures": [to_plain(figure) for figure in figures]}

        return _answer_or_message(make, "These runs cannot be compared")

    def _read(self, key: str) -> Findings:
        return self._readings.findings(self._library.find(key))

    def _profile(self, run: Shelved, rank: str | None) -> Profile:
        return self._readings.findings(run, _number(rank)).profile

    def _row(self, run: Shelved) -> RunRow:
        remembered = (run.key, run.version)
        row = self._rows.get(remembered)
        if row is None:
            row = self._rows[remembered] = self._read_row(run)
            if len(self._rows) > _MOST_REMEMBERED:
                self._rows.popitem(last=False)
        return row

    def _read_row(self, run: Shelved) -> RunRow:
        try:
            return run_row(run.key, self._readings.findings(run))
        except PipeprofError as error:
            return unreadable_row(run.key, str(error))
        except Exception as error:  # a damaged run with valid values may cause any error
            problem = f"its values do not fit together ({type(error).__name__})."
            return unreadable_row(run.key, problem)


def _number(rank: str | None) -> int | None:
    if rank is None:
        return None
    if not _RANK.fullmatch(rank):
        raise UsageError(f"expected the number of a rank, received {rank!r:.40}.")
    return int(rank)


def _answer_or_message(make: Callable[[], Answer], otherwise: str) -> Answer:
    try:
        return make()
    except (PipeprofError, OSError) as error:
        return {"html": message(otherwise, str(error)), "figures": []}
    except Exception as error:  # a damaged run with valid values may cause any error
        _log.exception("pipeprof: %s", otherwise)
        sentence = (
            f"expected values that fit together, found some that do not ({type(error).__name__}): "
            "TensorBoard's own output has the details."
        )
        return {"html": message(otherwise, sentence), "figures": []}


def _summary(row: RunRow) -> Answer:
    """A row for the browser: texts to show, and the values by which it is sorted."""
    if row.problem is not None:
        return {"bound": "unreadable", "verdict": "UNREADABLE", "gist": "", "problem": row.problem}
    bound = Bound(row.texts["bound"])
    step_ms = row.numbers.get("step_ms")
    return {
        "bound": bound.value,
        "verdict": VERDICTS[bound],
        "gist": "" if step_ms is None else f"{duration(step_ms)} per step",
        "cells": runs_cells(row),
        "values": {
            column.key: row.numbers[column.key] for column in COLUMNS if column.key in row.numbers
        },
        "account": [
            {"part": PART_NAMES[part], "ratio": round(ratio, 4), "share": percent(ratio)}
            for part, ratio in account_shares(row)
        ],
    }


def _ranks(findings: Findings) -> Answer | None:
    """The ranks to choose from, those first that stand for all; None of a process that trained alone."""
    found = findings.ranks
    if found is None:
        return None
    return {
        "shown": found.shown,
        "chosen": [
            [each.number, rank_choice(each, remark)] for remark, each in chosen_ranks(found)
        ],
        "all": [[each.number, rank_choice(each)] for each in found.ranks],
    }


def _trace(key: str, folder: Path) -> Answer | None:
    """Run and host by which XProf opens a trace; None without a trace or without XProf."""
    files = sorted(folder.glob("*.xplane.pb"))
    if not files or find_spec("xprof") is None:
        return None
    return {"run": key, "host": files[0].name.removesuffix(".xplane.pb")}


def _windows(run: Shelved, findings: Findings) -> Iterator[Answer]:
    """The traces of a run's trace windows, each with its time range."""
    began_ns = findings.profile.run.start_ns
    for window, name in zip(findings.profile.trace_windows, traced_steps(findings), strict=True):
        folder = run.window(window.run)
        key = run.key.removesuffix(run.folder.name) + window.run
        trace = _trace(key, folder) if folder is not None else None
        if trace is not None:
            yield {
                **trace,
                "name": name,
                "start_ms": (window.start_ns - began_ns) / 1e6,
                "end_ms": (window.end_ns - began_ns) / 1e6,
            }
