"""Answers requests of the tab with plain values for JSON. A run that cannot be read becomes a message."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings import Findings
from pipeprof.analysis.verdict_kinds import Bound
from pipeprof.errors import PipeprofError, UsageError
from pipeprof.report.figures.comparison import MOST_RUNS, comparison_figures
from pipeprof.report.figures.figure import to_plain
from pipeprof.report.figures.of_run import figures_of
from pipeprof.report.figures.theme import TEMPLATES
from pipeprof.report.numbers import duration
from pipeprof.report.run_text import traced_steps
from pipeprof.report.verdict_names import VERDICTS
from pipeprof.runs.run_reading import read_run
from pipeprof.surfaces.page_report import comparison_body, message, report_body
from pipeprof.tensorboard_plugin.library import Library, Shelved

Answer = dict[str, Any]

_log = logging.getLogger(__name__)

MOST_SUMMARIES = 20
_MOST_REMEMBERED = 5_000


class Answers:
    """Answers about the runs of one log folder."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._summaries: OrderedDict[tuple[str, int], Answer] = OrderedDict()

    def runs(self) -> Answer:
        """All runs, the latest first, without reading them."""
        found = self._library.runs()
        return {
            "runs": [{"key": run.key, "version": str(run.version)} for run in found],
            "templates": TEMPLATES,
            "most_compared": MOST_RUNS,
        }

    def summaries(self, keys: Sequence[str]) -> Answer:
        """The verdicts of runs, by key; keys without a run are left out."""
        wanted = set(keys[:MOST_SUMMARIES])
        return {run.key: self._summary(run) for run in self._library.runs() if run.key in wanted}

    def run(self, key: str) -> Answer:
        """One run's report and figures."""

        def make() -> Answer:
            run = self._library.find(key)
            findings = analyse(read_run(run.folder))
            figures = figures_of(findings)
            return {
                "html": report_body(findings, figures),
                "figures": [to_plain(figure) for figure in figures],
                "version": str(run.version),
                "recording": run.is_recorded_now,
                "trace": _trace(run.key, run.trace),
                "windows": list(_windows(run, findings)),
            }

        return _answer_or_message(make, f"The run {key} cannot be shown")

    def comparison(self, keys: Sequence[str]) -> Answer:
        """A comparison of several runs, in the order of the keys."""

        def make() -> Answer:
            if not 2 <= len(keys) <= MOST_RUNS:
                raise UsageError(
                    f"expected 2 to {MOST_RUNS} runs to compare, received {len(keys)}."
                )
            named = [(key, self._read(key)) for key in keys]
            figures = comparison_figures(named)
            return {
                "html": comparison_body(named, figures),
                "figures": [to_plain(figure) for figure in figures],
            }

        return _answer_or_message(make, "These runs cannot be compared")

    def _read(self, key: str) -> Findings:
        return analyse(read_run(self._library.find(key).folder))

    def _summary(self, run: Shelved) -> Answer:
        remembered = (run.key, run.version)
        if remembered not in self._summaries:
            self._summaries[remembered] = _summary(run)
            if len(self._summaries) > _MOST_REMEMBERED:
                self._summaries.popitem(last=False)
        return self._summaries[remembered]


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


def _summary(run: Shelved) -> Answer:
    try:
        findings = analyse(read_run(run.folder))
    except Exception:  # the reason is shown when the user opens the run
        return {"bound": "unreadable", "verdict": "UNREADABLE", "gist": ""}
    diagnosis = findings.main.diagnosis if findings.main else None
    bound = diagnosis.bound if diagnosis else Bound.UNKNOWN
    pace = f"{duration(diagnosis.step_ms.mean)} per step" if diagnosis and diagnosis.step_ms else ""
    return {"bound": bound.value, "verdict": VERDICTS[bound], "gist": pace}


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
