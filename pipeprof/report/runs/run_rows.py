"""The rows of a table of several runs beside each other, one for each quantity."""

from collections.abc import Callable, Sequence

from pipeprof.analysis.findings.findings import Findings, LoopFinding
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.report.names.stage_labels import input_place
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import duration, percent, rate, wait_percent
from pipeprof.report.one_run.input_text import overlap


def _training(main: LoopFinding) -> str | None:
    """The wall time of the loop."""
    return duration(main.account.wall_ns / 1e6)


def _waits(main: LoopFinding) -> str | None:
    wall = main.diagnosis.wall
    return None if wall is None or wall.wait_ratio is None else wait_percent(wall.wait_ratio)


def _host(main: LoopFinding) -> str | None:
    wall = main.diagnosis.wall
    return None if wall is None else percent(wall.host_ratio)


def _step(main: LoopFinding) -> str | None:
    step_ms = main.diagnosis.step_ms
    return duration(step_ms.mean) if step_ms else None


def _wait(main: LoopFinding) -> str | None:
    diagnosis = main.diagnosis
    if diagnosis.wait_ms is None or diagnosis.wait_ratio is None:
        return None
    return f"{duration(diagnosis.wait_ms.mean)} ({wait_percent(diagnosis.wait_ratio)})"


def _overlap(main: LoopFinding) -> str | None:
    return overlap(main.input)


def _place(main: LoopFinding) -> str | None:
    return input_place(main.input)


def _rate(main: LoopFinding) -> str | None:
    per_s = main.diagnosis.samples_per_s
    return None if per_s is None else rate(per_s)


def _bottleneck(main: LoopFinding) -> str | None:
    slowest = main.diagnosis.bottleneck
    return slowest.stage if slowest else None


def _bottleneck_line(main: LoopFinding) -> str | None:
    slowest = main.diagnosis.bottleneck
    return slowest.location.short if slowest and slowest.location else None


# A row has None for a run where that was not measured.
RUN_ROWS: tuple[tuple[str, Callable[[LoopFinding], str | None]], ...] = (
    ("training", _training),
    ("waits for data", _waits),
    ("host's time", _host),
    ("step", _step),
    ("wait of a step", _wait),
    ("samples/s", _rate),
    ("input ran on", _place),
    ("overlap", _overlap),
    ("bottleneck", _bottleneck),
    ("its line", _bottleneck_line),
)


def run_cells(runs: Sequence[Findings]) -> list[tuple[str | None, ...]]:
    """The rows for some runs: a label, then a cell for each run; the verdicts come first."""
    mains = [findings.main for findings in runs]
    bounds = [main.diagnosis.bound if main else Bound.UNKNOWN for main in mains]
    return [
        ("verdict", *(VERDICTS[bound] for bound in bounds)),
        *(
            (label, *(describe(main) if main else None for main in mains))
            for label, describe in RUN_ROWS
        ),
    ]
